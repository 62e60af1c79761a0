"""The last minutes in memory: what is counted, what is kept, and what leaves."""

from __future__ import annotations

from typing import Any

import pytest
from support.activity import chunk_of, record
from support.clock import FakeClock

from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import Outcome
from heliogram.domain.operations import Counts, Lane
from heliogram.observe.activity import LANES_SECONDS, Activity, Lanes
from heliogram.observe.tally import HAND_OVER_SECONDS, MAX_REASONS, OTHER, Digest, Tally
from heliogram.ports import LaneDepth
from heliogram.ports.activity import MAX_ACTIVE_ACCOUNTS, OUTCOMES_A_SECOND, OUTCOMES_KEPT, WINDOW_SECONDS

ACCOUNT = b"a" * 16


class Depths:
    """A store that counts how often it is asked."""

    def __init__(self, clock: FakeClock, seconds: float = 0.0) -> None:
        self.clock, self.seconds, self.asked = clock, seconds, 0

    async def lane_depths(self, now: int) -> list[LaneDepth]:
        """One lane of one account; takes its time."""
        self.asked += 1
        self.clock.advance(self.seconds)
        return [LaneDepth(account_id=ACCOUNT, lane=Lane.TX, waiting=self.asked, later=0, oldest_due=None)]


class Place:
    """A tally, the activity it tells, and their clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ids = IdFactory(lambda: self.clock.ms)
        self.activity = Activity(self.clock, Lanes(Depths(self.clock), self.clock), node="n", sends=True)
        self.tally = Tally(self.clock, self.activity.heard)

    def wrote(self, *records: Any, counts: Counts | None = None, account: bytes = ACCOUNT, app: str = "shop") -> None:
        """As a recorder says it, and handed over."""
        sent = sum(each.outcome is Outcome.ACCEPTED for each in records)
        self.tally.wrote(chunk_of(self.ids, account, app=app), records, counts or Counts(sent=sent))
        self.clock.advance(HAND_OVER_SECONDS)

    def digest(self, **more: Any) -> Digest:
        """What another process might tell."""
        known: dict[str, Any] = {"at": self.clock.ms, "account": ACCOUNT, "app": "shop", "recipients": Counts()}
        known |= {"accepted": 0, "others": {}, "answers": {}, "queued": {}, "ended": [], "unseen": 0}
        return Digest(**(known | more))


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_second_counts_recipients_and_answers(place: Place) -> None:
    """By how they ended; times are those of APNs' answers."""
    rejected = record(2, Outcome.REJECTED, status=410, reason="Unregistered", wire_ms=31)
    place.wrote(record(0), record(1), rejected, counts=Counts(sent=2, failed=1))
    (second,) = place.activity.seconds(ACCOUNT)
    assert second.at == int(place.clock.time())
    assert (second.sent, second.failed, second.unaddressable) == (2, 1, 0)
    assert (second.p50_ms, second.p99_ms) == (8, 31)
    assert place.activity.reasons(ACCOUNT) == [("Unregistered", 1)]


def test_accounts_do_not_see_each_other(place: Place) -> None:
    """Nothing of one is in another's answer."""
    place.wrote(record(0))
    other = b"b" * 16
    assert place.activity.seconds(other) == []
    assert place.activity.reasons(other) == []
    assert place.activity.outcomes(other, after=None, limit=10).outcomes == []


def test_seconds_leave_after_five_minutes(place: Place) -> None:
    """At the window's edge one is still there, a second later not."""
    place.wrote(record(0))
    place.clock.advance(WINDOW_SECONDS)
    assert len(place.activity.seconds(ACCOUNT)) == 1
    place.clock.advance(1)
    assert place.activity.seconds(ACCOUNT) == []


def test_no_more_seconds_than_the_window_are_kept(place: Place) -> None:
    """Whatever the clock does: it was set back by hours in between."""
    for turn in range(2):
        for _ in range(WINDOW_SECONDS):
            place.wrote(record(0))
            place.clock.advance(1 - HAND_OVER_SECONDS)
        if not turn:
            place.clock.step(-3 * WINDOW_SECONDS)
    assert len(place.activity.seconds(ACCOUNT)) <= WINDOW_SECONDS


def test_what_is_told_late_counts_in_its_own_second(place: Place) -> None:
    """In the order of time, and what comes from a clock ahead no later than the next second."""
    place.activity.heard(place.digest(recipients=Counts(sent=1)))
    place.activity.heard(place.digest(at=place.clock.ms - 5_000, recipients=Counts(sent=2)))
    place.activity.heard(place.digest(at=place.clock.ms + 90_000, recipients=Counts(sent=3)))
    now = int(place.clock.time())
    found = [(second.at, second.sent) for second in place.activity.seconds(ACCOUNT)]
    assert found == [(now - 5, 2), (now, 1), (now + 1, 3)]


def test_the_newest_outcomes_are_kept(place: Place) -> None:
    """A thousand of an account; who asks for older ones hears how many are gone."""
    for _ in range(OUTCOMES_KEPT // OUTCOMES_A_SECOND + 1):
        place.wrote(*[record(n) for n in range(OUTCOMES_A_SECOND)])
        place.clock.advance(1)
    seen = place.activity.outcomes(ACCOUNT, after=0, limit=OUTCOMES_KEPT)
    assert len(seen.outcomes) == OUTCOMES_KEPT
    assert (seen.last, seen.missed) == (OUTCOMES_KEPT + OUTCOMES_A_SECOND, OUTCOMES_A_SECOND)
    assert [each.sequence for each in seen.outcomes[:2]] == [OUTCOMES_A_SECOND + 1, OUTCOMES_A_SECOND + 2]


def test_of_a_busy_second_failures_are_kept_first(place: Place) -> None:
    """And the others are counted as missed, from several processes too."""
    failed = record(500, Outcome.NOT_SENT, reason="NoCredential")
    place.wrote(*[record(n) for n in range(2 * OUTCOMES_A_SECOND)], failed)
    seen = place.activity.outcomes(ACCOUNT, after=0, limit=OUTCOMES_KEPT)
    assert len(seen.outcomes) == OUTCOMES_A_SECOND
    assert (seen.outcomes[0].outcome, seen.outcomes[0].reason) == ("failed", "NoCredential")
    assert (seen.last, seen.missed) == (2 * OUTCOMES_A_SECOND + 1, OUTCOMES_A_SECOND + 1)


def test_outcomes_are_read_on_from_the_last(place: Place) -> None:
    """In pages, without a gap; nothing new is an empty page with the same end."""
    place.wrote(*[record(n) for n in range(5)])
    first = place.activity.outcomes(ACCOUNT, after=0, limit=3)
    assert ([each.sequence for each in first.outcomes], first.last, first.missed) == ([1, 2, 3], 3, 0)
    rest = place.activity.outcomes(ACCOUNT, after=first.last, limit=3)
    assert ([each.sequence for each in rest.outcomes], rest.last) == ([4, 5], 5)
    assert place.activity.outcomes(ACCOUNT, after=5, limit=3).outcomes == []


@pytest.mark.parametrize("after", [None, 6, 10**9])
def test_the_newest_without_a_place_to_go_on_from(place: Place, after: int | None) -> None:
    """Also after a sequence that was never given, as before a restart."""
    place.wrote(*[record(n) for n in range(5)])
    seen = place.activity.outcomes(ACCOUNT, after=after, limit=2)
    assert ([each.sequence for each in seen.outcomes], seen.last, seen.missed) == ([4, 5], 5, 0)


def test_an_outcome_names_its_notification_and_masks_the_token(place: Place) -> None:
    """Four digits at either end."""
    chunk = chunk_of(place.ids, ACCOUNT)
    place.tally.wrote(chunk, [record(0, Outcome.UNADDRESSABLE, token=b"")], Counts(unaddressable=1))
    place.tally.wrote(chunk, [record(1, slot=3)], Counts(sent=1))
    place.clock.advance(HAND_OVER_SECONDS)
    nobody, sent = place.activity.outcomes(ACCOUNT, after=None, limit=10).outcomes
    assert (nobody.outcome, nobody.token) == ("unaddressable", "")
    assert (sent.outcome, sent.status, sent.token) == ("sent", 200, "0123…89ab")
    assert sent.notification_id[:13] == chunk.operation_id[:13]


def test_what_is_tried_again_is_a_reason_and_no_outcome(place: Place) -> None:
    """Nothing ended."""
    again = record(0, Outcome.REJECTED, status=503, reason="ServiceUnavailable", final=False)
    place.wrote(again, counts=Counts())
    assert place.activity.reasons(ACCOUNT) == [("ServiceUnavailable", 1)]
    assert place.activity.outcomes(ACCOUNT, after=0, limit=10).last == 0


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        ("BadDeviceToken", Outcome.REJECTED, "BadDeviceToken"),
        ("Expired: Unreachable: no route to 10.0.0.1", Outcome.NOT_SENT, "Expired"),
        ("", Outcome.UNKNOWN, "NoAnswer"),
        ("the connection was lost after 3 s", Outcome.UNKNOWN, "NoAnswer"),
        ("closed by us", Outcome.NOT_SENT, "NotSent"),
        ("<script>", Outcome.REJECTED, OTHER),
        ("A" * 60, Outcome.REJECTED, OTHER),
    ],
)
def test_a_reason_is_one_word(place: Place, said: str, outcome: Outcome, reason: str) -> None:
    """APNs' own or ours; whatever else somebody says does not become a name."""
    place.wrote(record(0, outcome, reason=said), counts=Counts(failed=1))
    assert place.activity.reasons(ACCOUNT) == [(reason, 1)]


def test_reasons_are_bounded(place: Place) -> None:
    """One past the bound is counted with the others."""
    words = ["Reason" + chr(65 + n // 26) + chr(65 + n % 26) for n in range(MAX_REASONS + 1)]
    place.wrote(*[record(n, Outcome.REJECTED, reason=word) for n, word in enumerate(words)])
    found = place.activity._accounts[ACCOUNT].seconds[0].reasons
    assert len(found) == MAX_REASONS + 1
    assert found[OTHER] == 1


def test_the_account_heard_of_longest_ago_leaves(place: Place) -> None:
    """At the bound all are there; one more, and the first is not."""
    for number in range(MAX_ACTIVE_ACCOUNTS + 1):
        if number == MAX_ACTIVE_ACCOUNTS:
            assert place.activity.seconds((0).to_bytes(16, "big"))
        place.activity.heard(place.digest(account=number.to_bytes(16, "big"), recipients=Counts(sent=1)))
    assert not place.activity.seconds((0).to_bytes(16, "big"))
    assert place.activity.seconds((1).to_bytes(16, "big"))


@pytest.mark.anyio
async def test_the_store_is_asked_for_lanes_now_and_then(place: Place) -> None:
    """Once a second at most, and seldom when it takes long."""
    depths = Depths(place.clock)
    lanes = Lanes(depths, place.clock)
    for _ in range(3):
        assert (await lanes.depths())[0].waiting == 1
    place.clock.advance(LANES_SECONDS)
    await lanes.depths()
    assert depths.asked == 2
    depths.seconds = 0.5
    place.clock.advance(LANES_SECONDS)
    await lanes.depths()
    place.clock.advance(9.9)
    await lanes.depths()
    assert depths.asked == 3
    place.clock.advance(0.1)
    await lanes.depths()
    assert depths.asked == 4


@pytest.mark.anyio
async def test_lanes_of_other_accounts_are_not_shown(place: Place) -> None:
    """Each account its own."""
    assert len(await place.activity.lanes(ACCOUNT)) == 1
    assert await place.activity.lanes(b"b" * 16) == []


def test_pushes_of_many_small_sends_are_counted_one_by_one(place: Place) -> None:
    """As a batch of them would be: recipients, times, and the tail with what was not kept of it."""
    for _ in range(OUTCOMES_A_SECOND + 5):
        place.tally.wrote(chunk_of(place.ids, ACCOUNT), [record(0)], Counts(sent=1))
    place.clock.advance(HAND_OVER_SECONDS)
    (second,) = place.activity.seconds(ACCOUNT)
    assert (second.sent, second.p50_ms) == (OUTCOMES_A_SECOND + 5, 8)
    seen = place.activity.outcomes(ACCOUNT, after=0, limit=OUTCOMES_KEPT)
    assert (len(seen.outcomes), seen.missed) == (OUTCOMES_A_SECOND, 5)
