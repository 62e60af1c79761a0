"""Which provider tokens this process has presented, and when each team's changed last (TOK-9, TOK-10).

APNs may count different tokens by team and address, not only by connection; so all clients of a process share one
book. Time is an argument: a book belongs to a clock, and goes when the clock goes.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from typing import TypeVar

from .clock import Clock, SystemClock

TOKEN_LIFE = 60 * 60
"""Seconds for which a token is remembered: longer than it is ever presented (TOK-8)."""
LIMIT = 10_000
"""Tokens remembered, and teams; the oldest leave first."""


class Ledger:
    """The tokens that have been presented. Safe to use from any thread; keeps digests alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Both are in the order of time, so what is too old stands in front.
        self._shown: dict[bytes, float] = {}
        self._changed: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Ledger {len(self._shown)} tokens of {len(self._changed)} teams>"

    def unlock(self) -> None:
        """After a fork, in the child: whoever held the lock has stayed in the parent."""
        self._lock = threading.Lock()

    def present(self, team_id: str, token: bytes, now: float) -> None:
        """A connection is going to present this token; a change of the team's if none has. `now`: monotonic seconds."""
        digest = _digest(token)
        with self._lock:
            if digest in self._shown:
                return
            self._shown[digest] = now
            self._changed.pop(team_id, None)
            self._changed[team_id] = now
            _shorten(self._shown, now)
            _shorten(self._changed, now)

    def knows(self, token: bytes) -> bool:
        """Whether some connection of this process has presented the token."""
        digest = _digest(token)
        with self._lock:
            return digest in self._shown

    def changed(self, team_id: str) -> float | None:
        """When the team's token changed last, in monotonic seconds; None: not within an hour."""
        with self._lock:
            return self._changed.get(team_id)


def _digest(token: bytes) -> bytes:
    return hashlib.blake2b(token, digest_size=16).digest()


Key = TypeVar("Key")


def _shorten(book: dict[Key, float], now: float) -> None:
    """Forget what is too old, and what is too much."""
    while book:
        oldest = next(iter(book))
        if len(book) <= LIMIT and now - book[oldest] <= TOKEN_LIFE:
            return
        del book[oldest]


_ledgers: weakref.WeakKeyDictionary[object, Ledger] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _unlock() -> None:
    global _lock
    _lock = threading.Lock()
    for one in list(_ledgers.values()):
        one.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def ledger_of(clock: Clock) -> Ledger:
    """The book of all clients with this clock; those with the system's clock have one together."""
    whose: object = SystemClock if type(clock) is SystemClock else clock
    try:
        with _lock:
            return _ledgers.setdefault(whose, Ledger())
    except TypeError:  # a clock that cannot be referred to weakly: its clients keep books of their own
        return Ledger()
