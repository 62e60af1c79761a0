"""A notification ends once, whatever its records come as."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.endings import Endings
from heliogram.domain.notifications import DeliveryRecord, NotificationStatus, Outcome, latest, status_of

OUTCOMES = st.sampled_from(list(Outcome))


def record(sequence: int, slot: int = 0, outcome: Outcome = Outcome.ACCEPTED, **more: object) -> DeliveryRecord:
    fields: dict[str, object] = {"final": True, "at": 1, **more}
    return DeliveryRecord(sequence=sequence, slot=slot, outcome=outcome, **fields)  # type: ignore[arg-type]


def test_sent_with_the_first_device_that_accepted() -> None:
    """What the others say later is not told."""
    endings = Endings()
    (ended,) = endings.take([record(7, 1, Outcome.REJECTED, of=3), record(7, 2, of=3)])
    assert (ended.sequence, ended.status, len(ended.deliveries)) == (7, NotificationStatus.SENT, 2)
    assert endings.take([record(7, 3, of=3)]) == []
    assert repr(endings) == "Endings(recipients=0, ended=1)"


def test_failed_when_all_have_ended() -> None:
    """One that is still to be tried keeps it open."""
    endings = Endings()
    assert endings.take([record(0, 1, Outcome.REJECTED, of=2)]) == []
    assert endings.take([record(0, 2, Outcome.NOT_SENT, final=False, retry_at=5, of=2)]) == []
    (ended,) = endings.take([record(0, 2, Outcome.REJECTED, attempt=2, at=9, of=2)])
    assert (ended.status, ended.unaddressable, ended.at) == (NotificationStatus.FAILED, False, 9)


def test_without_a_device_it_is_unaddressable() -> None:
    """A way of failing."""
    (ended,) = Endings().take([record(0, 0, Outcome.UNADDRESSABLE)])
    assert (ended.status, ended.unaddressable) == (NotificationStatus.FAILED, True)


RECORDS = st.builds(
    DeliveryRecord,
    sequence=st.integers(0, 3),
    slot=st.integers(0, 3),
    outcome=OUTCOMES,
    final=st.booleans(),
    at=st.integers(0, 100),
    attempt=st.integers(1, 3),
    of=st.integers(1, 3),
)


@given(st.lists(st.lists(RECORDS, max_size=6), max_size=8))
def test_each_recipient_ends_at_most_once_and_just_when_it_does(parts: list[list[DeliveryRecord]]) -> None:
    """With the part after which its status is first not QUEUED, as it is then: the rule of the counters."""
    endings = Endings()
    seen: dict[int, list[DeliveryRecord]] = {}
    told: set[int] = set()
    for part in parts:
        found = {ending.sequence: ending for ending in endings.take(part)}
        for each in part:
            seen.setdefault(each.sequence, []).append(each)
        expected = {}
        for sequence in {each.sequence for each in part} - told:
            verdict = status_of(latest(seen[sequence]))
            if verdict[0] is not NotificationStatus.QUEUED:
                expected[sequence] = verdict
        assert {sequence: (e.status, e.unaddressable) for sequence, e in found.items()} == expected
        told |= expected.keys()
