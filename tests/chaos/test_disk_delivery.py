"""Delivery while outcomes cannot be written: they are kept, nothing is sent twice, and it goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from support.disks import BROKEN, FULL, READ_ONLY, SickDisk, sick_disk
from support.live import Live, living
from support.oracle import Received, judge

from heliogram.delivery.worker import Worker
from heliogram.domain.errors import Code
from heliogram.domain.operations import Lane

pytestmark = pytest.mark.anyio
DEVICES = 12


@pytest.fixture
def disk() -> Iterator[SickDisk]:
    with sick_disk() as made:
        yield made


class Stuck:
    """Two operations, of which the first was sent while the disk stopped taking its outcomes."""

    def __init__(self, live: Live, disk: SickDisk, worker: Worker, task: asyncio.Task[None]) -> None:
        self.live, self.disk, self.worker, self.task = live, disk, worker, task
        self.received = Received()
        self.operations: list[str] = []

    async def pass_time(self, seconds: int) -> None:
        """Second by second, everything having its turn in between."""
        for _ in range(seconds):
            self.live.clock.advance(1)
            await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.to_thread(lambda: None)

    async def completed(self) -> None:
        """Lets time pass until all has ended, and asks the simulator whether it is true."""
        for operation in self.operations:
            async with asyncio.timeout(90):
                while (await self.live.get(f"/Operations/{operation}"))["status"] != "COMPLETED":
                    await self.pass_time(1)
        told = [
            (
                await self.live.get(f"/Operations/{operation}"),
                (await self.live.get("", operationId=operation, include="deliveries", pageSize=1000))[
                    "pushNotifications"
                ],
            )
            for operation in self.operations
        ]
        judge(told, self.received.look(self.live.simulator)).check()


@asynccontextmanager
async def stuck(directory: Path, disk: SickDisk, trouble: int = FULL) -> AsyncIterator[Stuck]:
    async with living(directory) as live:
        await live.credential()
        tokens = [live.phone()[1] for _ in range(DEVICES)]
        worker = Worker(live.tools, [Lane.TX], slots=1)
        operations = [await live.send(*tokens), await live.send(*tokens)]
        disk.commits = 1  # the claim's
        task = asyncio.create_task(worker.run())
        made = Stuck(live, disk, worker, task)
        made.operations = operations
        try:
            await live.until(lambda: live.tools.stall.is_on)
            disk.trouble = trouble
            yield made
        finally:
            disk.trouble = 0
            worker.drain()
            await live.service.queue.close()
            live.clock.advance(10)
            task.cancel()
            await asyncio.wait([task])


@pytest.mark.parametrize("trouble", [FULL, BROKEN, READ_ONLY])
async def test_outcomes_that_cannot_be_written_are_kept(tmp_path: Path, disk: SickDisk, trouble: int) -> None:
    """For longer than any lease: nothing is sent again, nothing further is begun; then all of it goes on by itself."""
    with structlog.testing.capture_logs() as lines:
        async with stuck(tmp_path, disk, trouble) as it:
            await it.pass_time(150)
            assert it.received.look(it.live.simulator).accepted.total() == DEVICES
            operation = await it.live.get(f"/Operations/{it.operations[0]}")
            assert (operation["stats"]["queued"], operation["stats"]["sent"]) == (DEVICES, 0)
            assert disk.refused < 150  # backed off: two tries in five seconds, and the heartbeats
            disk.trouble = 0
            await it.completed()
            assert it.received.duplicates == {}
    assert [line for line in lines if line["event"] == "chunk.failed"] == []
    assert 1 <= len([line for line in lines if line["event"] == "store.trouble"]) <= 3


@pytest.mark.parametrize(
    ("trouble", "code", "seconds"),
    [(FULL, Code.STORE_FULL, "30"), (READ_ONLY, Code.STORE_READ_ONLY, "30"), (BROKEN, Code.UNAVAILABLE, "5")],
)
async def test_sends_are_refused_meanwhile_and_reads_go_on(
    tmp_path: Path, disk: SickDisk, trouble: int, code: Code, seconds: str
) -> None:
    """503 with a code of its own and when to come again; nothing of what was refused is there."""
    async with stuck(tmp_path, disk, trouble) as it:
        body = {"to": [{"token": "ab" * 32, "provider": "APN"}], "content": {"body": "x"}}
        for _ in range(3):
            answer = await it.live.service.post("", body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, seconds)
            assert answer.json()["code"] == code
            assert str(tmp_path) not in answer.text
        listed = await it.live.get("/Operations")
        assert {each["id"] for each in listed["operations"]} == set(it.operations)
        disk.trouble = 0
        await it.completed()


async def test_a_service_that_is_stopped_meanwhile_stops(tmp_path: Path, disk: SickDisk) -> None:
    """Who waits for the disk does not wait for ever: what is cancelled ends, and nothing more is sent."""
    async with stuck(tmp_path, disk) as it:
        it.worker.drain()
        it.task.cancel()
        async with asyncio.timeout(90):
            await asyncio.wait([it.task])
        assert it.received.look(it.live.simulator).accepted.total() == DEVICES
