"""How a connection ends whose client is still sending: in stages, and within bounds (RFC 9112, section 9.6)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from support.tls import Authority
from support.waiting import HANG_SECONDS

from heliogram import http_protocol
from heliogram.http import HttpServer, bind
from heliogram.http_protocol import LINGER_BYTES, LINGER_SECONDS, MAX_HEAD
from heliogram.rest import Call, Result, build_app, endpoint
from heliogram.settings import Address

pytestmark = pytest.mark.anyio

MIB = 1 << 20
LIMIT = 16 * MIB
DECLARED = b"POST /Things HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /Things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The loop that tests run on, and the service's own."""
    return "asyncio", {"use_uvloop": request.param}


@endpoint("POST", "/Things", summary="Echo", scope=None, body=dict[str, str])
async def echo(call: Call[None]) -> Result:
    """What was sent."""
    return Result(call.body)


API = build_app([echo], state=None, title="t", version="1", prefixes=("",))


class Running:
    """A server, and where it is."""

    def __init__(self, server: HttpServer, address: tuple[str, int], serving: asyncio.Task[None]) -> None:
        self.server, self.address, self.serving = server, address, serving

    def connect(self) -> socket.socket:
        """A connection that blocks, for a thread."""
        return socket.create_connection(self.address, timeout=HANG_SECONDS)

    async def until(self, there: Callable[[], bool]) -> None:
        """Lets the loop go on until it is so; the test's own time is the limit."""
        while not there():
            await asyncio.to_thread(lambda: None)

    @property
    def dropped(self) -> int:
        """Bytes that the one connection read for nothing."""
        (connection,) = self.server.server_state.connections
        assert isinstance(connection, http_protocol.BoundedHttp)
        return connection._dropped

    async def gone(self) -> None:
        """Waits until nobody is connected."""
        await self.until(lambda: not self.server.server_state.connections)


@contextlib.asynccontextmanager
async def running(app: ASGIApp = API, **tls: Path) -> AsyncIterator[Running]:
    """A server that waits for its connections without end when it stops."""
    listener = bind(Address("127.0.0.1", 0), option="--listen")
    server = HttpServer(app, **tls)
    server.config.timeout_graceful_shutdown = None
    address = listener.getsockname()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    try:
        yield Running(server, address, serving)
    finally:
        server.should_exit = True
        await serving


def said(connection: socket.socket) -> bytes:
    """All that the server says, up to its end."""
    got = b""
    while part := connection.recv(65_536):
        got += part
    return got


def is_413(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 413 ") and b"connection: close" in answer.lower() and answer.endswith(b"}")


def body_of(size: int, *, chunked: bool) -> list[bytes]:
    """A request with a body of so many bytes, in pieces of a MiB."""
    pieces = [b"x" * MIB] * (size // MIB)
    if not chunked:
        return [DECLARED % size, *pieces]
    return [CHUNKED, *[b"%x\r\n%b\r\n" % (MIB, piece) for piece in pieces], b"0\r\n\r\n"]


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_client_that_sends_100_mib_before_it_reads_gets_the_413(chunked: bool) -> None:
    """Not a reset: the answer, whole, and then the end."""

    def talk(connection: socket.socket) -> bytes:
        with connection:
            for piece in body_of(100 * MIB, chunked=chunked):
                connection.sendall(piece)
            return said(connection)

    async with running() as there:
        assert is_413(await asyncio.to_thread(talk, there.connect()))
        await there.gone()


async def test_over_tls_as_well(tmp_path: Path) -> None:
    """Which has no half-closed connections: the client goes by the answer's length and closes."""
    authority, file = Authority(tmp_path), tmp_path / "server.pem"
    context = ssl.create_default_context(cafile=authority.cafile)

    def talk(raw: socket.socket) -> bytes:
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            for piece in body_of(32 * MIB, chunked=False):
                connection.sendall(piece)
            return connection.recv(65_536)

    async with running(tls_cert=file, tls_key=file) as there:
        assert (await asyncio.to_thread(talk, there.connect())).startswith(b"HTTP/1.1 413 ")
        await there.gone()


async def test_a_request_that_is_whole_is_closed_at_once() -> None:
    """Nothing more is to come: no connection is kept for it."""
    async with running() as there:
        with there.connect() as connection:
            request = b"POST /Things HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
            connection.sendall(request)
            assert (await asyncio.to_thread(said, connection)).startswith(b"HTTP/1.1 200 ")
            await there.gone()  # while the client keeps its end open


async def test_what_is_dropped_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound the connection is still there; with a byte more it is not, whatever else comes."""
    assert LINGER_BYTES == 128 * MIB
    monkeypatch.setattr(http_protocol, "LINGER_BYTES", 2 * MIB)
    async with running() as there:
        with there.connect() as connection:
            connection.sendall(DECLARED % (LIMIT + 1))
            assert is_413(await asyncio.to_thread(said, connection))
            await asyncio.to_thread(connection.sendall, b"x" * 2 * MIB)
            await there.until(lambda: there.dropped == 2 * MIB)
            assert there.server.server_state.connections
            connection.sendall(b"x")
            await there.gone()


async def test_a_client_that_never_stops_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast it sends."""
    monkeypatch.setattr(http_protocol, "LINGER_BYTES", 8 * MIB)

    def pour(connection: socket.socket) -> None:
        with connection:
            connection.sendall(CHUNKED)
            while True:
                connection.sendall(b"%x\r\n%b\r\n" % (MIB, b"x" * MIB))

    async with running() as there:
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(pour, there.connect())
        await there.gone()


async def test_a_trickle_is_cut_off_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is far from the bound of bytes: the loop's time ends it."""
    assert LINGER_SECONDS == 10
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.05)

    async def trickle(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x")
            await asyncio.sleep(0)

    async with running() as there:
        with there.connect() as connection:
            connection.sendall(DECLARED % (LIMIT + 1))
            assert is_413(await asyncio.to_thread(said, connection))
            with pytest.raises(ConnectionError):
                await trickle(connection)
            await there.gone()


async def test_a_client_that_neither_sends_nor_closes_is_cut_off_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its answer."""
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.05)
    async with running() as there:
        with there.connect() as connection:
            connection.sendall(DECLARED % (LIMIT + 1))
            assert is_413(await asyncio.to_thread(said, connection))
            await there.gone()


async def test_a_head_that_is_too_large_is_told_to_who_is_still_sending_it() -> None:
    """And what comes after it is no request any more."""

    def talk(connection: socket.socket) -> bytes:
        with connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            for _ in range(100):
                connection.sendall(b"x" * MAX_HEAD)
            connection.sendall(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return said(connection)

    async with running() as there:
        answer = await asyncio.to_thread(talk, there.connect())
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"The request's headers are larger than 65536 bytes.")
        assert answer.count(b"HTTP/1.1") == 1
        await there.gone()


async def test_the_servers_end_does_not_wait_for_who_is_still_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for whom it lingers already."""
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 1e6)
    async with running() as there:
        with there.connect() as connection:
            connection.sendall(DECLARED % (LIMIT + 1))
            assert is_413(await asyncio.to_thread(said, connection))
            assert there.server.server_state.connections
            there.server.should_exit = True
            await there.serving


async def test_an_answer_given_while_the_server_stops_begins_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor for whom it answers only then."""
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 1e6)
    asked, stopping = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await stopping.wait()
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with running(slow) as there:
        with there.connect() as connection:
            connection.sendall(DECLARED % LIMIT)
            await asked.wait()
            (protocol,) = there.server.server_state.connections
            there.server.should_exit = True
            await there.until(lambda: protocol._leaving)  # type: ignore[union-attr]
            stopping.set()
            await there.serving
            assert (await asyncio.to_thread(said, connection)).startswith(b"HTTP/1.1 413 ")
