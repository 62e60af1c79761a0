"""Operations: lanes, chunks and counters, and what records say about a recipient."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.accounts import Principal, Scope
from heliogram.domain.ids import make, notification_id
from heliogram.domain.notifications import (
    DeliveryRecord,
    NotificationStatus,
    Outcome,
    Recipient,
    latest,
    status_of,
)
from heliogram.domain.operations import Counts, Lane, Stats, counts_of, cut

OPERATION = make(1_800_000_000_000, 1, 1)
SENT, FAILED, QUEUED = NotificationStatus.SENT, NotificationStatus.FAILED, NotificationStatus.QUEUED


def record(outcome: Outcome, *, slot: int = 0, final: bool = True, attempt: int = 1, of: int = 1) -> DeliveryRecord:
    return DeliveryRecord(sequence=0, slot=slot, outcome=outcome, final=final, at=0, attempt=attempt, of=of)


@pytest.mark.parametrize(("recipients", "lane"), [(1, Lane.TX), (100, Lane.TX), (101, Lane.BULK), (10_000, Lane.BULK)])
def test_small_sends_take_the_fast_lane(recipients: int, lane: Lane) -> None:
    """Up to 100 recipients."""
    assert Lane.of(recipients) is lane


@pytest.mark.parametrize(("recipients", "chunks"), [(0, 0), (1, 1), (500, 1), (501, 2), (10_000, 20)])
def test_a_send_is_cut_into_chunks_of_500(recipients: int, chunks: int) -> None:
    """Nobody is lost or doubled; a chunk's id is the notification id of its first recipient."""
    everyone = [Recipient(token=n.to_bytes(8, "big")) for n in range(recipients)]
    made = cut(OPERATION, everyone)
    assert len(made) == chunks
    assert [recipient for chunk in made for recipient in chunk.recipients] == everyone
    assert all(chunk.id == notification_id(OPERATION, chunk.first) for chunk in made)
    assert [chunk.first for chunk in made] == list(range(0, recipients, 500))


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ([], (QUEUED, False)),
        ([record(Outcome.ACCEPTED)], (SENT, False)),
        ([record(Outcome.REJECTED)], (FAILED, False)),
        ([record(Outcome.UNADDRESSABLE)], (FAILED, True)),
        ([record(Outcome.CANCELED)], (NotificationStatus.CANCELED, False)),
        ([record(Outcome.NOT_SENT, final=False)], (QUEUED, False)),
        ([record(Outcome.REJECTED, slot=1, of=2), record(Outcome.ACCEPTED, slot=2, of=2)], (SENT, False)),
        ([record(Outcome.ACCEPTED, slot=1, of=2), record(Outcome.NOT_SENT, slot=2, final=False, of=2)], (SENT, False)),
        ([record(Outcome.REJECTED, slot=1, of=2)], (QUEUED, False)),
        ([record(Outcome.REJECTED, slot=1, of=2), record(Outcome.UNKNOWN, slot=2, of=2)], (FAILED, False)),
        (
            [record(Outcome.CANCELED, slot=1, of=2), record(Outcome.REJECTED, slot=2, of=2)],
            (NotificationStatus.CANCELED, False),
        ),
    ],
)
def test_a_recipients_status_follows_from_its_devices(
    records: list[DeliveryRecord], status: tuple[NotificationStatus, bool]
) -> None:
    """SENT as soon as one device was accepted, FAILED when all ended without, CANCELED when it was stopped while one
    was still to be tried, QUEUED until then."""
    assert status_of(records) == status


def test_the_latest_attempt_at_each_device_counts() -> None:
    """In the order of slots, whatever the order of writing; of two records of one attempt the later written."""
    first, second = record(Outcome.UNKNOWN, slot=2, final=False), record(Outcome.ACCEPTED, slot=2, attempt=2)
    other, again = record(Outcome.REJECTED, slot=1, final=False), record(Outcome.REJECTED, slot=1)
    assert latest([second, first, other, again]) == [again, second]


OUTCOMES = st.lists(st.tuples(st.sampled_from(Outcome), st.booleans()), max_size=30)


@given(outcomes=OUTCOMES)
def test_the_counters_add_up(outcomes: list[tuple[Outcome, bool]]) -> None:
    """total = recipients = scheduled + queued + sent + failed + canceled + unaddressable, at every moment."""
    counts = counts_of(status_of(latest([record(outcome, final=final)])) for outcome, final in outcomes)
    for scheduled in (False, True):
        stats = Stats.of(len(outcomes) + 3, counts, scheduled=scheduled)
        parts = stats.scheduled + stats.queued + stats.sent + stats.failed + stats.canceled + stats.unaddressable
        assert stats.total == stats.recipients == parts == len(outcomes) + 3
        assert (stats.queued if scheduled else stats.scheduled) == 0


def test_counts_add_field_by_field() -> None:
    """The sum over chunks."""
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)
    assert Counts(1, 2, 3, 4).ended == 10


def test_an_admin_key_may_do_everything() -> None:
    """Other keys what their scopes say."""
    admin = Principal(account_id=b"", key_id=b"", scopes=frozenset({Scope.ADMIN}))
    reader = Principal(account_id=b"", key_id=b"", scopes=frozenset({Scope.READ}))
    assert all(admin.may(scope) for scope in Scope)
    assert [scope for scope in Scope if reader.may(scope)] == [Scope.READ]
