"""Which worker is to have a shard's work: rendezvous hashing that the broker carries out, without any list of members.

Each worker asks for work of every shard, with a priority that is a hash of both; the broker serves the best first.
There are ten priorities, so that workers are often equal. Of equals the one that serves the shard already gets better
by one: a worker that was served twice in a row knows that it is alone, and of several that were served in turn each
tosses a coin. What the broker counts tells which it was.
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


class Affinity:
    """One worker's priorities in one lane. `toss` gives a number from 0 to 1."""

    def __init__(self, worker: str, toss: Callable[[], float]) -> None:
        self._worker, self._toss = worker, toss
        self._ranks: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._better: set[int] = set()

    def __repr__(self) -> str:
        return f"Affinity({self._worker!r}, serving={len(self._last)}, better={len(self._better)})"

    def priority(self, shard: int) -> int:
        """What to ask with."""
        known = self._ranks.get(shard)
        if known is None:
            known = self._ranks[shard] = rank(self._worker, shard)
        return known - (shard in self._better)

    def served(self, shard: int, number: int) -> None:
        """A message came, the broker's so-and-so-many-th of this shard."""
        alone = number - self._last.get(shard, 0) == 1
        self._last[shard] = number
        if alone or self._toss() < 0.5:
            self._better.add(shard)
        else:
            self._better.discard(shard)
