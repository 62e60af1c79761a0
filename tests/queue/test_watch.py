"""Deliveries hear of cancellations, and scheduled work of steps of the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk
from heliogram.queue import DbQueue
from heliogram.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def queue(bench: Bench) -> AsyncIterator[DbQueue]:
    made = DbQueue(bench.store, bench.clock, "w1")
    yield made
    await made.close()


async def held(bench: Bench, queue: DbQueue) -> LeasedChunk:
    await bench.accept(recipients_of(1))
    (chunk,) = await queue.lease([Lane.TX], 1)
    return chunk


async def test_a_cancellation_of_this_process_is_told_at_once(bench: Bench, queue: DbQueue) -> None:
    """To those that hold a chunk of it, once, and to nobody else."""
    mine, other = await held(bench, queue), await held(bench, queue)
    told: list[str] = []
    unwatch = queue.watch(mine, lambda: told.append("mine"))
    queue.watch(other, lambda: told.append("other"))()
    queue.canceled(mine.operation_id)
    queue.canceled(mine.operation_id)
    queue.canceled(other.operation_id)
    assert told == ["mine"]
    unwatch()
    assert bench.clock.timers == []


async def test_a_cancellation_of_another_process_is_told_within_a_second(bench: Bench, queue: DbQueue) -> None:
    """The store is asked as long as a chunk is held; trouble of the store ends nothing."""
    chunk, told = await held(bench, queue), asyncio.Event()
    unwatch = queue.watch(chunk, told.set)
    real, asked = bench.store.canceled_of, asyncio.Event()

    async def broken(chunks: object) -> set[bytes]:
        bench.store.canceled_of = real  # type: ignore[method-assign] # broken once
        asked.set()
        raise StoreUnavailable("locked")

    bench.store.canceled_of = broken  # type: ignore[method-assign] # broken once
    bench.clock.advance(0.5)
    await asked.wait()
    await bench.clock.timer_set()
    assert not told.is_set()
    await bench.store.cancel_operation(bench.account, chunk.operation_id, bench.clock.ms)
    bench.clock.advance(0.5)
    await told.wait()
    unwatch()
    assert bench.clock.timers == []


async def test_a_clock_that_steps_on_makes_due_what_it_passed(bench: Bench, queue: DbQueue) -> None:
    """A timer does not hear of the step: the queue looks again every second."""
    operation = await bench.accept(recipients_of(1), send_at=bench.clock.ms + 86_400_000)
    task = asyncio.create_task(queue.lease([Lane.TX], 1))
    await bench.clock.timer_set()
    assert bench.clock.timers == [1.0]
    bench.clock.step(86_400)
    bench.clock.advance(1)
    assert [chunk.operation_id for chunk in await task] == [operation.id]


async def test_a_clock_that_steps_back_puts_off_what_was_due(bench: Bench, queue: DbQueue) -> None:
    """The time to send at is on the wall: it comes once, when the clock says so again."""
    operation = await bench.accept(recipients_of(1), send_at=bench.clock.ms + 500)
    task = asyncio.create_task(queue.lease([Lane.TX], 1))
    await bench.clock.timer_set()
    assert bench.clock.timers == [0.5]
    bench.clock.step(-10)
    for _ in range(10):
        bench.clock.advance(1)
        await bench.clock.timer_set()
        assert not task.done()
    bench.clock.advance(0.5)
    (chunk,) = await task
    assert (chunk.operation_id, bench.clock.ms) == (operation.id, operation.send_at)
