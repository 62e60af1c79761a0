"""What is done again and again beside sending."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.clock import FakeClock
from support.stores import opened, recipients_of, token_of

from heliogram.domain.accounts import AuditEvent
from heliogram.domain.operations import Lane
from heliogram.ports import Window
from heliogram.upkeep import FIRST_SECONDS, PAUSE_SECONDS, Chore, Step, Upkeep, chores_of

pytestmark = pytest.mark.anyio

DAY = 86_400


class Counter:
    """A chore that counts its slices, and has so many to do at each turn."""

    def __init__(self, name: str, *, every: float, slices: int = 1, fails: bool = False) -> None:
        self.chore = Chore(name=name, every=every, slice=self._slice)
        self.count = 0
        self._slices, self._fails = slices, fails

    async def _slice(self) -> Step:
        self.count += 1
        if self._fails:
            raise OSError("the disk is full")
        return Step(2, self.count % self._slices != 0)


async def settle(clock: FakeClock) -> None:
    """Lets the task run until it waits for the clock."""
    for _ in range(20):
        await asyncio.sleep(0)
    await clock.timer_set()


async def ended(upkeep: Upkeep, task: asyncio.Task[None]) -> None:
    upkeep.stop()
    async with asyncio.timeout(90):
        await task


async def test_the_first_time_comes_soon_and_each_then_has_its_own() -> None:
    """Nothing at once, for the start has enough to do; then every chore at its interval."""
    clock, often, seldom = FakeClock(), Counter("often", every=60), Counter("seldom", every=100)
    upkeep = Upkeep([often.chore, seldom.chore], clock)
    task = asyncio.create_task(upkeep.run())
    await settle(clock)
    clock.advance(FIRST_SECONDS - 0.1)
    await settle(clock)
    assert (often.count, seldom.count) == (0, 0)
    clock.advance(0.1)
    await settle(clock)
    assert (often.count, seldom.count) == (1, 1)
    clock.advance(60)
    await settle(clock)
    assert (often.count, seldom.count) == (2, 1)
    clock.advance(40)
    await settle(clock)
    assert (often.count, seldom.count) == (2, 2)
    await ended(upkeep, task)
    assert repr(upkeep) == "Upkeep(chores=2, stopped=True)"


async def test_slices_are_pauses_apart_and_told_in_one_line() -> None:
    """Others get the writer in between; the line says what was done, and there is none for nothing."""
    clock, counter = FakeClock(), Counter("much", every=60, slices=3)
    idle = Chore(name="idle", every=60, slice=_nothing)
    upkeep = Upkeep([counter.chore, idle], clock, first=0)
    with capture_logs() as lines:
        task = asyncio.create_task(upkeep.run())
        for slices in (1, 2, 3):
            await settle(clock)
            assert counter.count == slices
            assert clock.timers == [pytest.approx(PAUSE_SECONDS if slices < 3 else 60, abs=1e-3)]
            clock.advance(PAUSE_SECONDS)
        await ended(upkeep, task)
    assert [(line["event"], line["chore"], line["done"], line["slices"]) for line in lines] == [
        ("upkeep.done", "much", 6, 3)
    ]


async def _nothing() -> Step:
    return Step(0, more=False)


async def test_one_that_fails_stops_no_other() -> None:
    """It is told, and tried again at its next time."""
    clock, bad, good = FakeClock(), Counter("bad", every=60, fails=True), Counter("good", every=60)
    upkeep = Upkeep([bad.chore, good.chore], clock, first=0)
    with capture_logs() as lines:
        task = asyncio.create_task(upkeep.run())
        await settle(clock)
        clock.advance(60)
        await settle(clock)
        await ended(upkeep, task)
    assert (bad.count, good.count) == (2, 2)
    assert [line["event"] for line in lines if line["chore"] == "bad"] == ["upkeep.failed"] * 2


async def test_stopping_waits_for_the_slice_under_way_alone() -> None:
    """What was begun is ended, nothing more is begun."""
    clock, going = FakeClock(), asyncio.Event()
    begun, calls = asyncio.Event(), []

    async def slice_() -> Step:
        calls.append(1)
        begun.set()
        await going.wait()
        return Step(1, more=True)

    upkeep = Upkeep([Chore(name="slow", every=1, slice=slice_)], clock, first=0)
    task = asyncio.create_task(upkeep.run())
    await begun.wait()
    upkeep.stop()
    await asyncio.sleep(0)
    assert not task.done()
    going.set()
    async with asyncio.timeout(90):
        await task
    assert calls == [1]


@pytest.mark.parametrize("days", [1, 7, 365])
async def test_a_service_forgets_what_is_over(tmp_path: Path, days: int) -> None:
    """Sends and deleted users after the days of the setting, the audit log after 400 days, keys after one."""
    async with opened(tmp_path) as bench:
        store, clock = bench.store, bench.clock
        made = await bench.accept(recipients_of(1))
        (chunk,) = await store.claim(Lane.TX, 0, limit=9, now=clock.ms, until=clock.ms + 9, worker="w")
        await store.finish(chunk, clock.ms)
        user = await store.ensure_user(bench.account, "ada", clock.ms)
        await store.delete_user(bench.account, user, clock.ms)
        event = AuditEvent(id=bench.ids.new(), at=clock.ms, actor="cli", action="a", subject="s")
        await store.record_audit(bench.account, event)
        chores = chores_of(store, clock, retention_days=days, history_days=90)
        clock.advance(days * DAY - 1)
        await work(chores)
        assert await store.get_operation(bench.account, made.id) is not None
        assert await store.get_user(bench.account, user) is not None
        clock.advance(1)
        await work(chores)
        assert await store.get_operation(bench.account, made.id) is None
        assert await store.get_user(bench.account, user) is None
        assert (await store.list_audit(bench.account, Window())).items == (event,)
        clock.advance(401 * DAY)
        await work(chores)
        assert (await store.list_audit(bench.account, Window())).items == ()


@pytest.mark.parametrize("days", [1, 90, 365])
async def test_what_happened_to_devices_is_forgotten_after_its_own_time(tmp_path: Path, days: int) -> None:
    """At the bound of the setting, not a millisecond before."""
    async with opened(tmp_path) as bench:
        await bench.app()
        made = await bench.device(token_of(1))
        await bench.store.delete_registration(bench.account, made.registration_id)

        async def told() -> int:
            listed = await bench.store.device_history(bench.account, Window(), user_id=made.user_id)
            return len(listed.items)

        chores = chores_of(bench.store, bench.clock, retention_days=1, history_days=days)
        bench.clock.advance(days * DAY)
        await work(chores)
        assert await told() == 1
        bench.clock.advance(1)
        await work(chores)
        assert await told() == 0


async def work(chores: list[Chore]) -> None:
    """Every chore to its end."""
    for chore in chores:
        while (await chore.slice()).more:
            pass


async def test_every_hour_certificates_that_end_soon_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the chore of that name."""
    async with opened(tmp_path) as bench:
        asked: list[int] = []

        async def warn(now: int) -> list[object]:
            asked.append(now)
            return []

        monkeypatch.setattr(bench.store, "warn_of_ending_credentials", warn)
        chores = chores_of(bench.store, bench.clock, retention_days=7, history_days=90)
        (chore,) = [c for c in chores if c.name == "certificates"]
        await chore.slice()
        assert (asked, chore.every) == ([bench.clock.ms], 3600)
