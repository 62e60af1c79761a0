"""A service whose APNs is in trouble, and the worker's part played until everything accepted has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.live import Live
from support.oracle import Disk, Received, judge
from support.service import Service

from heliogram.domain.operations import Lane

DAY = 26 * 3600.0


class Outage:
    """One account whose pushes meet the trouble, another one of another team at the other environment, whose do not."""

    def __init__(self, live: Live, directory: Path) -> None:
        self.live, self.directory = live, directory
        self.operations: list[str] = []
        self.others: list[str] = []
        self.credential = ""
        self.other: Service
        self.other_token = ""
        self.tokens: list[str] = []

    async def begin(self, phones: int) -> None:
        """Two teams, and phones for them."""
        live = self.live
        self.credential = await live.credential()
        self.tokens = [live.phone()[1] for _ in range(phones)]
        self.other = await live.service.tenant()
        await self.other.app_named("shop", "APN_SANDBOX", content=live.key(team="OTHERTEAM1"))
        _, self.other_token = live.phone("sandbox")

    async def send(self, *tokens: str, **more: Any) -> None:
        """One operation to these phones; to all without."""
        self.operations.append(await self.live.send(*(tokens or self.tokens), **more))

    async def neighbour_sends(self) -> bool:
        """Whether a push of the other team goes out at once, whatever waits."""
        body = {"to": [{"token": self.other_token, "provider": "APN"}], "content": {"body": "Hello"}}
        answer = await self.other.post("", body)
        assert answer.status_code == 202, answer.text
        operation = answer.json()["operationId"]
        self.others.append(operation)
        await self.work(0)
        told = (await self.other.get(f"/Operations/{operation}")).json()
        return bool(told["status"] == "COMPLETED" and told["stats"]["sent"] == 1)

    async def failing(self) -> dict[str, Any] | None:
        """What the API says of the credential."""
        found: dict[str, Any] | None = (await self.live.get(f"/Credentials/{self.credential}"))["failing"]
        return found

    async def stats(self) -> dict[str, int]:
        """The counters of all operations together."""
        whole: dict[str, int] = {}
        for operation in self.operations:
            for name, count in (await self.live.get(f"/Operations/{operation}"))["stats"].items():
                whole[name] = whole.get(name, 0) + count
        return whole

    async def work(self, seconds: float, *, enough: Callable[[], bool] = lambda: False) -> int:
        """Plays the workers for so long; how many chunks they had."""
        clock, store = self.live.clock, self.live.service.store
        end, done = clock.time() + seconds, 0
        while not enough():
            for lane in Lane:
                done += await self.deliver(lane)
            due = [await store.next_due(lane, 0) for lane in Lane]
            soonest = min((each for each in due if each is not None), default=None)
            if soonest is None or soonest / 1000 > end:
                break
            clock.advance(max(0.0, soonest / 1000 - clock.time()))
        if not enough():
            clock.advance(max(0.0, end - clock.time()))
        return done

    async def deliver(self, lane: Lane) -> int:
        """Delivers what is due; while the engine waits for APNs or for its own clock, time passes."""
        task = asyncio.create_task(self.live.deliver(lane))
        journal, quiet, rounds = self.live.simulator.apns.journal, 0, 0
        while not task.done():
            before = journal.added
            await asyncio.to_thread(lambda: None)
            quiet = quiet + 1 if before == journal.added and self._is_waiting() else 0
            rounds += self._is_waiting()
            if quiet > 30 or rounds > 200:
                self.live.clock.advance(0.5)
                quiet, rounds = 20, 190
        return await task

    def _is_waiting(self) -> bool:
        stats = [held._pushes.stats() for held in self.live.provider._held.values()]
        return any(each.in_flight or each.waiting for each in stats)

    async def finish(self) -> Received:
        """Everything ends; the simulator's side and the API's agree."""
        await self.work(DAY)
        received = Received().look(self.live.simulator)
        told = []
        for caller, operations in ((self.live.service, self.operations), (self.other, self.others)):
            for operation in operations:
                found = (await caller.get(f"/Operations/{operation}")).json()
                page = await caller.get("", operationId=operation, include="deliveries", pageSize=1000)
                told.append((found, page.json()["pushNotifications"]))
                assert found["status"] == "COMPLETED", found
        unanswered = Disk(self.directory / "heliogram.db").read().unrecorded
        judge(told, received, unrecorded=unanswered).check()
        return received
