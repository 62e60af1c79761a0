"""Receivers of webhooks, real ones on loopback, and couriers that may reach them."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from heliogram.domain.ids import IdFactory
from heliogram.ports import Clock, Sealer, Store
from heliogram.webhooks.connecting import Connector, Resolver
from heliogram.webhooks.courier import Tools
from heliogram.webhooks.posting import Poster
from heliogram.webhooks.pump import Pump
from heliogram.webhooks.service import WebhookService
from heliogram.webhooks.urls import UrlRules

LOOPBACK = UrlRules(allow_http=True, allow_private=True)


class Received(msgspec.Struct):
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its CloudEvents."""
        events: list[dict[str, Any]] = json.loads(self.body)
        return events


Answering = Callable[[Received], bytes]
"""The bytes that answer a POST; empty ones close the connection without an answer."""


def status(code: int, *headers: str, body: str = "") -> bytes:
    """An answer."""
    head = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {code} Said\r\nContent-Length: {len(body)}\r\n{head}\r\n{body}".encode()


class Receiver:
    """An HTTP server that keeps what it got; `answer` says what it answers."""

    def __init__(self) -> None:
        self.got: list[Received] = []
        self.connections = 0
        self.answer: Answering = lambda got: status(200)
        self.came = asyncio.Event()
        """Something came."""
        self.may_answer = asyncio.Event()
        """Cleared, it lets whoever sent something wait."""
        self.may_answer.set()
        self.port = 0
        self.secure = False
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.secure else 'http'}://localhost:{self.port}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events it got, in the order they came."""
        return [event for got in self.got for event in got.events]

    @property
    def types(self) -> list[str]:
        """The last words of their types."""
        return [event["type"].rsplit(".", 1)[1] for event in self.events]

    def refuse(self, code: int = 500, *headers: str) -> None:
        """Answers everything with this status from now on."""
        self.answer = lambda got: status(code, *headers)

    def accept(self) -> None:
        """Takes everything from now on."""
        self.answer = lambda got: status(204)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (got := await _read(reader)) is not None:
                self.got.append(got)
                self.came.set()
                await self.may_answer.wait()
                answer = self.answer(got)
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    def close(self) -> None:
        """Ends what is still open."""
        for writer in self._writers:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split()[1], headers, body)


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, host, 0, ssl=tls)
    receiver.port, receiver.secure = server.sockets[0].getsockname()[1], tls is not None
    try:
        yield receiver
    finally:
        server.close()
        receiver.close()
        await asyncio.sleep(0)
        await server.wait_closed()


def resolving(*found: str) -> Resolver:
    """A resolver that always finds these addresses."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return found

    return resolve


def tools_for(
    store: Store,
    sealer: Sealer,
    clock: Clock,
    *,
    rules: UrlRules = LOOPBACK,
    tls: ssl.SSLContext | None = None,
    resolve: Resolver | None = None,
    seconds: float = 10.0,
    **more: Any,
) -> Tools:
    """What couriers need, on loopback, without jitter."""
    poster = Poster(Connector(rules, tls=tls, resolve=resolve), seconds=seconds)
    settings = {"uniform": lambda low, high: low, **more}
    return Tools(store=store, sealer=sealer, clock=clock, poster=poster, rules=rules, **settings)


def service_for(store: Store, sealer: Sealer, clock: Clock, ids: IdFactory) -> WebhookService:
    """Webhooks for the API, whose pump does not run."""
    tools = tools_for(store, sealer, clock)
    return WebhookService(tools, Pump(tools).wake, ids)
