"""What the HTTP server does with requests that never reach the application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from heliogram.http import MAX_HEAD, HttpServer, bind
from heliogram.settings import Address

pytestmark = pytest.mark.anyio

START = b"GET / HTTP/1.1\r\nHost: a\r\nX: "


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a running server."""
    listener = bind(Address("127.0.0.1", 0), option="--listen")
    server = HttpServer(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.should_exit = True
        await serving


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server ends the connection."""
    got = b""
    try:
        while part := await reader.read(65_536):
            got += part
    except ConnectionError:
        pass
    return got


async def test_a_head_of_the_limit_is_answered() -> None:
    """`MAX_HEAD` bytes of headers are fine, in as many pieces as they come."""
    async with connected() as (reader, writer):
        end = b"\r\n\r\n"
        writer.write(START)
        await writer.drain()
        writer.write(b"x" * (MAX_HEAD - len(START) - len(end)) + end)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"


async def test_an_idle_connection_outlives_its_client_and_not_the_server() -> None:
    """Clients forget idle connections after 5 to 60 s; the server waits for none of them when it stops."""
    assert HttpServer(app).config.timeout_keep_alive > 60
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"


async def test_a_head_without_an_end_is_refused() -> None:
    """Nobody, and least of all a stranger, makes the server keep a head that grows without end."""
    async with connected() as (reader, writer):
        writer.write(START + b"x" * (MAX_HEAD + 1 - len(START)))
        answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert str(MAX_HEAD).encode() in answer


async def test_trailers_without_an_end_are_refused() -> None:
    """Trailers are kept like headers, and bounded like them."""
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        writer.write(b"x" * 100 * MAX_HEAD)
        assert await ended(reader) == b""


async def test_a_long_body_is_not_taken_for_a_head() -> None:
    """What counts is the head alone: bodies have their own limit."""
    async with connected() as (reader, writer):
        size = 10 * MAX_HEAD
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(len(str(size))) == str(size).encode()
