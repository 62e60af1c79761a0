"""What both sides of a connection do alike, whoever the peer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from heliogram.wire import frames
from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.hpack_decoder import Decoder

_UNTAKEN = 1000  # replies the peer may make us queue between two `take()` calls
_CONTINUATIONS = 32  # frames a header block may be cut into

EventT = TypeVar("EventT")


class Session(ABC, Generic[EventT]):
    """Bytes out, bytes in up to the frames, header blocks cut into pieces, and the windows we send by."""

    def __init__(self, decoder: Decoder, max_list: int) -> None:
        self._out: list[bytes] = []
        self._buffer = b""
        self._error: ProtocolError | None = None
        self._settled = False
        self._decoder = decoder
        self._max_list = max_list
        self._block: tuple[int, int, list[bytes]] | None = None  # stream, flags and parts of an unfinished block
        self._owed = self._empty = 0
        self._max_frame = frames.DEFAULT_FRAME
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        # Bytes a stream may send above (or, when it has sent some, below) the peer's initial window.
        self._credit: dict[int, int] = {}

    @property
    def error(self) -> ProtocolError | None:
        """The error that ended the session, also while `feed()` still has to raise it."""
        return self._error

    def take(self) -> bytes:
        """Bytes to write now, b"" when there are none."""
        self._owed = 0
        data = b"".join(self._out)
        self._out.clear()
        return data

    def feed(self, data: bytes) -> list[EventT]:
        """Events out of received bytes.

        `ProtocolError` when the peer broke the protocol; GOAWAY is then queued for `take()` and each later call
        raises the same error. When events came in front of the error in the same bytes they are returned first:
        `error` is set and the next call raises.
        """
        if self._error:
            raise self._error
        if self._buffer:
            data = self._buffer + data
        events: list[EventT] = []
        try:
            self._buffer = data[self._frames(data, events) :]
        except ProtocolError as error:
            self._fail(error)
            if not events:
                raise
        return events

    @abstractmethod
    def _frames(self, data: bytes, events: list[EventT]) -> int:
        """Handles all complete frames; returns where the first incomplete one starts."""

    @abstractmethod
    def _on_block(self, sid: int, flags: int, block: bytes, events: list[EventT]) -> None:
        """Handles a complete header block; `flags` are those of its HEADERS frame."""

    @property
    @abstractmethod
    def _highest(self) -> int:
        """The highest stream that was opened, in whatever state it is."""

    def _fail(self, error: ProtocolError) -> None:
        self._error = error
        self._buffer = b""

    def _owe(self, reply: bytes) -> None:
        """Queues a reply the peer provoked, within a bound."""
        self._owed += 1
        if self._owed > _UNTAKEN:
            raise frames.calm_error("10.5", f"more than {_UNTAKEN} replies were asked for at once")
        self._out.append(reply)

    def _check_known(self, sid: int, section: str) -> None:
        """A stream that was never opened is idle, and one with an even number can never be (RFC 9113 §5.1)."""
        if sid > self._highest or not sid & 1:
            raise frames.protocol_error(section, f"a frame came for stream {sid}, which is idle")

    def _on_headers(self, kind: int, flags: int, sid: int, payload: bytes, events: list[EventT]) -> None:
        """HEADERS and CONTINUATION: collects a block within bounds (RFC 9113 §4.3, §6.10)."""
        if kind == frames.CONTINUATION:
            if self._block is None:
                raise frames.protocol_error("6.10", "CONTINUATION without an unfinished header block")
            _, first_flags, parts = self._block
            parts.append(payload)
        else:
            first_flags, parts = flags, [frames.unpad(kind, flags, payload)]
        if len(parts) > _CONTINUATIONS or sum(map(len, parts)) > max(frames.DEFAULT_FRAME, 2 * self._max_list):
            raise frames.calm_error("10.5.1", "a header block is too long or cut into too many frames")
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(sid, first_flags, b"".join(parts), events)
        else:
            self._block = (sid, first_flags, parts)

    def _resize_windows(self, size: int) -> None:
        """The peer's INITIAL_WINDOW_SIZE; it moves the windows of open streams too (RFC 9113 §6.9.2)."""
        self._stream_window = size
        if any(size + credit > frames.MAX_WINDOW for credit in self._credit.values()):
            detail = "INITIAL_WINDOW_SIZE takes a stream's window above 2^31-1"
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "RFC 9113 §6.9.2", detail)

    def _grow(self, sid: int, increment: int) -> None:
        """A WINDOW_UPDATE; a stream's window above 2^31-1 ends the connection too, as RFC 9113 §5.4.1 allows."""
        if sid:
            self._credit[sid] = self._credit.get(sid, 0) + increment
            reached = self._stream_window + self._credit[sid]
        else:
            self._window += increment
            reached = self._window
        if reached > frames.MAX_WINDOW:
            detail = f"WINDOW_UPDATE takes a window to {reached}, above 2^31-1"
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "RFC 9113 §6.9.1", detail)
