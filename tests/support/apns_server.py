"""A small APNs over real TLS whose every answer the test decides."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from heliogram.wire import ErrorCode, Received, ServerEvent, ServerSession, StreamReset


def header(request: Received, name: bytes) -> bytes:
    """The value of a request's header; fails when it is missing."""
    return dict(request.headers)[name]


def device(request: Received) -> str:
    """The device token of a request."""
    return header(request, b":path").removeprefix(b"/3/device/").decode()


class Peer(asyncio.Protocol):
    """One connection of a client, seen from the server."""

    def __init__(self, server: ApnsServer) -> None:
        self.server = server
        self.session = ServerSession(
            stream_limit=server.stream_limit,
            initial_window=server.initial_window,
            max_header_list=server.max_header_list,
        )
        self.requests: list[Received] = []
        self.events: list[ServerEvent] = []
        self.resets: list[StreamReset] = []
        self.writes = 0
        """How many times bytes came in."""
        self.closed = False
        self.deaf = False
        """When True, nothing that comes is looked at."""
        self.mute = False
        """When True, nothing is written."""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self.server.peers.append(self)
        self.server.on_connect(self)
        self.flush()
        self.server.notify()

    def data_received(self, data: bytes) -> None:
        self.writes += 1
        if self.deaf:
            self.server.notify()
            return
        for event in self.session.feed(data):
            self.events.append(event)
            if isinstance(event, Received):
                self.requests.append(event)
                self.server.requests.append(event)
                self.server.on_request(self, event)
            elif isinstance(event, StreamReset):
                self.resets.append(event)
        self.flush()
        self.server.notify()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.server.notify()

    # ---- what a test may do

    def flush(self) -> None:
        """Write what is queued."""
        if self.mute:
            return
        data = self.session.take()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def accept(self, request: Received, *more: tuple[bytes, bytes]) -> None:
        """200, with the request's own id (RESP-1)."""
        self.session.respond(request.stream_id, 200, ((b"apns-id", header(request, b"apns-id")), *more))
        self.flush()

    def reject(self, request: Received, status: int, reason: str, **more: object) -> None:
        """Another status, with the JSON body APNs would send (RESP-2)."""
        body = json.dumps({"reason": reason, **more}, separators=(",", ":")).encode()
        self.answer(request, status, body)

    def answer(self, request: Received, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
        """Any answer."""
        self.session.respond(request.stream_id, status, ((b"apns-id", header(request, b"apns-id")), *more), body)
        self.flush()

    def refuse(self, request: Received) -> None:
        """RST_STREAM REFUSED_STREAM: not processed."""
        self.reset(request, ErrorCode.REFUSED_STREAM)

    def reset(self, request: Received, code: int) -> None:
        """RST_STREAM."""
        self.session.reset(request.stream_id, code)
        self.flush()

    def goaway(self, last: int | None = None, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY; streams above `last` were not processed."""
        self.session.goaway(code, debug, last)
        self.flush()

    def limit(self, streams: int) -> None:
        """A new MAX_CONCURRENT_STREAMS."""
        self.session.set_stream_limit(streams)
        self.flush()

    def close(self) -> None:
        """End the connection after what is queued."""
        self.transport.close()

    def cut(self) -> None:
        """End the connection at once."""
        self.transport.abort()


def accept_all(peer: Peer, request: Received) -> None:
    """The answer of a server that has no objections."""
    peer.accept(request)


def hold(peer: Peer, request: Received) -> None:
    """No answer; the test gives it later, or never."""


class ApnsServer:
    """Listens on a free port of 127.0.0.1. Set `on_request` and `on_connect` to script it."""

    def __init__(self, context: ssl.SSLContext, on_request: Callable[[Peer, Received], None] = accept_all) -> None:
        self.on_request = on_request
        self.on_connect: Callable[[Peer], None] = lambda peer: None
        self.stream_limit = 1000
        self.initial_window = 65535
        self.max_header_list = 8000
        self.peers: list[Peer] = []
        self.requests: list[Received] = []
        self._context = context
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._server: asyncio.Server

    @property
    def endpoint(self) -> str:
        """Where it listens, "host:port"."""
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", 0, ssl=self._context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for peer in self.peers:
            peer.transport.abort()
        await self.until(lambda: all(peer.closed for peer in self.peers))
        await self._server.wait_closed()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something that happens on a connection makes it so."""
        if not is_so():
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((is_so, future))
            await asyncio.wait_for(future, 90)

    async def received(self, count: int) -> list[Received]:
        """Wait for this many requests, over all connections."""
        await self.until(lambda: len(self.requests) >= count)
        return self.requests

    async def connected(self, count: int) -> Peer:
        """Wait for this many connections; the latest of them."""
        await self.until(lambda: len(self.peers) >= count)
        return self.peers[count - 1]

    def notify(self) -> None:
        """Something happened: look who waited for it."""
        for entry in self._waiters[:]:
            is_so, future = entry
            if future.done():
                self._waiters.remove(entry)
            elif is_so():
                self._waiters.remove(entry)
                future.set_result(None)
