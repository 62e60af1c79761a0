"""The clock on the wall is set while there is work: nothing is lost, doubled or put off by the step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from support.stores import Bench, opened, recipients_of

from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane
from heliogram.ports import LeasedChunk
from heliogram.store.errors import StoreError
from heliogram.store.sqlite.steps import STEP_MS, ClockSteps
from heliogram.store.sqlite.thinning import MOST_PARTS

pytestmark = pytest.mark.anyio

HOUR = 3600.0
LEASE_MS = 60_000
MINUTE_MS = 60_000


async def claim(bench: Bench, limit: int = 10) -> list[LeasedChunk]:
    """As a queue claims: what is due by the wall now."""
    now = bench.clock.ms
    return await bench.store.claim(Lane.TX, 0, limit=limit, now=now, until=now + LEASE_MS, worker="w")


async def claimed_one(bench: Bench) -> LeasedChunk:
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    return chunk


async def due(bench: Bench) -> int:
    """In how many ms by the wall the next chunk falls due."""
    found = await bench.store.next_due(Lane.TX, 0)
    assert found is not None
    return found - bench.clock.ms


@pytest.mark.parametrize("step", [HOUR, -HOUR, 29 * 24 * HOUR, -29 * 24 * HOUR])
async def test_a_lease_lasts_as_long_as_it_was_to(bench: Bench, step: float) -> None:
    """Neither does a step on hand a running chunk to another, nor does a step back keep one that nobody works on."""
    chunk = await claimed_one(bench)
    bench.clock.step(step)
    assert await claim(bench) == []
    assert await due(bench) == LEASE_MS
    bench.clock.advance(59.9)
    assert await claim(bench) == []
    bench.clock.advance(0.1)
    assert [each.id for each in await claim(bench)] == [chunk.id]


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_heartbeat_right_after_the_step_settles_it(bench: Bench, step: float) -> None:
    """The step is met by a job of the queue, whichever comes first, and counted once."""
    chunk = await claimed_one(bench)
    bench.clock.step(step)
    assert await bench.store.extend(chunk, bench.clock.ms + LEASE_MS)
    assert await claim(bench) == []
    assert await due(bench) == LEASE_MS


async def test_a_wait_is_not_longer_for_a_step_back(bench: Bench) -> None:
    """A quarter of an hour stays one."""
    chunk = await claimed_one(bench)
    await bench.store.release(chunk, bench.clock.ms + 15 * MINUTE_MS, bench.clock.ms)
    bench.clock.step(-HOUR)
    assert await claim(bench) == []
    assert await due(bench) == 15 * MINUTE_MS


async def test_a_step_back_while_a_chunk_is_given_back_makes_its_wait_no_longer(bench: Bench) -> None:
    """Its results, of which there are many, are looked at first: the time given is of before that."""
    chunk = await claimed_one(bench)
    record = DeliveryRecord(sequence=0, slot=0, outcome=Outcome.NOT_SENT, final=False, at=bench.clock.ms)
    for _ in range(MOST_PARTS + 1):
        assert await bench.store.append_records(chunk, [record], Counts())
    store: Any = bench.store
    real = store._read

    async def late(job: Any) -> Any:
        found = await real(job)
        if store._read is late:
            store._read = real
            bench.clock.step(-HOUR)
        return found

    store._read = late
    await bench.store.release(chunk, bench.clock.ms + 15 * MINUTE_MS, bench.clock.ms)
    assert await due(bench) == 15 * MINUTE_MS


async def test_a_wait_ends_early_after_a_step_on(bench: Bench) -> None:
    """What is due by the wall is due: better early than never."""
    chunk = await claimed_one(bench)
    await bench.store.release(chunk, bench.clock.ms + 15 * MINUTE_MS, bench.clock.ms)
    bench.clock.step(HOUR)
    assert [each.id for each in await claim(bench)] == [chunk.id]


async def test_what_was_accepted_before_a_step_back_leaves_at_once(bench: Bench) -> None:
    """A time yet to come stands beside it, and nobody waits for that."""
    before = await bench.accept(recipients_of(1))
    bench.clock.step(-HOUR)
    after = await bench.accept(recipients_of(1))
    assert {each.operation_id for each in await claim(bench)} == {before.id, after.id}


async def test_what_was_accepted_after_a_step_on_leaves_at_once(bench: Bench) -> None:
    """Before the queue has met the step, too."""
    bench.clock.step(HOUR)
    operation = await bench.accept(recipients_of(1))
    assert [each.operation_id for each in await claim(bench)] == [operation.id]


async def test_what_is_scheduled_goes_by_the_wall(bench: Bench) -> None:
    """Its time comes when the wall says so, and once it has begun all of it goes on."""
    operation = await bench.accept(recipients_of(2), size=1, send_at=bench.clock.ms + MINUTE_MS)
    bench.clock.step(-HOUR)
    assert await claim(bench) == []
    assert await due(bench) == MINUTE_MS + 60 * MINUTE_MS
    bench.clock.advance(61 * 60)
    (first,) = await claim(bench, limit=1)
    bench.clock.step(-HOUR)
    (second,) = await claim(bench)
    assert {first.operation_id, second.operation_id} == {operation.id}


async def test_a_step_while_a_claim_waits_for_its_turn_gives_no_lease_that_is_over(bench: Bench) -> None:
    """What it asked for by the old time is given by the new."""
    await bench.accept(recipients_of(1))
    asked = bench.clock.ms
    store: Any = bench.store
    real = store._write

    async def late(job: Any, **how: Any) -> Any:
        bench.clock.step(HOUR)
        return await real(job, **how)

    store._write = late
    (chunk,) = await bench.store.claim(Lane.TX, 0, limit=1, now=asked, until=asked + LEASE_MS, worker="w")
    store._write = real
    assert (chunk.until - bench.clock.ms, chunk.claimed) == (LEASE_MS, bench.clock.ms)
    assert await claim(bench) == []


async def test_what_a_failed_job_moved_is_moved_by_the_next(bench: Bench) -> None:
    """The step and what it does stand or fall together."""
    chunk = await claimed_one(bench)
    bench.clock.step(HOUR)
    store: Any = bench.store

    def fails(connection: object, step: int) -> None:
        raise RuntimeError("away")

    with pytest.raises(RuntimeError):
        await store._write_times(fails)
    assert await claim(bench) == []
    assert await due(bench) == LEASE_MS
    assert await bench.store.extend(chunk, bench.clock.ms + LEASE_MS)


async def test_what_was_moved_with_a_transaction_that_failed_is_moved_by_the_next(tmp_path: Path) -> None:
    """A job that settled a step loses that with what the others of its transaction wrote."""
    async with opened(tmp_path) as bench:
        await claimed_one(bench)
        bench.clock.step(HOUR)
        store: Any = bench.store

        def commit_fails(connection: apsw.Connection, step: int) -> None:
            connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
            connection.execute("CREATE TABLE b (a REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
            connection.execute("INSERT INTO b VALUES (1)")

        with pytest.raises(StoreError):
            await store._write_times(commit_fails)
        assert await claim(bench) == []
        assert await due(bench) == LEASE_MS


async def test_drift_is_no_step(bench: Bench) -> None:
    """Up to a second nothing is moved; from there on all of it is."""
    await claimed_one(bench)
    bench.clock.step((STEP_MS - 1) / 1000)
    assert await claim(bench) == []
    assert await due(bench) == LEASE_MS - STEP_MS + 1
    bench.clock.step(0.001)
    assert await claim(bench) == []
    assert await due(bench) == LEASE_MS


async def test_a_start_after_the_clock_was_set_back_makes_nothing_wait_for_it(bench: Bench) -> None:
    """What was claimed or accepted in what is the future now goes on at once; what is scheduled waits."""
    chunk = await claimed_one(bench)
    record = DeliveryRecord(sequence=0, slot=0, outcome=Outcome.NOT_SENT, final=False, at=bench.clock.ms)
    await bench.store.append_records(chunk, [record], Counts())
    await bench.store.release(chunk, bench.clock.ms + 15 * MINUTE_MS, bench.clock.ms)
    untouched = await bench.accept(recipients_of(1))
    await bench.accept(recipients_of(1), send_at=bench.clock.ms + MINUTE_MS)
    now = bench.clock.ms - 3_600_000
    await bench.store.release_all(now)
    found = await bench.store.claim(Lane.TX, 0, limit=9, now=now, until=now + LEASE_MS, worker="w")
    assert {each.operation_id for each in found} == {chunk.operation_id, untouched.id}


async def test_a_start_leaves_ordinary_waits_alone(bench: Bench) -> None:
    """A quarter of an hour that Apple asked for is kept through a restart."""
    chunk = await claimed_one(bench)
    await bench.store.release(chunk, bench.clock.ms + 15 * MINUTE_MS, bench.clock.ms)
    await bench.store.release_all(bench.clock.ms)
    assert await due(bench) == 15 * MINUTE_MS


async def test_steps_show_themselves(bench: Bench) -> None:
    """One line, for a log."""
    bench.clock.step(1)
    steps = ClockSteps(bench.clock)
    assert repr(steps) == f"ClockSteps(known={steps.mark()})"
