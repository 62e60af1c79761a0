"""When a push that was not accepted is tried again."""

import pytest

from heliogram.delivery.policy import DAY_MS, QUARTER_MS, Deadline, RetryPolicy
from heliogram.domain.notifications import NOT_STORED, Outcome
from heliogram.domain.operations import Lane
from heliogram.ports import PushResult, Retry

NOW = 1_800_000_000_000
POLICY = RetryPolicy(jitter=0.0)


def wait(
    retry: Retry,
    *,
    attempt: int = 1,
    lane: Lane = Lane.TX,
    unknowns: int = 0,
    retry_after: float | None = None,
    policy: RetryPolicy = POLICY,
) -> int | None:
    result = PushResult(tag=None, outcome=Outcome.REJECTED, retry=retry, retry_after=retry_after)
    at = policy.retry_at(result, lane=lane, attempt=attempt, unknowns=unknowns, now=NOW)
    return None if at is None else at - NOW


def test_a_refusal_is_final() -> None:
    """What APNs never takes is not sent again (section 5 of the rule book)."""
    assert wait(Retry.NEVER) is None


@pytest.mark.parametrize(
    ("attempt", "expected"), [(1, 1_000), (2, 5_000), (3, 30_000), (4, QUARTER_MS), (9, QUARTER_MS)]
)
def test_small_sends_retry_5xx_quickly_then_every_quarter_of_an_hour(attempt: int, expected: int) -> None:
    """After 1, 5 and 30 s on new connections, then Apple's 15 minutes (ERR-3)."""
    assert wait(Retry.LATER, attempt=attempt) == expected


def test_bulk_waits_a_quarter_of_an_hour_from_the_first_5xx() -> None:
    """A campaign keeps to the letter of ERR-3."""
    assert wait(Retry.LATER, lane=Lane.BULK) == QUARTER_MS


@pytest.mark.parametrize(("attempt", "expected"), [(1, 1_000), (3, 30_000), (4, 60_000), (50, 60_000)])
def test_what_never_left_is_tried_each_minute_at_last(attempt: int, expected: int) -> None:
    """What APNs provably did not get cannot annoy it: the ladder's last step repeats."""
    assert wait(Retry.SOON, attempt=attempt) == expected


def test_an_unknown_outcome_is_tried_once_more() -> None:
    """No answer: once, with the same id, since APNs is not documented to drop duplicates."""
    assert wait(Retry.ONCE) == 1_000
    assert wait(Retry.ONCE, attempt=2, unknowns=1) is None


def test_too_many_to_one_device_doubles_its_wait_up_to_an_hour() -> None:
    """`TooManyRequests` backs off for that device alone."""
    assert [wait(Retry.DEVICE, attempt=n) for n in (1, 2, 3)] == [30_000, 60_000, 120_000]
    assert wait(Retry.DEVICE, attempt=40) == 3_600_000


def test_retry_after_is_honoured_when_it_asks_for_more() -> None:
    """A `retry-after` lengthens the wait and never shortens it (RESP-7)."""
    assert wait(Retry.SOON, retry_after=7.5) == 7_500
    assert wait(Retry.SOON, attempt=3, retry_after=7.5) == 30_000


def test_jitter_adds_at_most_its_share() -> None:
    """Many pushes that failed together do not come back together."""
    policy = RetryPolicy(jitter=0.5)
    result = PushResult(tag=None, outcome=Outcome.REJECTED, retry=Retry.SOON)
    at = policy.retry_at(result, lane=Lane.TX, attempt=1, unknowns=0, now=NOW, uniform=lambda low, high: high)
    assert at == NOW + 1_500


def test_a_push_without_expiry_is_given_up_after_a_day() -> None:
    """The expiry decides when there is one, the setting otherwise."""
    assert Deadline.of(NOW, None, POLICY) == Deadline(NOW + DAY_MS, NOW + DAY_MS, own=False)
    assert Deadline.of(NOW, NOW + 5, POLICY) == Deadline(NOW + 5, NOW + 5, own=True)


def test_what_is_not_to_be_stored_is_tried_once() -> None:
    """A time to live of 0: however long it had to queue there is a first attempt, and never a second."""
    deadline = Deadline.of(NOW, NOT_STORED, POLICY)
    assert (deadline.first, deadline.again) == (NOW + DAY_MS, 0)
