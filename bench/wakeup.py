"""How long what is put at one node waits for another: by PostgreSQL's NOTIFY, by NATS; and what claims take.

Two nodes' stores and queues (with NATS a dispatcher's, too) in this process, real servers that flush to the disk. One
send at a time, at random moments, so that nothing is batched: what is measured is the way, not the throughput.
"""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import uvloop

from bench.fleet import Servers
from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import Content, Recipient, SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.observe.clock import SystemClock
from heliogram.ports import Hold, LeasedChunk
from heliogram.queue.db import DbQueue
from heliogram.queue.nats import Broker, Dispatcher, Layout, Link, NatsQueue
from heliogram.store.postgres import PostgresStore

APART = 0.02
"""Seconds between two sends, half as much to one and a half times."""
CLAIM = 64
CLAIM_BACKLOG = 4096


class Way(NamedTuple):
    """Milliseconds of each send: until its 202 could be told, and from there until the other node had it leased."""

    accepted: list[float]
    leased: list[float]


def wakeup(nats: int, sends: int) -> None:
    """Both ways, and claims."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    print("\nfrom `put` at one node to `lease` at another, one send at a time, milliseconds: p50, p99")
    with tempfile.TemporaryDirectory(prefix="heliogram-bench-") as folder, ExitStack() as stack:
        servers = Servers(stack, Path(folder), nats)
        for name, recipients, broker in (
            ("NOTIFY, send to one", 1, False),
            ("NOTIFY, campaign of two chunks", 1000, False),
            ("NATS, send to one (reference by the API node)", 1, True),
            ("NATS, campaign of two chunks (by a dispatcher)", 1000, True),
        ):
            queue = servers.queue if broker else []
            way = uvloop.run(measure(servers.database, queue, recipients, sends))
            print(f"  {name:48} durable after {_two(way.accepted)}, leased {_two(way.leased)} later", flush=True)
        took, found = uvloop.run(claims(servers.database))
        print(f"  a claim of {CLAIM} chunks of {CLAIM_BACKLOG} that wait: {_two(took)} ({found} claimed)", flush=True)


def _two(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({statistics.quantiles(values, n=100)[-1]:.2f})"


class Nodes:
    """Stores on one database, and what is put into them."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack, self._url = stack, url
        self.clock = SystemClock()
        self.ids = IdFactory(self.now)

    def now(self) -> int:
        """Milliseconds."""
        return int(self.clock.time() * 1000)

    async def store(self) -> PostgresStore:
        """Another node's."""
        store = await PostgresStore.open(self._url, ids=self.ids, clock=self.clock)
        self._stack.push_async_callback(store.close)
        return store

    def operation(self, account: bytes, recipients: int) -> tuple[Operation, list[Any]]:
        """A send that is due, and its chunks."""
        now, to = self.now(), [Recipient(token=secrets.token_bytes(32)) for _ in range(recipients)]
        operation = Operation(
            account_id=account,
            id=self.ids.new(),
            spec=SendSpec(app_name="bench", content=Content(body="hello")),
            lane=Lane.of(recipients),
            recipients=recipients,
            status=OperationStatus.PROCESSING,
            created=now,
            updated=now,
        )
        return operation, list(cut(operation.id, to))


async def measure(url: str, queue: list[str], recipients: int, sends: int) -> Way:
    """Puts so many sends at one node and leases them at another."""
    async with AsyncExitStack() as stack:
        nodes = Nodes(stack, url)
        here, there = await nodes.store(), await nodes.store()
        put, take = await (_by_nats if queue else _by_bell)(stack, nodes, here, there, queue)
        account = (await here.default_account()).id
        way, leased = Way([], []), asyncio.Queue[tuple[float, bytes]]()
        working = asyncio.create_task(_work(take, leased))
        for turn in range(sends + 20):
            await asyncio.sleep(APART * random.uniform(0.5, 1.5))
            operation, chunks = nodes.operation(account, recipients)
            accept = functools.partial(_accept, here, account, operation, chunks)
            begin = time.perf_counter()
            await put.put(operation, chunks, accept)
            durable = time.perf_counter()
            first, *_ = [(await leased.get())[0] for _ in chunks]
            if turn >= 20:
                way.accepted.append((durable - begin) * 1000)
                way.leased.append((first - durable) * 1000)
        await take.close()
        await working
        return way


def _accept(
    store: PostgresStore, account: bytes, operation: Operation, chunks: list[Any], hold: Hold | None
) -> Awaitable[None]:
    return store.accept(account, operation, chunks, hold=hold)


async def _work(queue: DbQueue, leased: asyncio.Queue[tuple[float, bytes]]) -> None:
    while chunks := await queue.lease([Lane.TX, Lane.BULK], 8):
        at = time.perf_counter()
        for chunk in chunks:
            await queue.done(chunk)
            leased.put_nowait((at, chunk.id))


async def _by_bell(
    stack: AsyncExitStack, nodes: Nodes, here: PostgresStore, there: PostgresStore, _: list[str]
) -> tuple[DbQueue, DbQueue]:
    put, take = DbQueue(here, nodes.clock, "here"), DbQueue(there, nodes.clock, "there")
    stack.callback(there.wakes(lambda lane, _shard: take.wake(lane)))
    return put, take


async def _by_nats(
    stack: AsyncExitStack, nodes: Nodes, here: PostgresStore, there: PostgresStore, queue: list[str]
) -> tuple[DbQueue, DbQueue]:
    async def broker(name: str) -> Broker:
        link = await Link.open(queue, name=name)
        stack.push_async_callback(link.close)
        made = await Broker.open(link, Layout(), nodes.clock)
        stack.push_async_callback(made.close)
        return made

    here.hush()
    dispatcher = Dispatcher(await nodes.store(), nodes.clock, await broker("dispatcher"))
    running = asyncio.create_task(dispatcher.run())

    async def end() -> None:
        dispatcher.close()
        await running

    put = NatsQueue(here, nodes.clock, "here", await broker("here"))
    take = NatsQueue(there, nodes.clock, "there", await broker("there"))
    stack.push_async_callback(put.close)
    stack.push_async_callback(end)
    while dispatcher.shards < Layout().shards:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.05)
    return put, take


async def claims(url: str) -> tuple[list[float], int]:
    """What each claim took until nothing waited any more, milliseconds."""
    async with AsyncExitStack() as stack:
        nodes = Nodes(stack, url)
        store = await nodes.store()
        account = (await store.default_account()).id
        for _ in range(CLAIM_BACKLOG // CLAIM):
            made = [nodes.operation(account, 1) for _ in range(CLAIM)]
            await asyncio.gather(*[store.accept(account, operation, chunks) for operation, chunks in made])
        took, found = list[float](), list[LeasedChunk]()
        while True:
            begin = time.perf_counter()
            got = await store.claim(
                Lane.TX, 0, limit=CLAIM, now=nodes.now(), until=nodes.now() + 60_000, worker="claims"
            )
            if not got:
                return took, len(found)
            took.append((time.perf_counter() - begin) * 1000)
            found += got
