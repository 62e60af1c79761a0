"""Several processes on one store and one broker, some of them killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import nats_node
from support.nats import NatsServer, delete, settled
from support.stores import recipients_of
from support.waiting import HANG_SECONDS

from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import Content, SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.observe.clock import SystemClock
from heliogram.ports import Hold
from heliogram.queue.nats import Broker, Link, NatsQueue
from heliogram.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


class Process:
    """A node in a process of its own, and the lines that it printed."""

    def __init__(self, *args: str) -> None:
        command = [sys.executable, "-m", nats_node.__name__, *args]
        env = {**os.environ, "PYTHONPATH": str(Path(nats_node.__file__).parents[1])}
        self.lines: list[list[str]] = []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.split())

    def said(self, word: str) -> list[list[str]]:
        """The lines that begin with a word."""
        return [line for line in list(self.lines) if line[0] == word]

    def kill(self) -> None:
        """Ends it from one moment to the next."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Ends it in order, if it still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(HANG_SECONDS)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Installation:
    """The test's own end, which accepts, and the processes."""

    def __init__(self, store: SqliteStore, account: bytes, ids: IdFactory, queue: NatsQueue, *args: str) -> None:
        self.store, self.account, self.ids, self.queue = store, account, ids, queue
        self._args = args
        self.processes: list[Process] = []

    async def start(self, name: str, role: str) -> Process:
        """Another process, at work."""
        process = Process(*self._args, name, role)
        self.processes.append(process)

        async def ask() -> bool:
            return bool(process.said("ready"))

        await settled(ask, what=f"{name} at work")
        return process

    async def send(self, count: int, shard: int) -> Operation:
        """Accepts an operation."""
        recipients, now = recipients_of(count), int(SystemClock().time() * 1000)
        operation = Operation(
            account_id=self.account,
            id=self.ids.new(),
            spec=SendSpec(app_name="shop", content=Content(body="hello")),
            lane=Lane.of(count),
            recipients=count,
            status=OperationStatus.PROCESSING,
            created=now,
            updated=now,
        )
        chunks = cut(operation.id, recipients)

        async def accept(hold: Hold | None) -> None:
            await self.store.accept(self.account, operation, chunks, shard=shard, hold=hold)

        await self.queue.put(operation, chunks, accept, shard=shard)
        return operation

    async def completed(self, operations: list[Operation]) -> bool:
        """Whether all are."""
        found = [await self.store.get_operation(self.account, each.id) for each in operations]
        return all(each is not None and each.status is OperationStatus.COMPLETED for each in found)


@pytest.fixture
async def installation(tmp_path: Path, nats_server: NatsServer, anyio_backend: str) -> AsyncIterator[Installation]:
    """No process yet."""
    clock, database, prefix = SystemClock(), str(tmp_path / "heliogram.db"), f"proc-{tmp_path.name[:24]}"
    ids = IdFactory(lambda: int(clock.time() * 1000))
    store = await SqliteStore.open(database, ids=ids, clock=clock)
    link = await Link.open(nats_server.url)
    layout = nats_node.layout_of(prefix)
    broker = await Broker.open(link, layout, clock)
    queue = NatsQueue(store, clock, "api", broker)
    account = (await store.default_account()).id
    made = Installation(store, account, ids, queue, database, nats_server.url, prefix)
    yield made
    for process in made.processes:
        process.close()
    await queue.close()
    await broker.close()
    for stream in layout.streams:
        await delete(link, f"STREAM.DELETE.{stream}")
    await link.close()
    await store.close()


async def test_processes_share_the_work_and_outlive_each_other(installation: Installation) -> None:
    """A worker and the dispatcher are killed with work in hand: everything is finished once, by the others."""
    first = await installation.start("d1", "dispatch")
    holds = await installation.start("holds", "hold")
    sent = [await installation.send(101 if n % 10 == 0 else 1, n % 8) for n in range(40)]

    async def held() -> bool:
        return bool(holds.said("held"))

    await settled(held, what="a chunk in hand")
    holds.kill()
    workers = [await installation.start(name, "work") for name in ("w1", "w2")]
    first.kill()
    await installation.start("d2", "dispatch")
    sent += [await installation.send(1, n % 8) for n in range(40)]
    await settled(lambda: installation.completed(sent), what="all operations")
    done = Counter(line[1] for worker in workers for line in worker.said("done"))
    assert done == Counter(operation.id.hex() for operation in sent)
    taken_over = {line[1] for line in holds.said("held")}
    attempts = {line[1]: int(line[2]) for worker in workers for line in worker.said("done")}
    assert all(attempts[chunk] >= 2 for chunk in taken_over)
