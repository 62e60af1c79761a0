"""What the tests of `Client.send` by its twin share: event loops, a client without a connection, tasks that wait."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from heliogram.apns import Accepted, Client, Notification, SigningKey
from heliogram.apns.job import Job

TOKEN = "ab" * 32
HELLO = Notification(alert="hello")
FINE = Accepted(TOKEN, "id")


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    found: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
    try:
        import uvloop
    except ImportError:
        return found
    return [*found, uvloop.new_event_loop]


@contextmanager
def running(factory: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


def client_of(key: SigningKey, *, native: bool = True, **options: Any) -> Client:
    """One that may open no connection."""
    client = Client(key, topic="com.example.app", endpoint="127.0.0.1:1", rng=random.Random(7), **options)
    client.revoke()
    assert client._send is not None
    if not native:
        client._send = None
    return client


def queued(client: Client) -> list[Job]:
    return list(client.pool._queue.ready)


async def waiting(client: Client, count: int, seen: list[object]) -> list[asyncio.Task[None]]:
    """Tasks that each wait for one push."""
    number: contextvars.ContextVar[int] = contextvars.ContextVar("number")

    async def one(n: int) -> None:
        number.set(n)
        outcome = await client.send(TOKEN, HELLO)
        seen.append((n, number.get(), outcome.ok))

    tasks = [asyncio.create_task(one(n)) for n in range(count)]
    await asyncio.sleep(0)
    return tasks
