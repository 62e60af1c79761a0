"""Accepted sends as callers see them."""

from __future__ import annotations

import msgspec
import pytest
from support.stores import Bench, recipients_of, token_of

from heliogram.domain.apps import ProviderName
from heliogram.domain.errors import Invalid
from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import (
    DeliveryRecord,
    Notification,
    NotificationStatus,
    Outcome,
    Recipient,
    latest,
    status_of,
)
from heliogram.domain.operations import Counts, Lane, NewChunk, Operation, OperationStatus, counts_of, cut
from heliogram.ports import Listed, NotificationFilter, Window
from heliogram.store.errors import Conflict
from heliogram.store.sqlite import listing

pytestmark = pytest.mark.anyio

OUTCOMES = (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNADDRESSABLE)


def record_of(bench: Bench, sequence: int, outcome: Outcome = Outcome.ACCEPTED, **more: object) -> DeliveryRecord:
    values: dict[str, object] = {"slot": 0, "final": True, "at": bench.clock.ms, **more}
    return DeliveryRecord(sequence=sequence, outcome=outcome, **values)  # type: ignore[arg-type] # checked by use


async def work_off(bench: Bench, outcomes: tuple[Outcome, ...] = (Outcome.ACCEPTED,), *, finish: bool = True) -> None:
    """Ends every waiting chunk, recipients with these outcomes in turn."""
    for lane in Lane:
        now = bench.clock.ms
        for chunk in await bench.store.claim(lane, 0, limit=100, now=now, until=now + 60_000, worker="w"):
            records = {
                n: [record_of(bench, n, outcomes[n % len(outcomes)])]
                for n in range(chunk.first, chunk.first + len(chunk.recipients))
            }
            flat = [record for each in records.values() for record in each]
            counts = counts_of(status_of(latest(each)) for each in records.values())
            assert await bench.store.append_records(chunk, flat, counts)
            if finish:
                assert await bench.store.finish(chunk, bench.clock.ms)


async def notifications(bench: Bench, window: Window | None = None, **wanted: object) -> Listed[Notification]:
    narrowed = NotificationFilter(**wanted)  # type: ignore[arg-type] # the tests' own filters
    return await bench.store.list_notifications(bench.account, window or Window(), narrowed)


async def all_pages(bench: Bench, limit: int, **wanted: object) -> list[bytes]:
    """The ids of every page, in order."""
    seen: list[bytes] = []
    after: bytes | None = None
    while True:
        page = await notifications(bench, Window(limit=limit, after=after), **wanted)
        assert len(page.items) <= limit
        seen += [notification.id for notification in page.items]
        after = page.next
        if after is None:
            return seen


async def operation_of(bench: Bench, ident: bytes) -> Operation:
    found = await bench.store.get_operation(bench.account, ident)
    assert found is not None
    return found


def ids_of(operation: Operation) -> list[bytes]:
    return [notification_id(operation.id, sequence) for sequence in range(operation.recipients)]


async def test_an_accepted_send_is_there(bench: Bench) -> None:
    """What was accepted comes back as it was, nothing ended yet."""
    operation = await bench.accept(recipients_of(3))
    found = await operation_of(bench, operation.id)
    assert found == operation
    assert found.stats.queued == 3
    assert await bench.store.get_operation(bench.account, bench.ids.new()) is None


async def test_counters_are_the_sum_over_chunks(bench: Bench) -> None:
    """An operation is COMPLETED with its last chunk, and its counters add up."""
    operation = await bench.accept(recipients_of(1300))
    await work_off(bench, OUTCOMES, finish=False)
    found = await operation_of(bench, operation.id)
    assert (found.status, found.finished) == (OperationStatus.PROCESSING, None)
    assert found.counts == Counts(434, 433, 433)
    assert found.stats.total == found.stats.sent + found.stats.failed + found.stats.unaddressable == 1300


async def test_the_last_chunk_completes_the_operation(bench: Bench) -> None:
    """Not the second last; the time is that of the last one's end."""
    operation = await bench.accept(recipients_of(3), size=1)
    now = bench.clock.ms
    chunks = await bench.store.claim(Lane.TX, 0, limit=9, now=now, until=now + 9, worker="w")
    for number, chunk in enumerate(reversed(chunks)):
        assert (await operation_of(bench, operation.id)).status is OperationStatus.PROCESSING
        assert await bench.store.finish(chunk, now + number)
    done = await operation_of(bench, operation.id)
    assert (done.status, done.finished, done.updated) == (OperationStatus.COMPLETED, now + 2, now + 2)


async def test_an_operation_ends_when_its_last_chunk_does(bench: Bench) -> None:
    """Whatever was answered before that, and is written with the end."""
    operation = await bench.accept(recipients_of(1))
    now = bench.clock.ms
    (chunk,) = await bench.store.claim(Lane.TX, 0, limit=9, now=now, until=now + 9, worker="w")
    answered = DeliveryRecord(sequence=0, slot=0, outcome=Outcome.ACCEPTED, final=True, at=now + 1)
    assert await bench.store.finish(chunk, now + 5, [answered], Counts(sent=1))
    done = await operation_of(bench, operation.id)
    assert (done.status, done.finished, done.updated) == (OperationStatus.COMPLETED, now + 5, now + 5)


async def test_a_notification_is_found_with_any_slot(bench: Bench) -> None:
    """The id of a delivery leads to the notification of its recipient."""
    operation = await bench.accept(recipients_of(1200))
    for sequence in (0, 499, 500, 1199):
        for slot in (0, 1, 63):
            found = await bench.store.get_notification(bench.account, notification_id(operation.id, sequence, slot))
            assert found is not None
            assert found.id == notification_id(operation.id, sequence)
            assert found.recipient.token == token_of(sequence)


async def test_a_sequence_past_the_last_recipient_is_nobody(bench: Bench) -> None:
    """Nor is one of an operation that is not there."""
    operation = await bench.accept(recipients_of(501))
    assert await bench.store.get_notification(bench.account, notification_id(operation.id, 500)) is not None
    assert await bench.store.get_notification(bench.account, notification_id(operation.id, 501)) is None
    assert await bench.store.get_notification(bench.account, bench.ids.new()) is None


async def test_a_notification_tells_its_status(bench: Bench) -> None:
    """QUEUED before anything was recorded, then what its deliveries say; the whole record comes back."""
    operation = await bench.accept(recipients_of(3))
    first = await bench.store.get_notification(bench.account, notification_id(operation.id, 0))
    assert first is not None
    assert (first.status, first.deliveries, first.updated) == (NotificationStatus.QUEUED, (), operation.created)
    bench.clock.advance(1)
    await work_off(bench, OUTCOMES)
    told = (await notifications(bench)).items
    assert [(n.status, n.unaddressable) for n in told] == [
        (NotificationStatus.SENT, False),
        (NotificationStatus.FAILED, False),
        (NotificationStatus.FAILED, True),
    ]
    assert [n.deliveries for n in told] == [(record_of(bench, n, o),) for n, o in enumerate(OUTCOMES)]
    assert {n.updated for n in told} == {bench.clock.ms}


async def test_a_delivery_is_the_latest_attempt_at_a_device(bench: Bench) -> None:
    """Earlier attempts stay stored and do not show; each device shows once."""
    operation = await bench.accept([Recipient(user=bench.ids.new())])
    now = bench.clock.ms
    (chunk,) = await bench.store.claim(Lane.TX, 0, limit=1, now=now, until=now, worker="w")
    for part in (
        [record_of(bench, 0, Outcome.NOT_SENT, slot=2, final=False, of=2)],
        [record_of(bench, 0, slot=1, of=2), record_of(bench, 0, slot=2, attempt=2, of=2)],
    ):
        assert await bench.store.append_records(chunk, part, Counts())
    found = await bench.store.get_notification(bench.account, operation.id)
    assert found is not None
    assert [(d.slot, d.attempt, d.outcome) for d in found.deliveries] == [
        (1, 1, Outcome.ACCEPTED),
        (2, 2, Outcome.ACCEPTED),
    ]


async def test_operations_are_listed_newest_first_in_pages(bench: Bench) -> None:
    """A cursor goes on where the page ended."""
    made = []
    for _ in range(5):
        bench.clock.advance(1)
        made.append((await bench.accept(recipients_of(1))).id)
    seen: list[bytes] = []
    after: bytes | None = None
    for size in (2, 2, 1):
        page = await bench.store.list_operations(bench.account, Window(limit=2, after=after))
        assert len(page.items) == size
        seen += [operation.id for operation in page.items]
        after = page.next
    assert (seen, after) == (made[::-1], None)


async def test_operations_are_filtered_by_status_and_time(bench: Bench) -> None:
    """Start is inclusive, end exclusive, to the millisecond."""
    done = await bench.accept(recipients_of(1))
    await work_off(bench)
    bench.clock.advance(0.001)
    moment = bench.clock.ms
    going = await bench.accept(recipients_of(1))

    async def ids(window: Window, status: OperationStatus | None = None) -> list[bytes]:
        return [o.id for o in (await bench.store.list_operations(bench.account, window, status=status)).items]

    assert await ids(Window(), OperationStatus.COMPLETED) == [done.id]
    assert await ids(Window(), OperationStatus.PROCESSING) == [going.id]
    assert await ids(Window(start=moment)) == [going.id]
    assert await ids(Window(end=moment)) == [done.id]
    assert await ids(Window(start=moment, end=moment + 1), OperationStatus.COMPLETED) == []


async def test_notifications_come_newest_operation_first_recipients_in_order(bench: Bench) -> None:
    """Pages of any size show each exactly once."""
    older = await bench.accept(recipients_of(7), size=3)
    bench.clock.advance(1)
    newer = await bench.accept(recipients_of(5), size=2)
    expected = ids_of(newer) + ids_of(older)
    for limit in (1, 2, 3, 5, 12, 50):
        assert await all_pages(bench, limit) == expected


async def test_the_last_page_has_no_cursor_even_when_it_is_full(bench: Bench) -> None:
    """Nothing follows the last notification."""
    await bench.accept(recipients_of(4))
    assert (await notifications(bench, Window(limit=4))).next is None
    assert (await notifications(bench, Window(limit=3))).next is not None


async def test_notifications_are_filtered_by_operation(bench: Bench) -> None:
    """Only those of the operation, in pages too."""
    wanted = await bench.accept(recipients_of(5))
    bench.clock.advance(1)
    await bench.accept(recipients_of(5))
    assert await all_pages(bench, 2, operation_id=wanted.id) == ids_of(wanted)
    assert await all_pages(bench, 2, operation_id=bench.ids.new()) == []


async def test_notifications_are_filtered_by_status(bench: Bench) -> None:
    """FAILED includes the unaddressable; QUEUED is what has not ended."""
    ended = await bench.accept(recipients_of(9), size=4)
    await work_off(bench, OUTCOMES)
    bench.clock.advance(1)
    waiting = await bench.accept(recipients_of(2))
    ids = ids_of(ended)
    assert await all_pages(bench, 2, status=NotificationStatus.SENT) == ids[0::3]
    assert await all_pages(bench, 2, status=NotificationStatus.FAILED) == sorted(ids[1::3] + ids[2::3])
    assert await all_pages(bench, 2, status=NotificationStatus.QUEUED) == ids_of(waiting)
    assert await all_pages(bench, 2, status=NotificationStatus.SCHEDULED) == []
    assert await all_pages(bench, 2, status=NotificationStatus.CANCELED) == []


async def test_notifications_are_filtered_by_user(bench: Bench) -> None:
    """A user's notifications across operations, found by fingerprints and told for sure."""
    users = [bench.ids.new() for _ in range(1200)]
    everyone = await bench.accept([Recipient(user=user) for user in users])
    bench.clock.advance(1)
    alone = await bench.accept([Recipient(user=users[700])])
    await bench.accept(recipients_of(3))
    assert await all_pages(bench, 50, user_id=users[700]) == [alone.id, notification_id(everyone.id, 700)]
    assert await all_pages(bench, 50, user_id=bench.ids.new()) == []


@pytest.mark.parametrize("looks", [4, 5])
async def test_a_user_who_got_little_is_looked_for_a_bounded_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """A page compares so many fingerprints, no more, and its cursor leads on, also within an operation's chunks."""
    monkeypatch.setattr(listing, "USER_LOOKS", looks)
    user, others = bench.ids.new(), [Recipient(user=bench.ids.new()) for _ in range(6)]
    oldest = await bench.accept([*others, Recipient(user=user)], size=3)
    for _ in range(4):
        bench.clock.advance(1)
        await bench.accept(others[:2], size=1)
    bench.clock.advance(1)
    newest = await bench.accept([Recipient(user=user)])
    page = await notifications(bench, user_id=user)
    assert [notification.id for notification in page.items] == [newest.id]
    assert page.next is not None
    assert await all_pages(bench, 5, user_id=user) == [newest.id, notification_id(oldest.id, 6)]


async def test_notifications_are_filtered_by_provider(bench: Bench) -> None:
    """By a direct recipient's provider, or by the providers a user's devices had."""
    fcm = ProviderName.FCM
    mixed = await bench.accept([Recipient(token=b"a" * 8), Recipient(token=b"b", provider=fcm)])
    assert await all_pages(bench, 50, provider=fcm) == [notification_id(mixed.id, 1)]
    assert await all_pages(bench, 50, provider=ProviderName.APN) == [mixed.id]


async def test_notifications_are_filtered_by_time(bench: Bench) -> None:
    """Start is inclusive, end exclusive."""
    older = await bench.accept(recipients_of(1))
    bench.clock.advance(0.001)
    newer = await bench.accept(recipients_of(1))
    moment = bench.clock.ms
    assert [n.id for n in (await notifications(bench, Window(start=moment))).items] == ids_of(newer)
    assert [n.id for n in (await notifications(bench, Window(end=moment))).items] == ids_of(older)
    assert (await notifications(bench, Window(end=moment), operation_id=newer.id)).items == ()


async def test_a_filter_that_seldom_matches_ends_the_page_early(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page reads a bounded number of recipients, and its cursor leads on until all is seen."""
    monkeypatch.setattr(listing, "SCAN_BUDGET", 60)
    recipients = [*recipients_of(30), Recipient(token=b"b", provider=ProviderName.FCM)]
    operation = await bench.accept(recipients, size=10)
    page = await notifications(bench, provider=ProviderName.FCM)
    assert page.items == ()
    assert page.next is not None
    assert await all_pages(bench, 5, provider=ProviderName.FCM) == [notification_id(operation.id, 30)]


async def test_chunks_that_are_skipped_count_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status that nobody has does not read the whole history for one page."""
    monkeypatch.setattr(listing, "SCAN_BUDGET", 3)
    await bench.accept(recipients_of(10), size=2)
    page = await notifications(bench, status=NotificationStatus.FAILED)
    assert page.items == ()
    assert page.next is not None
    assert await all_pages(bench, 5, status=NotificationStatus.FAILED) == []


async def test_a_cursor_of_something_else_is_refused(bench: Bench) -> None:
    """Cursors that no page gave are an error of the caller."""
    with pytest.raises(Invalid, match="pageToken"):
        await notifications(bench, Window(after=b"x"))
    with pytest.raises(Invalid, match="pageToken"):
        await bench.store.list_operations(bench.account, Window(after=b"x" * 17))


async def test_another_account_sees_nothing(bench: Bench) -> None:
    """Operations and notifications belong to their account."""
    operation, stranger = await bench.accept(recipients_of(1)), bench.ids.new()
    assert await bench.store.get_operation(stranger, operation.id) is None
    assert await bench.store.get_notification(stranger, operation.id) is None
    assert (await bench.store.list_operations(stranger, Window())).items == ()
    listed = await bench.store.list_notifications(stranger, Window(), NotificationFilter(operation_id=operation.id))
    assert listed.items == ()


async def test_ten_thousand_recipients_are_accepted(bench: Bench) -> None:
    """The largest send, users and variables and all, comes back as it was."""
    recipients = [
        Recipient(user=bench.ids.new(), variables={"n": n}) if n % 2 else Recipient(token=token_of(n))
        for n in range(10_000)
    ]
    operation = await bench.accept(recipients)
    found = await bench.store.get_notification(bench.account, notification_id(operation.id, 9_999))
    assert found is not None
    assert found.recipient == recipients[9_999]


async def test_chunks_that_are_not_the_operations_are_refused(bench: Bench) -> None:
    """A gap, a missing recipient, a foreign id or no chunk at all: nothing is stored."""
    operation = bench.operation(recipients_of(4))
    good = cut(operation.id, recipients_of(4), 2)
    foreign = NewChunk(id=bench.ids.new(), first=2, recipients=good[1].recipients)
    for chunks in ([], good[:1], good[1:], good[::-1], [good[0], good[0]], [good[0], foreign]):
        with pytest.raises(ValueError, match="chunk"):
            await bench.store.accept(bench.account, operation, chunks)
    assert await bench.store.get_operation(bench.account, operation.id) is None


async def test_an_operation_is_accepted_once(bench: Bench) -> None:
    """The same id again is an error, and the first stays as it was."""
    operation = await bench.accept(recipients_of(2))
    again = msgspec.structs.replace(operation, recipients=1)
    with pytest.raises(Conflict):
        await bench.store.accept(bench.account, again, cut(again.id, recipients_of(1)))
    assert await operation_of(bench, operation.id) == operation
