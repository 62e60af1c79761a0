"""The bounds of the queue, and when to come again."""

from __future__ import annotations

import pytest

from heliogram.domain.backlog import QueueBounds, QueueFull, retry_after, share_of
from heliogram.domain.operations import Lane


@pytest.mark.parametrize(("bound", "large"), [(100, 95), (19, 19), (20, 19), (5_000_000, 4_750_000)])
def test_the_last_twentieth_is_for_small_sends(bound: int, large: int) -> None:
    """Of a bound under twenty nothing is kept."""
    assert (share_of(bound, Lane.TX), share_of(bound, Lane.BULK)) == (bound, large)


@pytest.mark.parametrize(
    ("excess", "rate", "seconds"),
    [
        (1000, None, 5),
        (1, 1000.0, 1),
        (1000, 1000.0, 1),
        (1001, 1000.0, 2),
        (59_000, 1000.0, 59),
        (59_001, 1000.0, 60),
        (60_001, 1000.0, 60),
        (10, 0.0, 60),
    ],
)
def test_the_wait_follows_from_the_rate(excess: int, rate: float | None, seconds: int) -> None:
    """As long as the excess takes to end, 1 to 60 seconds; 5 when nothing is known."""
    assert retry_after(excess, rate) == seconds


def test_who_is_refused_is_told_bound_and_cure() -> None:
    """Of the account or the service, and what large sends may fill."""
    own = str(QueueFull(bound=2000, lane=Lane.BULK, account=True, retry_after=3))
    assert own.startswith(
        "the account's queue is full: at most 2000 recipients may wait, 1900 for sends to more than 100"
    )
    assert "cancel what need not be sent" in own
    assert "--max-queued-per-account" in own
    service = str(QueueFull(bound=2000, lane=Lane.TX, account=False, retry_after=3))
    assert service.startswith("the service's queue is full: at most 2000 recipients may wait. Nothing")
    assert service.endswith("(heliogram serve --max-queued)")


def test_bounds_show_themselves() -> None:
    """Half of the queue is an account's where nothing is said, but never less than the largest send needs."""
    assert QueueBounds.of(30_000, None) == QueueBounds(total=30_000, account=20_000)
    assert QueueBounds.of(100_000, None) == QueueBounds(total=100_000, account=50_000)
