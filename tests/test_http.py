"""What the HTTP server does with requests that never reach the application."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from heliogram.http import KEEP_ALIVE_SECONDS, HttpServer, bind
from heliogram.http_protocol import MAX_HEAD
from heliogram.rest import Call, Result, build_app, endpoint
from heliogram.settings import Address

pytestmark = pytest.mark.anyio

START = b"GET / HTTP/1.1\r\nHost: a\r\nX: "


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@endpoint("POST", "/Things", summary="Echo", scope=None, body=dict[str, str])
async def echo(call: Call[None]) -> Result:
    """What was sent."""
    return Result(call.body, headers=call.body)


API = build_app([echo], state=None, title="t", version="1", prefixes=("",))


async def watched(scope: Scope, receive: Receive, send: Send) -> None:
    """The same API, with somebody who sees each message."""

    async def see(message: MutableMapping[str, Any]) -> None:
        await send(message)

    await API(scope, receive, see)


@contextlib.asynccontextmanager
async def connected(
    app: ASGIApp = app, keep_alive: float = KEEP_ALIVE_SECONDS
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a running server."""
    listener = bind(Address("127.0.0.1", 0), option="--listen")
    server = HttpServer(app)
    server.config.timeout_keep_alive = keep_alive  # type: ignore[assignment] # seconds, for which uvicorn has an int
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


def asking(body: object, *, more: str = "", version: str = "1.1", method: str = "POST") -> bytes:
    """A request to the API."""
    raw = json.dumps(body)
    return f"{method} /Things HTTP/{version}\r\nHost: a\r\n{more}Content-Length: {len(raw)}\r\n\r\n{raw}".encode()


@pytest.mark.parametrize(
    "request_",
    [
        asking({"x-thing": "one"}),
        asking({"x-thing": "one"}, version="1.0"),
        asking({"x-thing": "one"}, more="Connection: close\r\n"),
        asking({"Connection": "close"}),
        asking({"x-thing": "a\r\nb: c"}),
        asking({}, method="HEAD"),
        asking([]),
        asking({"n": "1"}) + asking({"n": "2"}) + asking({"n": "3"}),
    ],
    ids=["plain", "1.0", "closing", "closed", "injected", "head", "wrong", "pipelined"],
)
async def test_an_answer_in_one_piece_is_what_its_messages_make(request_: bytes) -> None:
    """Byte for byte but for date and id, whether or not somebody sees the messages go by: nothing at all of what would
    have made a header of its own."""
    last = asking({"x-thing": "last"}, more="Connection: close\r\n")
    answers = []
    for each in (API, watched):
        async with connected(each) as (reader, writer):
            writer.write(request_ + last)
            answers.append(re.sub(rb"(date|x-request-id): [^\r]*\r\n", b"", await ended(reader)))
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 ") is not (b"b: c" in request_)


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    """However many requests it had before, and not while one is being answered."""
    async with connected(API, keep_alive=0.05) as (reader, writer):
        writer.write(asking({"n": "1"}) + asking({"n": "2"}))
        got = await ended(reader)
        assert got.count(b"HTTP/1.1 200 OK") == 2
