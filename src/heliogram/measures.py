"""Counting where something happens: a list and a number, of which whoever is asked makes metrics."""

from __future__ import annotations

from bisect import bisect_left

import msgspec

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds, of what is measured within the service."""


class Durations:
    """How many durations fell between which bounds. Counted by one thread; another may look on."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def __repr__(self) -> str:
        return f"Durations(count={sum(self.counts)}, seconds={self.total:.3f})"

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is. `commits` are the transactions that write; `waiting` jobs have not begun; `failed` is how many
    jobs ended because of the database, `repeated` how many began again since others got in their way. `wal_bytes` is
    the size of the log of the embedded store, `pool_size` and `pool_busy` are a shared one's connections."""

    commits: Durations
    waiting: int
    failed: int
    repeated: int = 0
    wal_bytes: int | None = None
    pool_size: int | None = None
    pool_busy: int | None = None


class WebhookCounts:
    """What became of attempts to tell webhooks, in this process."""

    __slots__ = ("failed", "taken", "times")

    def __init__(self) -> None:
        self.taken = self.failed = 0
        self.times = Durations()

    def __repr__(self) -> str:
        return f"WebhookCounts(taken={self.taken}, failed={self.failed})"

    def count(self, *, taken: bool, seconds: float) -> None:
        """One attempt, and how long the receiver took."""
        if taken:
            self.taken += 1
        else:
            self.failed += 1
        self.times.add(seconds)


class WebhookStand(msgspec.Struct, frozen=True, kw_only=True):
    """Batches of all webhooks that were not taken: `retrying`, `dead` letters, and since when (ms) the oldest that is
    still tried has waited; `disabled` webhooks are told nothing."""

    retrying: int = 0
    dead: int = 0
    oldest: int | None = None
    disabled: int = 0
