"""What retention costs those who send: the longest slice of the writer's time, and how long a send waits beside it.

Fills a store with operations of 10,000 recipients and their results, then removes them in slices as the service does,
while small sends are accepted, claimed, recorded and finished one after another. Run it with `python
bench/retention.py --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import Content, DeliveryRecord, Outcome, Recipient, SendSpec
from heliogram.domain.operations import Counts, Lane, Operation, OperationStatus, cut
from heliogram.observe.clock import SystemClock
from heliogram.store.sqlite import SqliteStore
from heliogram.upkeep import PAUSE_SECONDS

OPERATION = 10_000
DAY_MS = 86_400_000
TARGET_MS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipients", type=int, default=1_000_000, help="to be removed (default 1000000)")
    parser.add_argument("--small", type=int, default=20_000, help="sends to one, to be removed too (default 20000)")
    options = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}")
    with tempfile.TemporaryDirectory(prefix="heliogram-bench-") as directory:
        return asyncio.run(Bench(Path(directory)).run(options.recipients, options.small))


class Bench:
    """A store, and the moves that fill, send and remove."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "heliogram.db"
        self.clock = SystemClock()
        self.ids = IdFactory(self.now)
        self.slices: list[float] = []
        self.cpu: list[float] = []

    def now(self) -> int:
        return int(self.clock.time() * 1000)

    async def run(self, recipients: int, small: int) -> int:
        self.store = await SqliteStore.open(self.file, ids=self.ids, clock=self.clock)
        self.account = (await self.store.default_account()).id
        try:
            await self.fill(recipients, small)
            return await self.measure(recipients)
        finally:
            await self.store.close()

    async def fill(self, recipients: int, small: int) -> None:
        begin = time.perf_counter()
        for number in range(max(1, recipients // OPERATION)):
            tokens = [Recipient(token=os.urandom(32)) for _ in range(min(OPERATION, recipients))]
            await self.send(tokens, Lane.BULK, at=number)
        for first in range(0, small, 100):
            await asyncio.gather(
                *(self.accept([Recipient(token=os.urandom(32))]) for _ in range(min(100, small - first)))
            )
            await self.deliver(Lane.TX)
        print(f"filled in {time.perf_counter() - begin:.0f} s: {self.file.stat().st_size / 1e6:,.0f} MB")

    async def accept(self, recipients: list[Recipient], lane: Lane = Lane.TX) -> None:
        now = self.now()
        operation = Operation(
            account_id=self.account,
            id=self.ids.new(),
            spec=SendSpec(
                app_name="bench", content=Content(title="Hello", body="Your parcel 4711 is out for delivery")
            ),
            lane=lane,
            recipients=len(recipients),
            status=OperationStatus.PROCESSING,
            created=now,
            updated=now,
        )
        await self.store.accept(self.account, operation, cut(operation.id, recipients))

    async def deliver(self, lane: Lane) -> None:
        now = self.now()
        chunks = await self.store.claim(lane, 0, limit=200, now=now, until=now + 60_000, worker="bench")
        await asyncio.gather(*(self.finish(chunk) for chunk in chunks))

    async def finish(self, chunk: Any) -> None:
        now, credential = self.now(), b"c" * 16
        records = [
            DeliveryRecord(
                sequence=chunk.first + place,
                slot=0,
                outcome=Outcome.ACCEPTED,
                final=True,
                at=now,
                token=recipient.token,
                credential=credential,
                status=200,
                wire_ms=12,
            )
            for place, recipient in enumerate(chunk.recipients)
        ]
        await self.store.append_records(chunk, records, Counts(sent=len(records)))
        await self.store.finish(chunk, now)

    async def send(self, recipients: list[Recipient], lane: Lane, at: int = 0) -> None:
        await self.accept(recipients, lane)
        await self.deliver(lane)

    async def sending(self, stop: Callable[[], bool]) -> list[float]:
        """One small send after another, how long each took (ms)."""
        took = []
        while not stop():
            begin = time.perf_counter()
            await self.send([Recipient(token=os.urandom(32))], Lane.TX)
            took.append((time.perf_counter() - begin) * 1000)
        return took

    def timed(self) -> None:
        """Measures every job of `remove_ended` and `compact` inside the writer."""
        write = self.store._write

        async def timing(job: Callable[[apsw.Connection], Any], **how: Any) -> Any:
            def timed(connection: apsw.Connection) -> Any:
                begin, cpu = time.perf_counter(), time.thread_time()
                try:
                    return job(connection)
                finally:
                    if "retention" in job.__code__.co_filename:
                        self.slices.append((time.perf_counter() - begin) * 1000)
                        self.cpu.append((time.thread_time() - cpu) * 1000)

            return await write(timed, **how)

        self.store._write = timing  # type: ignore[method-assign]

    async def remove(self) -> int:
        rows, place = 0, None
        before = self.now()
        while True:
            removal = await self.store.remove_ended(before, before + 7 * DAY_MS, after=place)
            rows += removal.rows
            place = removal.next
            if place is None:
                return rows
            await asyncio.sleep(PAUSE_SECONDS)

    async def compact(self) -> int:
        pages = 0
        while moved := await self.store.compact():
            pages += moved
            await asyncio.sleep(PAUSE_SECONDS)
        return pages

    async def measure(self, recipients: int) -> int:
        quiet = time.perf_counter() + 3
        alone = await self.sending(lambda: time.perf_counter() > quiet)
        self.timed()
        missed = 0
        for name, work, unit in (("remove", self.remove, "rows"), ("compact", self.compact, "pages")):
            self.slices.clear()
            self.cpu.clear()
            begin, size = time.perf_counter(), self.file.stat().st_size
            task = asyncio.create_task(work())
            beside = await self.sending(task.done)
            took = time.perf_counter() - begin
            await self.store.checkpoint()
            worst = max(self.slices, default=0.0)
            missed += worst > TARGET_MS
            print(
                f"{name:8} {await task:9,} {unit} in {took:5.1f} s, {len(self.slices):,} slices: median"
                f" {statistics.median(self.slices or [0]):.1f} ms, longest {worst:.1f} ms"
                f" (CPU {max(self.cpu or [0]):.1f} ms)"
                f" (target {TARGET_MS:.0f}: {'miss' if worst > TARGET_MS else 'PASS'});"
                f" file {size / 1e6:,.0f} to {self.file.stat().st_size / 1e6:,.0f} MB"
            )
            print(f"         a send beside it {told(beside)}; alone {told(alone)}")
        return 1 if missed else 0


def told(took: list[float]) -> str:
    ordered = sorted(took) or [0.0]
    return (
        f"p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {ordered[len(ordered) * 99 // 100]:.1f} ms,"
        f" worst {ordered[-1]:.1f} ms ({len(took):,} sends)"
    )


if __name__ == "__main__":
    raise SystemExit(main())
