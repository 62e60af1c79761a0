"""Workers lease, keep leases alive, and drain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from delivery.conftest import Delivery
from support.apns_server import ApnsServer, accept_all, hold
from support.stores import recipients_of

from heliogram.delivery.heartbeats import HEARTBEAT_S, LAPSED_AFTER
from heliogram.delivery.single import SingleDelivery
from heliogram.delivery.worker import Worker
from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk

pytestmark = pytest.mark.anyio


async def finish(delivery: Delivery, worker: Worker, task: asyncio.Task[None]) -> None:
    """Ends a worker as the service does."""
    worker.drain()
    await delivery.tools.queue.close()
    await task


async def test_a_worker_delivers_what_is_accepted_while_it_waits(delivery: Delivery, apns: ApnsServer) -> None:
    """Waking the lane is enough; no timer has to ring."""
    await delivery.app()
    worker = Worker(delivery.tools, [Lane.TX], slots=2)
    task = asyncio.create_task(worker.run())
    operation = await delivery.bench.accept(recipients_of(3))
    delivery.tools.queue.wake(Lane.TX)
    await apns.received(3)
    await finish(delivery, worker, task)
    assert (await delivery.operation(operation)).stats.sent == 3
    assert worker.delivered == 1


async def test_draining_finishes_what_is_held(delivery: Delivery, apns: ApnsServer) -> None:
    """`drain` leases nothing more, and `run` returns when the answers under way are recorded."""
    await delivery.app()
    apns.on_request = hold
    worker = Worker(delivery.tools, [Lane.TX], slots=1)
    task = asyncio.create_task(worker.run())
    operation = await delivery.bench.accept(recipients_of(1))
    delivery.tools.queue.wake(Lane.TX)
    (request,) = await apns.received(1)
    worker.drain()
    await delivery.tools.queue.close()
    assert not task.done()
    apns.peers[0].accept(request)
    await task
    assert (await delivery.operation(operation)).stats.sent == 1


async def test_a_lease_is_renewed_while_answers_are_awaited(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow answers do not cost the lease: after several heartbeats nobody else can claim the chunk."""
    await delivery.app()
    extend, renewed = delivery.tools.queue.extend_all, asyncio.Event()

    async def watched(chunks: Sequence[LeasedChunk]) -> int:
        done = await extend(chunks)
        renewed.set()
        return done

    monkeypatch.setattr(delivery.tools.queue, "extend_all", watched)
    apns.on_request = hold
    worker = Worker(delivery.tools, [Lane.TX], slots=1)
    task = asyncio.create_task(worker.run())
    operation = await delivery.bench.accept(recipients_of(1))
    delivery.tools.queue.wake(Lane.TX)
    (request,) = await apns.received(1)
    clock, store = delivery.bench.clock, delivery.bench.store
    for _ in range(6):
        renewed.clear()
        clock.advance(HEARTBEAT_S)
        await renewed.wait()
    assert await store.claim(Lane.TX, 0, limit=1, now=clock.ms, until=clock.ms + 1, worker="other") == []
    apns.peers[0].accept(request)
    await finish(delivery, worker, task)
    assert (await delivery.operation(operation)).stats.sent == 1


async def test_a_chunk_that_fails_goes_back_and_is_tried_again(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while delivering loses nothing: the chunk waits and goes again."""
    await delivery.app()
    store = delivery.bench.store
    real = store.look_up
    gave_back = asyncio.Event()

    async def broken(account: bytes, wanted: object) -> object:
        monkeypatch.setattr(store, "look_up", real)
        raise RuntimeError("the disk is gone")

    retry = delivery.tools.queue.retry

    async def watched(chunk: LeasedChunk, due: int) -> bool:
        done = await retry(chunk, due)
        gave_back.set()
        return done

    monkeypatch.setattr(store, "look_up", broken)
    monkeypatch.setattr(delivery.tools.queue, "retry", watched)
    worker = Worker(delivery.tools, [Lane.TX], slots=1)
    task = asyncio.create_task(worker.run())
    operation = await delivery.bench.accept(recipients_of(1))
    delivery.tools.queue.wake(Lane.TX)
    await gave_back.wait()
    delivery.bench.clock.advance(5.0)
    delivery.tools.queue.wake(Lane.TX)
    await apns.received(1)
    await finish(delivery, worker, task)
    assert (await delivery.operation(operation)).stats.sent == 1


async def test_a_campaign_leaves_the_slots_of_small_sends_free(delivery: Delivery, apns: ApnsServer) -> None:
    """Each lane has its own worker: a stuck campaign does not hold a single push up."""
    await delivery.app()
    apns.on_request = hold
    workers = [Worker(delivery.tools, [lane], slots=1) for lane in Lane]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    campaign = await delivery.bench.accept(recipients_of(101))
    delivery.tools.queue.wake(Lane.BULK)
    await apns.received(1)
    single = await delivery.bench.accept(recipients_of(1))
    delivery.tools.queue.wake(Lane.TX)
    apns.on_request = accept_all
    # The engine lets one push go first until APNs has accepted the provider token; then the rest follows.
    apns.peers[0].accept(apns.requests[0])
    await apns.received(102)
    for worker, task in zip(workers, tasks, strict=True):
        await finish(delivery, worker, task)
    assert (await delivery.operation(single)).stats.sent == 1
    assert (await delivery.operation(campaign)).stats.sent == 101


async def test_a_lease_that_cannot_be_renewed_ends_the_sending(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before another may have the chunk nothing more of it leaves here."""
    await delivery.app()
    asked = asyncio.Event()

    async def silent(chunks: Sequence[LeasedChunk]) -> int:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return 0

    stopped = list[bool]()
    monkeypatch.setattr(SingleDelivery, "stop", lambda self: stopped.append(True))
    monkeypatch.setattr(delivery.tools.queue, "extend_all", silent)
    apns.on_request = hold
    worker = Worker(delivery.tools, [Lane.TX], slots=1)
    task = asyncio.create_task(worker.run())
    await delivery.bench.accept(recipients_of(1))
    delivery.tools.queue.wake(Lane.TX)
    (request,) = await apns.received(1)
    for beats in (1, 1, LAPSED_AFTER - 2.01):
        delivery.bench.clock.advance(HEARTBEAT_S * beats)
        await asked.wait()
    assert not stopped
    delivery.bench.clock.advance(HEARTBEAT_S * 0.02)
    assert stopped
    apns.peers[0].accept(request)
    await finish(delivery, worker, task)
