"""When a batch is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.webhooks import KEPT_MS
from heliogram.webhooks.backoff import MAX_ERROR, MAX_RETRY_AFTER_MS, BackOff
from heliogram.webhooks.posting import Answer

NOW = 1_800_000_000_000
FAILED = Answer(status=500, error="the receiver answered 500")
LADDER = [5, 30, 120, 600, 1800, 3600, 10800, 21600, 21600]


def low(a: float, b: float) -> float:
    return a


def high(a: float, b: float) -> float:
    return b


@pytest.mark.parametrize(("attempts", "seconds"), list(enumerate(LADDER)))
def test_the_ladder_is_climbed_and_its_last_step_repeats(attempts: int, seconds: int) -> None:
    """5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, then every 6 h; jitter adds a fifth at most."""
    back_off = BackOff()
    for uniform, share in ((low, 1.0), (high, 1.2)):
        failure = back_off.failure(FAILED, now=NOW, created=NOW, attempts=attempts, failures=0, uniform=uniform)
        assert failure.due == NOW + int(seconds * 1000 * share)
        assert failure.held_until == 0


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (2, 120), (3, 600), (4, 1800), (5, 1800), (50, 1800)]
)
def test_a_receiver_that_is_down_is_held_back(failures: int, seconds: int) -> None:
    """From the third failure in a row on, and never for more than half an hour."""
    failure = BackOff().failure(FAILED, now=NOW, created=NOW, attempts=0, failures=failures, uniform=low)
    assert failure.held_until == (NOW + seconds * 1000 if seconds else 0)


def test_retry_after_holds_everything_back() -> None:
    """The batch and the webhook; for a day at most."""
    answer = Answer(status=429, error="the receiver answered 429", retry_after=3600)
    failure = BackOff().failure(answer, now=NOW, created=NOW, attempts=0, failures=0, uniform=low)
    assert (failure.due, failure.held_until) == (NOW + 3_600_000, NOW + 3_600_000)
    answer = Answer(status=429, error="x", retry_after=1e9)
    failure = BackOff().failure(answer, now=NOW, created=NOW, attempts=0, failures=0, uniform=low)
    assert failure.held_until == NOW + MAX_RETRY_AFTER_MS


def test_the_last_attempt_is_at_the_end_of_the_three_days() -> None:
    """One that fails then makes a dead letter."""
    back_off, end = BackOff(), NOW + KEPT_MS
    last = back_off.failure(FAILED, now=end - 1, created=NOW, attempts=20, failures=0, uniform=low)
    assert last.due == end
    assert back_off.failure(FAILED, now=end, created=NOW, attempts=21, failures=0, uniform=low).due is None


def test_long_errors_are_cut() -> None:
    """What a receiver says is not kept without bound."""
    answer = Answer(error="x" * 1000)
    failure = BackOff().failure(answer, now=NOW, created=NOW, attempts=0, failures=0)
    assert len(failure.error) == MAX_ERROR


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, KEPT_MS - 1), st.none() | st.floats(0, 1e7))
def test_a_batch_is_always_tried_later_and_never_after_its_end(
    attempts: int, failures: int, age: int, retry_after: float | None
) -> None:
    """Whatever the receiver asks for."""
    answer = Answer(status=503, error="x", retry_after=retry_after)
    failure = BackOff().failure(answer, now=NOW + age, created=NOW, attempts=attempts, failures=failures)
    assert failure.due is not None
    assert NOW + age < failure.due <= NOW + KEPT_MS
