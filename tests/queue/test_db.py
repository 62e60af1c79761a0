"""Leases from the store's chunk table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import FakeClock
from support.stores import Bench, opened, recipients_of

from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.ports import InHand, LeasedChunk, WorkStore
from heliogram.queue import DbQueue
from heliogram.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

BOTH = (Lane.TX, Lane.BULK)


@pytest.fixture
async def queue(bench: Bench) -> AsyncIterator[DbQueue]:
    made = DbQueue(bench.store, bench.clock, "w1")
    yield made
    await made.close()


async def waiting(bench: Bench, queue: DbQueue, lanes: tuple[Lane, ...] = BOTH) -> asyncio.Task[list[LeasedChunk]]:
    """A lease that found nothing and set its timer."""
    task = asyncio.create_task(queue.lease(lanes, 4))
    await bench.clock.timer_set()
    return task


async def on_shard(bench: Bench, shard: int) -> Operation:
    """A small send on another shard."""
    recipients = recipients_of(1)
    operation = bench.operation(recipients)
    await bench.store.accept(bench.account, operation, cut(operation.id, recipients), shard=shard)
    return operation


async def test_what_is_due_is_leased_at_once(bench: Bench, queue: DbQueue) -> None:
    """A chunk that waits is handed out without any timer."""
    operation = await bench.accept(recipients_of(2))
    (chunk,) = await queue.lease(BOTH, 4)
    assert (chunk.operation_id, chunk.attempt) == (operation.id, 1)
    assert chunk.until == bench.clock.ms + 60_000
    assert bench.clock.timers == []


async def test_the_fast_lane_goes_first(bench: Bench, queue: DbQueue) -> None:
    """Small sends overtake large ones that were accepted before."""
    await bench.accept(recipients_of(101))
    bench.clock.advance(1)
    await bench.accept(recipients_of(1))
    assert [chunk.lane for chunk in await queue.lease(BOTH, 1)] == [Lane.TX]
    assert [chunk.lane for chunk in await queue.lease(BOTH, 1)] == [Lane.BULK]


async def test_a_lease_fills_up_from_later_lanes(bench: Bench, queue: DbQueue) -> None:
    """Up to `limit` chunks come, the earlier lanes' first."""
    await bench.accept(recipients_of(1))
    await bench.accept(recipients_of(1500))
    assert [chunk.lane for chunk in await queue.lease(BOTH, 3)] == [Lane.TX, Lane.BULK, Lane.BULK]


async def test_a_wake_ends_the_wait(bench: Bench, queue: DbQueue) -> None:
    """What was put into the lane is leased on the hint, without time passing."""
    task = await waiting(bench, queue)
    operation = await bench.accept(recipients_of(1))
    queue.wake(Lane.TX)
    assert [chunk.operation_id for chunk in await task] == [operation.id]


async def test_a_wake_of_another_lane_is_not_for_this_waiter(bench: Bench, queue: DbQueue) -> None:
    """A hint for a lane nobody asked for wakes nobody."""
    task = await waiting(bench, queue, (Lane.BULK,))
    queue.wake(Lane.TX)
    assert bench.clock.timers == [1.0]
    assert not task.done()
    task.cancel()


async def test_an_idle_queue_looks_again_after_the_poll_interval(bench: Bench, queue: DbQueue) -> None:
    """Another process's chunk is found without a hint, 1 s later at most."""
    task = await waiting(bench, queue)
    assert bench.clock.timers == [1.0]
    operation = await bench.accept(recipients_of(1))
    bench.clock.advance(1)
    assert [chunk.operation_id for chunk in await task] == [operation.id]


async def test_a_retry_comes_back_when_it_falls_due(bench: Bench, queue: DbQueue) -> None:
    """A chunk given back until later is waited for by its own time, and is another attempt."""
    await bench.accept(recipients_of(1))
    (chunk,) = await queue.lease(BOTH, 1)
    assert await queue.retry(chunk, bench.clock.ms + 750)
    task = await waiting(bench, queue)
    assert bench.clock.timers == [0.75]
    bench.clock.advance(0.75)
    (again,) = await task
    assert (again.id, again.attempt) == (chunk.id, 2)


async def test_a_lease_that_expires_is_taken_over(bench: Bench, queue: DbQueue) -> None:
    """A worker that fell silent loses the chunk when its lease ends, and cannot finish it any more."""
    await bench.accept(recipients_of(1))
    (lost,) = await DbQueue(bench.store, bench.clock, "dead", lease_ms=750).lease(BOTH, 1)
    task = await waiting(bench, queue)
    assert bench.clock.timers == [0.75]
    bench.clock.advance(0.75)
    (taken,) = await task
    assert taken.attempt == 2
    assert not await queue.done(lost)
    assert not await queue.extend(lost)
    assert await queue.done(taken)


async def test_an_extended_lease_is_not_taken_over(bench: Bench, queue: DbQueue) -> None:
    """Renewing counts from now, by the queue's lease time."""
    await bench.accept(recipients_of(1))
    (chunk,) = await queue.lease(BOTH, 1)
    bench.clock.advance(59.999)
    assert await queue.extend(chunk)
    assert await bench.store.next_due(Lane.TX, 0) == bench.clock.ms + 60_000


async def test_a_finished_chunk_completes_its_operation(bench: Bench, queue: DbQueue) -> None:
    """`done` with the last chunk completes the operation."""
    operation = await bench.accept(recipients_of(1))
    (chunk,) = await queue.lease(BOTH, 1)
    assert await queue.done(chunk)
    done = await bench.store.get_operation(bench.account, operation.id)
    assert done is not None
    assert done.status is OperationStatus.COMPLETED


async def test_closing_ends_every_wait(bench: Bench, queue: DbQueue) -> None:
    """Waiting leases return empty-handed, later ones at once."""
    task = await waiting(bench, queue)
    await queue.close()
    assert await task == []
    assert await queue.lease(BOTH, 1) == []
    assert bench.clock.timers == []


async def test_a_cancelled_lease_leaves_nothing_leased(bench: Bench, queue: DbQueue) -> None:
    """What was being claimed for a caller who went away can be claimed at once."""
    await bench.accept(recipients_of(1))
    task = asyncio.create_task(queue.lease(BOTH, 1))
    await asyncio.sleep(0)  # let it ask the store
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await queue.close()  # waits for what is being given back
    (chunk,) = await DbQueue(bench.store, bench.clock, "w2").lease(BOTH, 1)
    assert chunk.recipients == recipients_of(1)


async def test_what_is_claimed_while_closing_is_given_back(bench: Bench, queue: DbQueue) -> None:
    """A closing queue hands nothing out and keeps nothing leased."""
    await bench.accept(recipients_of(1))
    task = asyncio.create_task(queue.lease(BOTH, 1))
    await asyncio.sleep(0)
    await queue.close()
    assert await task == []
    assert len(await DbQueue(bench.store, bench.clock, "w2").lease(BOTH, 1)) == 1


async def test_shards_take_turns(bench: Bench) -> None:
    """No shard starves another: each comes first in its turn."""
    queue = DbQueue(bench.store, bench.clock, "w", shards=(0, 1))
    for _ in range(2):
        await on_shard(bench, 0)
        await on_shard(bench, 1)
    shards = [(await queue.lease(BOTH, 1))[0].shard for _ in range(4)]
    assert sorted(shards[:2]) == [0, 1]
    assert sorted(shards[2:]) == [0, 1]
    await queue.close()


async def test_other_shards_are_left_alone(bench: Bench, queue: DbQueue) -> None:
    """A worker of shard 0 sees nothing of shard 1."""
    await on_shard(bench, 1)
    task = await waiting(bench, queue)
    assert bench.clock.timers == [1.0]
    task.cancel()


async def test_two_workers_never_hold_one_chunk(bench: Bench) -> None:
    """Each chunk goes to exactly one of many leases that run at once."""
    await bench.accept(recipients_of(4000))
    queues = [DbQueue(bench.store, bench.clock, f"w{n}") for n in range(4)]
    leased = await asyncio.gather(*(queue.lease(BOTH, 2) for queue in queues))
    ids = [chunk.id for chunks in leased for chunk in chunks]
    assert len(ids) == 8
    assert len(set(ids)) == 8


async def test_another_process_is_found_through_the_file(tmp_path: Path) -> None:
    """Two stores on one file share one queue."""
    clock = FakeClock()
    async with opened(tmp_path, clock=clock) as here, opened(tmp_path, clock=clock) as there:
        queue = DbQueue(here.store, clock, "here")
        task = await waiting(here, queue)
        operation = await there.accept(recipients_of(1))
        clock.advance(5)
        assert [chunk.operation_id for chunk in await task] == [operation.id]


class _FailsAtBulk:
    """A store whose second lane cannot be read."""

    def __init__(self, store: WorkStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def claim(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[LeasedChunk]:
        if lane is Lane.BULK:
            raise StoreUnavailable("the disk is away")
        return await self._store.claim(lane, shard, limit=limit, now=now, until=until, worker=worker, hand=hand)


async def test_trouble_with_one_lane_does_not_lose_what_another_gave(bench: Bench) -> None:
    """Chunks already leased are returned; the trouble shows at the next call."""
    await bench.accept(recipients_of(1))
    queue = DbQueue(_FailsAtBulk(bench.store), bench.clock, "w")  # type: ignore[arg-type] # the rest by __getattr__
    assert len(await queue.lease(BOTH, 4)) == 1
    with pytest.raises(StoreUnavailable):
        await queue.lease(BOTH, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"shards": ()}, "at least one shard"), ({"lease_ms": 0}, "more than 0"), ({"poll_seconds": 0}, "more than 0")],
)
async def test_settings_are_checked(bench: Bench, options: dict[str, object], message: str) -> None:
    """Settings that cannot work are refused with the reason."""
    with pytest.raises(ValueError, match=message):
        DbQueue(bench.store, bench.clock, "w", **options)  # type: ignore[arg-type] # wrong on purpose


async def test_a_lease_of_nothing_is_refused(queue: DbQueue) -> None:
    """At least one chunk of at least one lane must be asked for."""
    with pytest.raises(ValueError, match="at least 1"):
        await queue.lease(BOTH, 0)
    with pytest.raises(ValueError, match="at least 1"):
        await queue.lease((), 1)


async def test_the_queue_shows_itself_with_counts(queue: DbQueue) -> None:
    """One line says who it is and who waits."""
    assert repr(queue) == "DbQueue('w1', shards=1, waiting=0, held=0)"


async def test_a_lease_that_came_late_is_given_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store took so long for a claim that the lease is nearly over: somebody else may have the chunk by now, so it
    is not begun; it goes back, and the next claim has it."""
    await bench.accept(recipients_of(1))
    queue, claim = DbQueue(bench.store, bench.clock, "w", lease_ms=1_000), bench.store.claim
    late = [501, 500]

    async def slow(*args: Any, **more: Any) -> list[LeasedChunk]:
        chunks = await claim(*args, **more)
        bench.clock.advance(late.pop(0) / 1000 if late else 0)
        return chunks

    monkeypatch.setattr(bench.store, "claim", slow)
    (chunk,) = await queue.lease(BOTH, 1)
    assert (chunk.attempt, late) == (2, [])
