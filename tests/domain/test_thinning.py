"""What later records superseded goes; what the result says, and what is tried next, stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.delivery.plan import Progress
from heliogram.domain.endings import Endings
from heliogram.domain.notifications import DeliveryRecord, Outcome, latest
from heliogram.domain.thinning import thinned

WAITING = (Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN)


def record(slot: int, attempt: int, outcome: Outcome = Outcome.REJECTED, *, final: bool = False) -> DeliveryRecord:
    return DeliveryRecord(
        sequence=0, slot=slot, outcome=outcome, final=final, at=attempt, attempt=attempt, token=b"t", of=2
    )


def test_the_last_record_of_each_device_stays() -> None:
    """What came before it goes, in whichever part it was."""
    one, two, three = record(1, 1), record(2, 1), record(1, 2)
    assert thinned([[one, two], [three]], 2) == [[two], [three]]


def test_an_attempt_without_an_answer_stays() -> None:
    """There is one more try after it, and no other: it is counted."""
    unknown, later = record(1, 1, Outcome.UNKNOWN), record(1, 2)
    assert thinned([[unknown], [later]], 2) == [[unknown], [later]]


def test_that_a_token_was_not_of_an_environment_stays() -> None:
    """LIFE-4: it is tried in the other one from then on."""
    misplaced = record(1, 1)
    misplaced.reason = "BadDeviceToken"
    assert thinned([[misplaced], [record(1, 2)]], 2)[0] == [misplaced]


def test_what_an_ended_recipient_is_still_to_be_told_with_stays() -> None:
    """A webhook that lags behind hears of every device as it was when the recipient ended."""
    parts = [[record(2, 1)], [record(1, 1, Outcome.ACCEPTED, final=True)], [record(2, 2)]]
    assert thinned(parts, 0) == thinned(parts, 1) == parts
    assert thinned(parts, 2) == [[], *parts[1:]]


def test_what_has_not_ended_need_not_wait_for_webhooks() -> None:
    """Nothing was to be told of it."""
    assert thinned([[record(1, 1)], [record(1, 2)]], 0) == [[], [record(1, 2)]]


@st.composite
def histories(draw: st.DrawFn) -> list[list[DeliveryRecord]]:
    """Parts as deliveries write them: what is final is not tried again."""
    parts: list[list[DeliveryRecord]] = []
    attempts: dict[tuple[int, int], int] = {}
    done: set[tuple[int, int]] = set()
    for number in range(draw(st.integers(1, 7))):
        part = []
        for place in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2)), max_size=6, unique=True)):
            if place in done:
                continue
            final = draw(st.booleans())
            outcome = draw(st.sampled_from((Outcome.ACCEPTED, Outcome.REJECTED) if final else WAITING))
            attempts[place] = attempts.get(place, 0) + 1
            if final:
                done.add(place)
            part.append(
                DeliveryRecord(
                    sequence=place[0],
                    slot=place[1],
                    outcome=outcome,
                    final=final,
                    at=number,
                    attempt=attempts[place],
                    reason=draw(st.sampled_from(("", "BadDeviceToken", "ServiceUnavailable"))),
                    token=b"t",
                    of=2,
                )
            )
        parts.append(part)
    return parts


@settings(max_examples=150, deadline=None)
@given(histories(), st.data())
def test_nothing_that_is_seen_or_decided_changes(parts: list[list[DeliveryRecord]], data: st.DataObject) -> None:
    """Latest records, unknowns, places a token is not of, and what every part after the told ones tells."""
    told = data.draw(st.integers(0, len(parts)))
    fewer = thinned(parts, told)
    before, after = ([r for part in each for r in part] for each in (parts, fewer))
    for sequence in range(3):
        assert latest([r for r in after if r.sequence == sequence]) == latest(
            [r for r in before if r.sequence == sequence]
        )
        for slot in (1, 2):
            one, other = Progress(before), Progress(after)
            assert one.unknowns(sequence, slot) == other.unknowns(sequence, slot)
            assert one.misplaced(sequence, slot, b"t") == other.misplaced(sequence, slot, b"t")
    assert endings(fewer)[told:] == endings(parts)[told:]
    assert thinned(fewer, told) == fewer


def endings(parts: list[list[DeliveryRecord]]) -> list[object]:
    """What each part tells."""
    known = Endings()
    return [known.take(part) for part in parts]
