"""How fast an account may call: a token bucket each, filled by the clock."""

from __future__ import annotations

from collections import OrderedDict

from ..domain.accounts import MAX_ACCOUNTS, AccountLimits
from ..ports import Clock

_ROUNDING = 1e-6
"""Seconds that adding up times may lose: whoever waited as long as was said is let through."""


class Throttle:
    """The buckets of the accounts that have a limit. They belong to this process: several together let through several
    times as much."""

    def __init__(self, clock: Clock, *, size: int = MAX_ACCOUNTS) -> None:
        self._clock = clock
        self._size = size
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Throttle(accounts={len(self._buckets)})"

    def wait(self, account: bytes, limits: AccountLimits) -> float:
        """Counts a request of the account. 0 when it may go on, else in how many seconds one may be tried again."""
        rate = limits.requests_per_second
        if rate is None:
            return 0.0
        now = self._clock.monotonic()
        full = limits.at_once
        tokens, then = self._buckets.get(account, (full, now))
        tokens = min(full, tokens + (now - then) * rate)
        wait = (1.0 - tokens) / rate
        passes = wait <= _ROUNDING
        self._buckets[account] = (tokens - 1.0 if passes else tokens, now)
        self._buckets.move_to_end(account)
        while len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return 0.0 if passes else wait
