"""Scheduling and cancelling in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stores import FACTORIES, Bench, opened, recipients_of

from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, NotificationStatus, Outcome, Recipient
from heliogram.domain.operations import Counts, Lane, Operation, OperationStatus
from heliogram.ports import Cancellation, LeasedChunk, NotificationFilter, Window

pytestmark = pytest.mark.anyio

MINUTE = 60_000


async def claim(bench: Bench, lane: Lane = Lane.TX, limit: int = 100) -> list[LeasedChunk]:
    now = bench.clock.ms
    return await bench.store.claim(lane, 0, limit=limit, now=now, until=now + MINUTE, worker="w")


async def stand(bench: Bench, operation: Operation) -> Operation:
    found = await bench.store.get_operation(bench.account, operation.id)
    assert found is not None
    return found


async def statuses(bench: Bench, operation: Operation) -> list[NotificationStatus]:
    wanted = NotificationFilter(operation_id=operation.id)
    listed = await bench.store.list_notifications(bench.account, Window(limit=1000), wanted)
    return [notification.status for notification in listed.items]


async def cancel(bench: Bench, operation: Operation, sequence: int, slot: int = 0) -> Cancellation:
    ident = notification_id(operation.id, sequence, slot)
    return await bench.store.cancel_notification(bench.account, ident, bench.clock.ms)


async def cancel_all(bench: Bench, operation: Operation) -> Cancellation:
    return await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms)


def record(bench: Bench, sequence: int, outcome: Outcome = Outcome.ACCEPTED, **more: object) -> DeliveryRecord:
    values: dict[str, object] = {"final": True, "at": bench.clock.ms, "token": b"t", **more}
    return DeliveryRecord(sequence=sequence, slot=values.pop("slot", 0), outcome=outcome, **values)  # type: ignore[arg-type] # the tests' own values


def waiting(bench: Bench, sequence: int, **more: object) -> DeliveryRecord:
    """A record of one that is to be tried again in a minute."""
    later = {"final": False, "retry_at": bench.clock.ms + MINUTE, "reason": "ServiceUnavailable", "status": 503}
    return record(bench, sequence, Outcome.REJECTED, **{**later, **more})


# --- scheduling


async def test_a_scheduled_send_waits_for_its_time(bench: Bench) -> None:
    """To the millisecond; until then it is SCHEDULED, from its first claim on PROCESSING."""
    operation = await bench.accept(recipients_of(3), size=2, send_at=bench.clock.ms + 1000)
    assert (await stand(bench, operation)).stats.scheduled == 3
    assert set(await statuses(bench, operation)) == {NotificationStatus.SCHEDULED}
    bench.clock.advance(0.999)
    assert await claim(bench) == []
    assert await bench.store.next_due(Lane.TX, 0) == operation.send_at
    bench.clock.advance(0.001)
    (first,) = await claim(bench, limit=1)
    assert (first.start, first.created) == (operation.send_at, operation.created)
    begun = await stand(bench, operation)
    assert (begun.status, begun.stats.queued, begun.updated) == (OperationStatus.PROCESSING, 3, bench.clock.ms)
    assert set(await statuses(bench, operation)) == {NotificationStatus.QUEUED}


async def test_what_is_scheduled_begins_before_the_backlog(bench: Bench) -> None:
    """Whatever was queued before it; the rest of it takes its turn."""
    await bench.accept(recipients_of(2000))
    scheduled = await bench.accept(recipients_of(1001), send_at=bench.clock.ms + 1000)
    bench.clock.advance(1)
    claimed = await claim(bench, Lane.BULK, limit=3)
    assert [chunk.operation_id == scheduled.id for chunk in claimed] == [True, False, False]
    assert [chunk.operation_id == scheduled.id for chunk in await claim(bench, Lane.BULK)] == [False, False, True, True]


async def test_the_schedule_comes_back_as_it_was_given(bench: Bench) -> None:
    """Text and tags too, on the operation and on its notifications."""
    operation = await bench.accept(recipients_of(1), send_at=bench.clock.ms + 1, tags={"a": "1"})
    assert await stand(bench, operation) == operation
    found = await bench.store.get_notification(bench.account, operation.id)
    assert found is not None
    assert (found.send_at_text, found.tags) == ("then", {"a": "1"})


async def test_operations_are_filtered_by_tags(bench: Bench) -> None:
    """All of them must be there, page by page, beside a status."""
    wanted = []
    for number in range(6):
        bench.clock.advance(1)
        tags = [None, {"a": "1"}, {"a": "1", "b": "2"}][number % 3]
        wanted.append((await bench.accept(recipients_of(1), tags=tags)).id)

    async def ids(tags: dict[str, str], window: Window, status: OperationStatus | None = None) -> list[bytes]:
        page = await bench.store.list_operations(bench.account, window, status=status, tags=tags)
        return [operation.id for operation in page.items]

    assert await ids({"a": "1"}, Window()) == [wanted[n] for n in (5, 4, 2, 1)]
    assert await ids({"b": "2", "a": "1"}, Window()) == [wanted[5], wanted[2]]
    assert await ids({"a": "1"}, Window(limit=2)) == [wanted[5], wanted[4]]
    assert await ids({"a": "1"}, Window(limit=2, after=wanted[4])) == [wanted[2], wanted[1]]
    assert await ids({"a": "2"}, Window()) == []
    assert await ids({"a": "1"}, Window(), OperationStatus.COMPLETED) == []


async def test_schedules_and_cancellations_outlive_a_restart(tmp_path: Path, anyio_backend: str) -> None:
    """What was to be sent is, at its time; what was not to be is not."""
    for factory in FACTORIES.values():
        async with opened(tmp_path, factory) as before:
            kept = await before.accept(recipients_of(2), send_at=before.clock.ms + 1000)
            dropped = await before.accept(recipients_of(1), send_at=before.clock.ms + 1000)
            await cancel_all(before, dropped)
            await cancel(before, kept, 1)
        async with opened(tmp_path, factory, before.clock) as after:
            await after.store.release_all(after.clock.ms)
            assert await claim(after) == []
            after.clock.advance(1)
            (chunk,) = await claim(after)
            assert (chunk.operation_id, [record.sequence for record in chunk.records]) == (kept.id, [1])


# --- cancelling an operation


async def test_a_scheduled_operation_is_canceled_at_once(bench: Bench) -> None:
    """It is over, and nothing of it is ever claimed."""
    operation = await bench.accept(recipients_of(5), size=2, send_at=bench.clock.ms + 1000)
    assert await cancel_all(bench, operation) is Cancellation.DONE
    ended = await stand(bench, operation)
    now = bench.clock.ms
    assert (ended.status, ended.finished, ended.canceled) == (OperationStatus.CANCELED, now, now)
    assert (ended.stats.canceled, ended.stats.scheduled, ended.stats.queued) == (5, 0, 0)
    assert set(await statuses(bench, operation)) == {NotificationStatus.CANCELED}
    bench.clock.advance(3600)
    assert await claim(bench) == []


async def test_what_a_worker_holds_ends_when_it_lets_go(bench: Bench) -> None:
    """What it recorded after the cancellation counts, and the rest is canceled."""
    operation = await bench.accept(recipients_of(4), size=2)
    (held,) = await claim(bench, limit=1)
    assert await cancel_all(bench, operation) is Cancellation.DONE
    assert await bench.store.canceled_of([held]) == {operation.id}
    half = await stand(bench, operation)
    assert (half.status, half.stats.canceled, half.stats.queued) == (OperationStatus.PROCESSING, 2, 2)
    assert await bench.store.append_records(held, [record(bench, 0)], Counts(sent=1))
    assert await bench.store.release(held, bench.clock.ms, bench.clock.ms)
    ended = await stand(bench, operation)
    assert (ended.status, ended.stats.sent, ended.stats.canceled) == (OperationStatus.CANCELED, 1, 3)
    assert await claim(bench) == []


async def test_an_operation_that_had_left_is_completed_all_the_same(bench: Bench) -> None:
    """Cancelling came too late for everybody: it says COMPLETED, and when it was asked to stop."""
    operation = await bench.accept(recipients_of(1))
    (held,) = await claim(bench)
    assert await cancel_all(bench, operation) is Cancellation.DONE
    assert await bench.store.append_records(held, [record(bench, 0)], Counts(sent=1))
    assert await bench.store.finish(held, bench.clock.ms)
    ended = await stand(bench, operation)
    assert (ended.status, ended.canceled, ended.counts) == (OperationStatus.COMPLETED, bench.clock.ms, Counts(sent=1))
    assert await cancel_all(bench, operation) is Cancellation.ALREADY


@pytest.mark.parametrize("how", ["restart", "lease"])
async def test_what_a_crash_left_of_a_canceled_operation_ends(bench: Bench, how: str) -> None:
    """Whoever claims next ends it instead, and the worker that comes back changes nothing."""
    operation = await bench.accept(recipients_of(2))
    (lost,) = await claim(bench)
    await cancel_all(bench, operation)
    if how == "restart":
        assert await bench.store.release_all(bench.clock.ms) == 1
    else:
        bench.clock.advance(60)
    assert await claim(bench) == []
    assert (await stand(bench, operation)).status is OperationStatus.CANCELED
    assert not await bench.store.append_records(lost, [record(bench, 0)], Counts(sent=1))
    assert (await stand(bench, operation)).counts == Counts(canceled=2)


async def test_cancelling_again_changes_nothing(bench: Bench) -> None:
    """Nor does it move the moment of the first."""
    operation = await bench.accept(recipients_of(1), send_at=bench.clock.ms + 1000)
    first = bench.clock.ms
    await cancel_all(bench, operation)
    bench.clock.advance(1)
    assert await cancel_all(bench, operation) is Cancellation.ALREADY
    assert (await stand(bench, operation)).canceled == first


async def test_a_completed_operation_is_too_late(bench: Bench) -> None:
    """It stays as it is."""
    operation = await bench.accept(recipients_of(1))
    (held,) = await claim(bench)
    await bench.store.append_records(held, [record(bench, 0)], Counts(sent=1))
    await bench.store.finish(held, bench.clock.ms)
    assert await cancel_all(bench, operation) is Cancellation.TOO_LATE
    assert (await stand(bench, operation)).canceled is None


async def test_a_retry_is_canceled_and_still_says_why_it_waited(bench: Bench) -> None:
    """The record of its last attempt stays readable; one that was sent to another device stays SENT."""
    operation = await bench.accept([*recipients_of(1), Recipient(user=bench.ids.new())])
    (held,) = await claim(bench)
    parts = [waiting(bench, 0), record(bench, 1, slot=1, of=2), waiting(bench, 1, slot=2, of=2)]
    await bench.store.append_records(held, parts, Counts(sent=1))
    await bench.store.release(held, bench.clock.ms + MINUTE, bench.clock.ms)
    assert await cancel_all(bench, operation) is Cancellation.DONE
    ended = await stand(bench, operation)
    assert (ended.status, ended.counts) == (OperationStatus.CANCELED, Counts(sent=1, canceled=1))
    assert await statuses(bench, operation) == [NotificationStatus.CANCELED, NotificationStatus.SENT]
    found = await bench.store.get_notification(bench.account, operation.id)
    assert found is not None
    (delivery,) = found.deliveries
    assert (delivery.outcome, delivery.final, delivery.retry_at) == (Outcome.CANCELED, True, None)
    assert (delivery.reason, delivery.status) == ("ServiceUnavailable", 503)


async def test_another_account_cancels_nothing(bench: Bench) -> None:
    """A foreign id is unknown."""
    operation, stranger = await bench.accept(recipients_of(1)), bench.ids.new()
    assert await bench.store.cancel_operation(stranger, operation.id, bench.clock.ms) is Cancellation.UNKNOWN
    assert await bench.store.cancel_notification(stranger, operation.id, bench.clock.ms) is Cancellation.UNKNOWN
    assert await bench.store.cancel_operation(bench.account, bench.ids.new(), bench.clock.ms) is Cancellation.UNKNOWN
    assert (await stand(bench, operation)).counts == Counts()


# --- cancelling a notification


async def test_one_of_many_is_canceled(bench: Bench) -> None:
    """By any of its ids; the others are sent as if it had never been there."""
    operation = await bench.accept(recipients_of(3))
    assert await cancel(bench, operation, 1, slot=5) is Cancellation.DONE
    assert await cancel(bench, operation, 1) is Cancellation.ALREADY
    assert await cancel(bench, operation, 3) is Cancellation.UNKNOWN
    assert (await stand(bench, operation)).counts == Counts(canceled=1)
    (held,) = await claim(bench)
    assert [r.sequence for r in held.records] == [1]
    await bench.store.append_records(held, [record(bench, 0), record(bench, 2)], Counts(sent=2))
    await bench.store.finish(held, bench.clock.ms)
    ended = await stand(bench, operation)
    assert (ended.status, ended.counts) == (OperationStatus.COMPLETED, Counts(sent=2, canceled=1))
    assert await cancel(bench, operation, 0) is Cancellation.TOO_LATE


async def test_canceling_the_last_one_ends_the_operation(bench: Bench) -> None:
    """Without waiting for its time; with nobody left it is CANCELED."""
    operation = await bench.accept(recipients_of(3), size=2, send_at=bench.clock.ms + 1000)
    for sequence in range(3):
        assert (await stand(bench, operation)).status is OperationStatus.SCHEDULED
        assert await cancel(bench, operation, sequence) is Cancellation.DONE
    ended = await stand(bench, operation)
    assert (ended.status, ended.finished, ended.canceled) == (OperationStatus.CANCELED, bench.clock.ms, None)
    assert await cancel_all(bench, operation) is Cancellation.ALREADY


async def test_what_a_worker_has_begun_is_too_late(bench: Bench) -> None:
    """Until it is recorded that it waits for another attempt: then it can be cancelled while others are sent."""
    operation = await bench.accept(recipients_of(2))
    (held,) = await claim(bench)
    assert await cancel(bench, operation, 0) is Cancellation.TOO_LATE
    await bench.store.append_records(held, [waiting(bench, 0)], Counts())
    assert await cancel(bench, operation, 0) is Cancellation.DONE
    await bench.store.append_records(held, [record(bench, 1)], Counts(sent=1))
    assert (await stand(bench, operation)).counts == Counts(sent=1, canceled=1)
    await bench.store.release(held, bench.clock.ms + MINUTE, bench.clock.ms)
    bench.clock.advance(60)
    (again,) = await claim(bench)
    assert await bench.store.finish(again, bench.clock.ms)
    assert (await stand(bench, operation)).counts == Counts(sent=1, canceled=1)


async def test_a_retry_that_is_not_due_yet_waits_while_others_go(bench: Bench) -> None:
    """It can be cancelled; one that was due when the worker began is on its way."""
    operation = await bench.accept(recipients_of(2))
    (held,) = await claim(bench)
    late = waiting(bench, 1, retry_at=bench.clock.ms + 2 * MINUTE)
    await bench.store.append_records(held, [waiting(bench, 0), late], Counts())
    await bench.store.release(held, bench.clock.ms + MINUTE, bench.clock.ms)
    bench.clock.advance(60)
    await claim(bench)
    assert await cancel(bench, operation, 0) is Cancellation.TOO_LATE
    assert await cancel(bench, operation, 1) is Cancellation.DONE


async def test_a_user_is_leaving_until_every_device_is_recorded(bench: Bench) -> None:
    """A device may have been added since the last attempt, so only what this attempt recorded counts."""
    operation = await bench.accept([Recipient(user=bench.ids.new())])
    (held,) = await claim(bench)
    await bench.store.append_records(held, [waiting(bench, 0, slot=1, of=2)], Counts())
    assert await cancel(bench, operation, 0) is Cancellation.TOO_LATE
    await bench.store.append_records(held, [record(bench, 0, Outcome.REJECTED, slot=2, of=2)], Counts())
    assert await cancel(bench, operation, 0) is Cancellation.DONE
    assert await statuses(bench, operation) == [NotificationStatus.CANCELED]


async def test_one_that_goes_on_at_once_is_leaving(bench: Bench) -> None:
    """A retry without any wait is made within the same attempt."""
    operation = await bench.accept(recipients_of(1))
    (held,) = await claim(bench)
    await bench.store.append_records(held, [waiting(bench, 0, retry_at=bench.clock.ms)], Counts())
    assert await cancel(bench, operation, 0) is Cancellation.TOO_LATE


async def test_ten_thousand_recipients_are_canceled_at_once(bench: Bench) -> None:
    """The largest send, in one transaction."""
    operation = await bench.accept(recipients_of(10_000))
    assert await cancel_all(bench, operation) is Cancellation.DONE
    assert (await stand(bench, operation)).counts == Counts(canceled=10_000)
    last = await bench.store.get_notification(bench.account, notification_id(operation.id, 9_999))
    assert last is not None
    assert last.status is NotificationStatus.CANCELED
