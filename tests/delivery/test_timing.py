"""What leaves, and what does not any more: cancellations while sending, and the end of a notification's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from delivery.conftest import Delivery
from support.apns_server import ApnsServer, Peer, accept_all, header, hold
from support.stores import recipients_of

from heliogram.delivery.worker import Worker
from heliogram.domain.notifications import NOT_STORED, NotificationStatus, Outcome
from heliogram.domain.operations import Counts, Lane, Operation, OperationStatus
from heliogram.ports import LeasedChunk
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

STREAMS = 10


async def lasting(delivery: Delivery, expires_at: int | None, count: int = 1, **more: Any) -> Operation:
    """An accepted send with an end of its own."""
    spec = msgspec.structs.replace(delivery.bench.operation([]).spec, expires_at=expires_at)
    return await delivery.bench.accept(recipients_of(count), spec=spec, **more)


def unavailable(peer: Peer, request: Received) -> None:
    """APNs in trouble."""
    peer.reject(request, 503, "ServiceUnavailable")


async def half_sent(delivery: Delivery, apns: ApnsServer) -> tuple[Operation, Worker, asyncio.Task[None]]:
    """A campaign of 500 of which only the first ten are on the wire, unanswered."""
    apns.stream_limit = STREAMS
    await delivery.app()
    await delivery.bench.accept(recipients_of(1))
    await delivery.deliver()  # the connection is proven: pushes no longer go one by one
    apns.requests.clear()
    apns.on_request = hold
    worker = Worker(delivery.tools, [Lane.BULK], slots=1)
    task = asyncio.create_task(worker.run())
    operation = await delivery.bench.accept(recipients_of(500))
    delivery.tools.queue.wake(Lane.BULK)
    await apns.received(STREAMS)
    return operation, worker, task


async def answer_and_finish(
    delivery: Delivery, apns: ApnsServer, worker: Worker, task: asyncio.Task[None], operation: Operation
) -> None:
    """What has left is accepted, and only that: the engine may have opened another connection meanwhile."""
    left = len(apns.requests)
    assert STREAMS <= left < 3 * STREAMS
    apns.on_request = accept_all
    for peer in apns.peers:
        for request in [each for each in peer.requests if each in apns.requests]:
            peer.accept(request)
    worker.drain()
    await delivery.tools.queue.close()
    await task
    assert len(apns.requests) == left
    ended = await delivery.operation(operation)
    assert (ended.status, ended.counts) == (OperationStatus.CANCELED, Counts(sent=left, canceled=500 - left))


async def stopping() -> None:
    """Lets the word go from the delivery to the engine, and what was written before arrive."""
    for _ in range(10):
        await asyncio.to_thread(int)


async def test_cancelling_stops_a_chunk_that_is_being_sent(delivery: Delivery, apns: ApnsServer) -> None:
    """What is on the wire gets its outcome, nothing more leaves, and the rest is canceled at once."""
    operation, worker, task = await half_sent(delivery, apns)
    bench = delivery.bench
    await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms)
    delivery.tools.queue.canceled(operation.id)
    await stopping()
    await answer_and_finish(delivery, apns, worker, task, operation)
    told = [notification.status for notification in await delivery.notifications(operation)]
    assert told[:STREAMS] == [NotificationStatus.SENT] * STREAMS
    assert told[-1] is NotificationStatus.CANCELED


async def test_a_cancellation_of_another_process_stops_it_too(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second later the store tells."""
    stopped, watch = asyncio.Event(), delivery.tools.queue.watch

    def watched(chunk: LeasedChunk, stop: Callable[[], object]) -> Callable[[], None]:
        def both() -> None:
            stop()
            stopped.set()

        return watch(chunk, both)

    monkeypatch.setattr(delivery.tools.queue, "watch", watched)
    operation, worker, task = await half_sent(delivery, apns)
    bench = delivery.bench
    await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms)
    bench.clock.advance(0.5)
    await stopped.wait()
    await stopping()
    await answer_and_finish(delivery, apns, worker, task, operation)


async def test_a_canceled_recipient_is_not_sent(delivery: Delivery, apns: ApnsServer) -> None:
    """The others of its chunk are."""
    await delivery.app()
    bench = delivery.bench
    operation = await bench.accept(recipients_of(3))
    await bench.store.cancel_notification(bench.account, operation.id, bench.clock.ms)
    await delivery.deliver()
    assert len(apns.requests) == 2
    ended = await delivery.operation(operation)
    assert (ended.status, ended.counts) == (OperationStatus.COMPLETED, Counts(sent=2, canceled=1))


async def test_a_scheduled_send_counts_from_its_time(delivery: Delivery, apns: ApnsServer) -> None:
    """Neither its waiting nor its day begins before."""
    await delivery.app()
    bench = delivery.bench
    operation = await bench.accept(recipients_of(1), send_at=bench.clock.ms + 48 * 3_600_000)
    bench.clock.advance(48 * 3600 + 2)
    await delivery.deliver()
    (delivered,) = (await delivery.notifications(operation))[0].deliveries
    assert delivered.outcome is Outcome.ACCEPTED
    # The two are told apart by the engine's own clock, which is real here.
    assert delivered.queued_ms + delivered.wire_ms == 2000


async def test_the_end_of_its_time_travels_with_the_push(delivery: Delivery, apns: ApnsServer) -> None:
    """`apns-expiration` in whole seconds (REQ-2)."""
    await delivery.app()
    await lasting(delivery, delivery.bench.clock.ms + 90_999)
    await delivery.deliver()
    (request,) = apns.requests
    assert header(request, b"apns-expiration") == b"%d" % (delivery.bench.clock.ms // 1000 + 90)


async def test_what_is_not_to_be_stored_has_one_attempt(delivery: Delivery, apns: ApnsServer) -> None:
    """`apns-expiration: 0`, and APNs' own word when it fails; waiting in the queue does not end it."""
    await delivery.app()
    apns.on_request = unavailable
    operation = await lasting(delivery, NOT_STORED)
    delivery.bench.clock.advance(3600)
    await delivery.deliver()
    (request,) = apns.requests
    assert header(request, b"apns-expiration") == b"0"
    (failed,) = (await delivery.notifications(operation))[0].deliveries
    assert (failed.final, failed.reason, failed.attempt) == (True, "ServiceUnavailable", 1)
    assert (await delivery.operation(operation)).status is OperationStatus.COMPLETED


@pytest.mark.parametrize(("milliseconds", "ended"), [(1000, True), (1001, False)])
async def test_the_end_of_its_time_ends_all_retries(
    delivery: Delivery, apns: ApnsServer, milliseconds: int, ended: bool
) -> None:
    """A retry that would come at the end is not made, one a millisecond before is; the last answer stays readable."""
    await delivery.app()
    apns.on_request = unavailable
    operation = await lasting(delivery, delivery.bench.clock.ms + milliseconds)
    await delivery.deliver()
    (tried,) = (await delivery.notifications(operation))[0].deliveries
    expected = (True, "Expired: ServiceUnavailable", 503) if ended else (False, "ServiceUnavailable", 503)
    assert (tried.final, tried.reason, tried.status) == expected


async def test_what_expired_in_the_queue_is_not_sent(delivery: Delivery, apns: ApnsServer) -> None:
    """FAILED with the reason Expired, without an attempt; a day is not its measure."""
    await delivery.app()
    operation = await lasting(delivery, delivery.bench.clock.ms + 1000, send_at=delivery.bench.clock.ms + 500)
    delivery.bench.clock.advance(1)
    await delivery.deliver()
    assert apns.requests == []
    (failed,) = (await delivery.notifications(operation))[0].deliveries
    assert (failed.outcome, failed.final) == (Outcome.NOT_SENT, True)
    assert failed.reason.startswith("Expired")
    assert (await delivery.operation(operation)).counts == Counts(failed=1)
