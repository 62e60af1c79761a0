"""Which worker is to have a shard's work: rendezvous hashing that the broker carries out, without any list of members.

Each worker asks for work of every shard, with a priority that is a hash of both; the broker serves the best first.
There are ten priorities, so that workers are often equal. Of equals the one that serves most of the shard already gets
better by one. What the broker counts tells each how many went to others since its last: who has nearly all stays the
better one when others help out in a burst, who helps out does not become it, and of several that are served in turn
each tosses a coin until they differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

PRIORITIES = 10
"""0 goes first, 9 last."""


def rank(worker: str, shard: int) -> int:
    """A worker's place for a shard, 1 to 9; 0 is for nobody to begin with."""
    digest = hashlib.blake2b(f"{worker}\0{shard}".encode(), digest_size=8).digest()
    return 1 + int.from_bytes(digest, "big") % (PRIORITIES - 1)


MOST, FEW = 0.6, 0.2
"""Who serves a larger part of a shard than `MOST` gets better, who serves less than `FEW` does not; in between is a
coin's."""
_WEIGHT = 0.25
"""What the last message counts for, beside all before it."""
_EVEN = 0.5


class Affinity:
    """One worker's priorities in one lane. `toss` gives a number from 0 to 1."""

    def __init__(self, worker: str, toss: Callable[[], float]) -> None:
        self._worker, self._toss = worker, toss
        self._ranks: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._parts: dict[int, float] = {}
        self._better: set[int] = set()

    def __repr__(self) -> str:
        return f"Affinity({self._worker!r}, serving={len(self._last)}, better={len(self._better)})"

    def priority(self, shard: int) -> int:
        """What to ask with."""
        known = self._ranks.get(shard)
        if known is None:
            known = self._ranks[shard] = rank(self._worker, shard)
        return known - (shard in self._better)

    def is_contested(self, shard: int) -> bool:
        """Whether others are served as much as this worker: it is soon to ask again, with what its coin says then."""
        return FEW <= self._parts.get(shard, 0.0) <= MOST

    def served(self, shard: int, number: int) -> None:
        """A message came, the broker's so-and-so-many-th of this shard."""
        now = 1 / max(1, number - self._last.get(shard, 0))
        self._last[shard] = number
        before = self._parts.get(shard, min(now, _EVEN))
        part = self._parts[shard] = before + (now - before) * _WEIGHT
        if part > MOST or (part >= FEW and self._toss() < 0.5):
            self._better.add(shard)
        else:
            self._better.discard(shard)
