"""Messages between two processes of ours on one socket: four bytes of length, then so many bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import structlog

log = structlog.get_logger(__name__)

HEAD = 4
MAX_FRAME = 256 << 20
"""Bytes of one message. The largest carries four chunks with their earlier results: a request has at most 16 MiB."""
MAX_BEHIND = 1 << 20
"""Bytes that wait for a receiver before it is not told of things any more that it finds out by itself."""


class FrameTooLarge(ValueError):
    """A message is larger than any may be."""


class Wire(asyncio.Protocol):
    """One end of the socket. `received` takes each message whole; `lost` is called once, when no more will come: the
    other end is gone, or what it sent is no message."""

    def __init__(
        self, received: Callable[[bytes], object], lost: Callable[[], object], *, max_frame: int = MAX_FRAME
    ) -> None:
        self._received, self._lost, self._max = received, lost, max_frame
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"Wire(buffered={len(self._buffer)}, ended={self._ended})"

    def send(self, body: bytes) -> None:
        """Sends a message; to an end that is gone it goes nowhere. Raises `FrameTooLarge`."""
        if len(body) > self._max:
            raise FrameTooLarge(f"a message of {len(body)} bytes: at most {self._max} are taken")
        if self._transport is not None and not self._ended:
            self._transport.writelines((len(body).to_bytes(HEAD, "big"), body))

    def hint(self, body: bytes) -> None:
        """Sends what the other end would find out by itself, unless it is far behind."""
        if self._transport is not None and self._transport.get_write_buffer_size() <= MAX_BEHIND:
            self.send(body)

    def close(self) -> None:
        """Sends what was to be sent, and ends."""
        if self._transport is not None:
            self._transport.close()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes as they come."""
        if self._ended:
            return
        buffer = self._buffer
        buffer += data
        begin = 0
        while len(buffer) - begin >= HEAD:
            end = begin + HEAD + int.from_bytes(buffer[begin : begin + HEAD], "big")
            if end - begin - HEAD > self._max:
                self._fail(f"a message of {end - begin - HEAD} bytes: at most {self._max} are taken")
                return
            if end > len(buffer):
                break
            try:
                self._received(bytes(memoryview(buffer)[begin + HEAD : end]))
            except ValueError as error:  # msgspec's are
                self._fail(str(error))
                return
            begin = end
        del buffer[:begin]

    def eof_received(self) -> bool:
        """The other end will send nothing more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._end()

    def _fail(self, why: str) -> None:
        log.error("senders.bad_message", reason=why)
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._buffer.clear()
            self._lost()
