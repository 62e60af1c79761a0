"""A process of an installation, for tests that kill it: `python -m support.nats_node DATABASE URL PREFIX NAME ROLE`.

`dispatch` dispatches; `work` finishes whatever comes and prints a line for each chunk that it finished; `hold` takes
chunks, says so, and does nothing with them. All end when their standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from heliogram.domain.ids import IdFactory
from heliogram.domain.operations import Lane
from heliogram.observe.clock import SystemClock
from heliogram.queue.nats import Broker, Dispatcher, Layout, Link, NatsQueue
from heliogram.store.sqlite import SqliteStore

LEASE_MS = 2_000
TOKEN_S = 1.0
SHARDS = 8


def say(*words: object) -> None:
    """A line to whoever started this."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def layout_of(prefix: str) -> Layout:
    """What all processes of a test are told."""
    return Layout(prefix=prefix, shards=SHARDS, lease_ms=LEASE_MS, token_s=TOKEN_S)


async def work(queue: NatsQueue, *, hold: bool) -> None:
    """Takes what comes, until the queue is closed."""
    say("ready")
    while chunks := await queue.lease([Lane.TX, Lane.BULK], 4):
        for chunk in chunks:
            if hold:
                say("held", chunk.id.hex(), chunk.attempt)
            elif await queue.done(chunk):
                say("done", chunk.id.hex(), chunk.attempt)
        if hold:
            await asyncio.Event().wait()


async def main(database: str, url: str, prefix: str, name: str, role: str) -> None:
    """Runs a node until standard input ends."""
    loop, clock = asyncio.get_running_loop(), SystemClock()
    over = loop.create_task(asyncio.to_thread(sys.stdin.read))
    store = await SqliteStore.open(database, ids=IdFactory(lambda: int(clock.time() * 1000)), clock=clock)
    link = await Link.open(url, name=name)
    broker = await Broker.open(link, layout_of(prefix), clock)
    queue, dispatcher = NatsQueue(store, clock, name, broker), Dispatcher(store, clock, broker)
    if role == "dispatch":
        task = loop.create_task(dispatcher.run())
        say("ready")
    else:
        task = loop.create_task(work(queue, hold=role == "hold"))
    await over
    dispatcher.close()
    await queue.close()
    await task
    await broker.close()
    await link.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
