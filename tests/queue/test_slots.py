"""How the queue keeps account of who works on what."""

from __future__ import annotations

import asyncio

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk, Slots
from heliogram.queue import DbQueue

pytestmark = pytest.mark.anyio

SLOTS = Slots(total=3, account=2, flow=1)


async def passed_over(bench: Bench, queue: DbQueue) -> tuple[LeasedChunk, asyncio.Task[list[LeasedChunk]]]:
    """One chunk of a queue in hand, and a lease that waits because it may have no more."""
    for _ in range(3):
        await bench.accept(recipients_of(1))
    (chunk,) = await queue.lease([Lane.TX], 3, slots=SLOTS)
    task = asyncio.create_task(queue.lease([Lane.TX], 2, slots=SLOTS))
    await bench.clock.timer_set()
    return chunk, task


async def test_what_may_not_be_had_is_not_asked_for_again_and_again(bench: Bench) -> None:
    """What is due and passed over sets no timer: the poll alone goes on."""
    queue = DbQueue(bench.store, bench.clock, "w")
    _, task = await passed_over(bench, queue)
    assert bench.clock.timers == [1.0]
    assert not task.done()
    await queue.close()
    assert await task == []


@pytest.mark.parametrize("how", ["done", "retry", "unwatch"])
async def test_a_chunk_that_ends_lets_the_next_go_at_once(bench: Bench, how: str) -> None:
    """Done, given back, or let go of by whoever was fenced off: no time has to pass."""
    queue = DbQueue(bench.store, bench.clock, "w")
    chunk, task = await passed_over(bench, queue)
    if how == "done":
        assert await queue.done(chunk)
    elif how == "retry":
        assert await queue.retry(chunk, bench.clock.ms + 60_000)
    else:
        queue.watch(chunk, lambda: None)()
    (following,) = await task
    assert following.operation_id != chunk.operation_id
    assert "held=1)" in repr(queue)


async def test_what_falls_due_later_is_waited_for_beside_it(bench: Bench) -> None:
    """Another app's retry has its timer, whatever is passed over."""
    queue = DbQueue(bench.store, bench.clock, "w")
    await bench.accept(recipients_of(1), app_name="other")
    (other,) = await queue.lease([Lane.TX], 1, slots=SLOTS)
    assert await queue.retry(other, bench.clock.ms + 250)
    _, task = await passed_over(bench, queue)
    assert bench.clock.timers == [0.25]
    bench.clock.advance(0.25)
    assert [chunk.id for chunk in await task] == [other.id]


async def test_lanes_are_counted_apart(bench: Bench) -> None:
    """A campaign in hand takes nothing from small sends."""
    queue = DbQueue(bench.store, bench.clock, "w")
    await bench.accept(recipients_of(101))
    await bench.accept(recipients_of(1))
    assert len(await queue.lease([Lane.BULK], 1, slots=SLOTS)) == 1
    assert len(await queue.lease([Lane.TX], 1, slots=SLOTS)) == 1


async def test_without_slots_nothing_is_kept_account_of(bench: Bench) -> None:
    """Whoever names none gets what there is."""
    queue = DbQueue(bench.store, bench.clock, "w")
    for _ in range(3):
        await bench.accept(recipients_of(1))
    assert len(await queue.lease([Lane.TX], 3)) == 3
    assert "held=0)" in repr(queue)
