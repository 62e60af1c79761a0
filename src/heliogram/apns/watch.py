"""Whether the peer is still there, and whether a connection has lived long enough."""

from __future__ import annotations

from collections.abc import Callable

from .clock import Clock, Timer
from .tuning import Tuning


class Watch:
    """Calls `ping` after silence, `dead` when silence follows that, `aged` once at the greatest age.

    One timer for all three. Set `heard` to the clock's monotonic time whenever bytes come.
    """

    __slots__ = ("_aged", "_clock", "_dead", "_is_old", "_ping", "_pinged", "_retire_at", "_timer", "_tuning", "heard")

    def __init__(
        self,
        clock: Clock,
        tuning: Tuning,
        *,
        ping: Callable[[], None],
        dead: Callable[[], None],
        aged: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._tuning = tuning
        self._ping, self._dead, self._aged = ping, dead, aged
        self.heard = clock.monotonic()
        self._retire_at = self.heard + tuning.max_age
        self._is_old = False
        self._pinged: float | None = None
        self._timer: Timer | None = None
        self._arm(self.heard)

    def __repr__(self) -> str:
        state = "waits for a pong" if self._pinged is not None else "quiet"
        return f"<Watch {state}, heard {self._clock.monotonic() - self.heard:.1f} s ago>"

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, now: float) -> None:
        if self._pinged is not None:
            due = self._pinged + self._tuning.pong_timeout
        else:
            due = self.heard + self._tuning.ping_after
        if not self._is_old:
            due = min(due, self._retire_at)
        self._timer = self._clock.call_later(max(0.001, due - now), self._check)

    def _check(self) -> None:
        now = self._clock.monotonic()
        if self._pinged is not None and self.heard >= self._pinged:
            self._pinged = None
        if self._pinged is not None and now >= self._pinged + self._tuning.pong_timeout:
            self._dead()
            return
        if self._pinged is None and now >= self.heard + self._tuning.ping_after:
            self._pinged = now
            self._ping()
        self._arm(now)
        if not self._is_old and now >= self._retire_at:
            self._is_old = True
            self._aged()
