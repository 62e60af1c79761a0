"""Heliogram as a load: sends pushes to a sink in the way asked for and prints what it cost, as one line of JSON.

    python bench/load.py PORT CAFILE PUSHES [--way many|send] [--loop asyncio|uvloop] [--connections N] [--concurrent N]
                         [--warm N] [--open] [--marks N] [--queued N] [--key P8 --tokens FILE]

Every push has an id and a body of its own. Pushes sent before the clock starts (`--warm`) open the first connection;
with `--open` they go on until all connections are open. Seconds of CPU and wall do not contain them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from heliogram.apns import Accepted, Alert, Client, Notification, Outcome, SigningKey

TEAM = "DEF123GHIJ"
PAGE = os.sysconf("SC_PAGE_SIZE")


def pushes(count: int, tokens: list[str]) -> Iterator[tuple[str, Notification]]:
    """A distinct body for each push, and a token of its own unless there are `tokens` to choose from."""
    known = cycle(tokens)
    for i in range(count):
        text = f"Your order {i} has left our warehouse and will be with you tomorrow."
        alert = Alert(title="On its way", body=text)
        yield next(known) if tokens else f"{i:064x}", Notification(alert=alert, badge=i % 100, custom={"order": i})


def cpu() -> float:
    """CPU seconds this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss() -> int:
    """Bytes of this process that are in memory; where /proc is missing, the most there ever were."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(statm.read_text().split()[1]) * PAGE


class Load:
    """One client and how its pushes ended."""

    def __init__(self, options: argparse.Namespace, client: Client) -> None:
        self.options = options
        self.client = client
        self.ended: Counter[str] = Counter()
        self.marks: list[int] = []
        self.times: list[float] = []
        self.tokens = Path(options.tokens).read_text().split() if options.tokens else []

    def seen(self, outcome: Outcome) -> None:
        """Count an outcome that is not what a plain run has."""
        self.ended[type(outcome).__name__] += 1

    def mark(self) -> None:
        """So many more pushes have ended."""
        self.marks.append(rss())
        self.times.append(time.perf_counter())

    async def many(self, count: int, every: int) -> None:
        """All pushes through one `send_many`."""
        done = accepted = 0
        async for outcome in self.client.send_many(pushes(count, self.tokens), concurrency=self.options.queued):
            done += 1
            if type(outcome) is Accepted:
                accepted += 1
            else:
                self.seen(outcome)
            if not done % every:
                self.mark()
        self.ended["Accepted"] += accepted

    async def send(self, count: int, every: int) -> None:
        """`await client.send(...)` in tasks that share one source."""
        source, client = pushes(count, self.tokens), self.client
        done = accepted = 0

        async def worker() -> None:
            nonlocal done, accepted
            for token, notification in source:
                outcome = await client.send(token, notification)
                done += 1
                if type(outcome) is Accepted:
                    accepted += 1
                else:
                    self.seen(outcome)
                if not done % every:
                    self.mark()

        await asyncio.gather(*(worker() for _ in range(self.options.concurrent)))
        self.ended["Accepted"] += accepted

    async def open(self) -> None:
        """Push until every allowed connection carries pushes, at most 30 seconds."""
        begin, wanted = time.perf_counter(), self.options.connections

        async def endless() -> AsyncIterator[tuple[str, Notification]]:
            for push in pushes(10**9, self.tokens):
                if len(self.client.pool.connections) >= wanted or time.perf_counter() - begin > 30:
                    return
                yield push

        async for _ in self.client.send_many(endless()):
            pass

    async def round_trip(self) -> float:
        """Seconds of a push on an idle connection, the least of five."""
        least = 60.0
        for token, notification in islice(pushes(5, self.tokens), 5):
            begin = time.perf_counter()
            await self.client.send(token, notification)
            least = min(least, time.perf_counter() - begin)
        return least

    async def run(self) -> dict[str, Any]:
        """Warm up, measure, tell."""
        options = self.options
        work = self.many if options.way == "many" else self.send
        await self.many(options.warm, 10**9)
        if options.open:
            await self.open()
        least = await self.round_trip()
        self.ended.clear()
        begin, before = time.perf_counter(), cpu()
        await work(options.pushes, options.marks)
        spent, took = cpu() - before, time.perf_counter() - begin
        told = {"cpu": spent, "wall": took, "ended": self.ended, "marks": self.marks, "times": self.times}
        return told | {"connections": len(self.client.pool.connections), "round_trip": least}


def signing_key(options: argparse.Namespace) -> SigningKey:
    """The key asked for, or a new one: a sink does not look."""
    if options.key:
        return SigningKey.from_p8(Path(options.key).read_text(), key_id=options.key_id, team_id=TEAM)
    return SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id=options.key_id, team_id=TEAM)


async def run(options: argparse.Namespace, key: SigningKey) -> None:
    """The client, its load, and the line of JSON."""
    client = Client(
        key,
        topic="com.example.app",
        endpoint=f"127.0.0.1:{options.port}",
        cafile=options.cafile,
        max_connections=options.connections,
        timeout=options.timeout,
    )
    async with client:
        print(json.dumps(await Load(options, client).run()))


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("cafile")
    parser.add_argument("pushes", type=int)
    parser.add_argument("--way", choices=["many", "send"], default="many")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--connections", type=int, default=1, help="at most")
    parser.add_argument("--concurrent", type=int, default=1000, help="tasks of --way send")
    parser.add_argument("--warm", type=int, default=2000, help="pushes before the clock starts")
    parser.add_argument("--open", action="store_true", help="open all connections before the clock starts")
    parser.add_argument("--marks", type=int, default=10**9, help="pushes between two readings of memory and clock")
    parser.add_argument("--queued", type=int, help="most pushes under way at a time with --way many")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds of one push")
    parser.add_argument("--key", help="file with the .p8 to sign with, in place of a new one")
    parser.add_argument("--key-id", default="ABC123DEFG")
    parser.add_argument("--tokens", help="file with the device tokens to cycle over")
    options = parser.parse_args()
    work: Coroutine[Any, Any, None] = run(options, signing_key(options))
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main()
