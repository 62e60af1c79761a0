"""One TLS connection: bytes to the HTTP/2 session, requests to APNs, answers back in one write per read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from heliogram.wire import ErrorCode, ProtocolError, Received, ServerSession

from .answering import Answer, Apns, Headers
from .session import Session
from .tables import Environment

if TYPE_CHECKING:
    from .simulator import Listener

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_QUOTED = 256

Answerer = Callable[[Session, Environment, Headers, bytes, int], Answer]


class Connection(asyncio.Protocol):
    """A client's connection to one listener. Its authentication state lives and dies with it (TOK-12)."""

    _session: Session
    """There from when TLS is up."""

    def __init__(self, apns: Apns, listener: Listener, answer: Answerer) -> None:
        settings = apns.settings
        self._apns = apns
        self._listener = listener
        self._answer = answer
        self._environment: Environment = listener.environment
        self._full_limit = settings.stream_limit
        self._held_to_one = settings.one_stream_first
        self._wire = ServerSession(
            stream_limit=1 if self._held_to_one else settings.stream_limit,
            initial_window=settings.window,
            max_frame=16384,
            max_header_list=8000,
            header_table=4096,
            max_body=8192,
            connection_window=settings.connection_window,
            update_after=settings.update_after,
        )
        self._opening: bytes | None = b""
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        number = "unopened" if self._transport is None else self._session.number
        return f"<Connection {number} {self._listener.name} open_streams={self._wire.open_streams}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._session = self._apns.open_session(_source(transport))
        if not self._listener.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._opening is not None:
            data = self._opening + data
            if not PREFACE.startswith(data[: len(PREFACE)]):
                self._refuse_http1(data)
                return
            if len(data) < len(PREFACE):
                self._opening = data
                return
            self._opening = None
        try:
            events = self._wire.feed(data)
        except ProtocolError:
            self._flush()
            self._shut()
            return
        for event in events:
            if type(event) is Received:
                answer = self._answer(self._session, self._environment, event.headers, event.body, event.size)
                self._wire.respond(event.stream_id, answer.status, answer.headers, answer.body)
        if self._held_to_one and self._session.trusted is not None:
            self._held_to_one = False
            self._wire.set_stream_limit(self._full_limit)
        self._flush()
        if self._wire.closed:  # an error behind the last request, or a client that has gone and has its answers
            self._shut()

    def pause_writing(self) -> None:
        """The client reads too slowly: take no more requests until it has read (bounds what waits for it)."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.release(self)
        if not self.lost.done():
            self.lost.set_result(None)

    def retire(self) -> None:
        """Say goodbye the orderly way and close (CONN-22)."""
        self._wire.goaway()
        self._flush()
        self._shut()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _refuse_http1(self, data: bytes) -> None:
        """HTTP/1.1 text is answered in HTTP/2 frames: SETTINGS, then GOAWAY quoting the request (CONN-12)."""
        line = data.splitlines()[0].partition(b" HTTP/1")[0][:_QUOTED]
        self._wire.goaway(ErrorCode.PROTOCOL_ERROR, b"Unexpected HTTP/1.x request: " + line, 0)
        self._flush()
        self._shut()

    def _flush(self) -> None:
        data = self._wire.take()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _shut(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _source(transport: asyncio.BaseTransport) -> str:
    """The client's address without its port; empty when it has gone already."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
