"""Whose turn it was last: what claims remember."""

from __future__ import annotations

from typing import NamedTuple

WEIGHTS_MS = 1_000


class Turn(NamedTuple):
    """The account that was served last, and how many chunks of its turn it has had."""

    account: bytes
    used: int


class Turns:
    """Whose turn it is in each lane and shard. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[int, int, str], Turn] = {}
        self.flows: dict[tuple[int, int, bytes], bytes] = {}
        self.weights: dict[bytes, int] = {}
        self._looked = 0
        self.began: set[tuple[int, int]] = set()
        """Where the last odd slot went to what begins by itself: the next goes to the rest."""

    def look(self, now: int) -> None:
        """Weights are looked up anew every second (ms): setting one acts by then."""
        if not 0 <= now - self._looked < WEIGHTS_MS:
            self.weights.clear()
            self._looked = now

    def __repr__(self) -> str:
        return f"Turns(lanes={len(self.accounts)}, flows={len(self.flows)})"
