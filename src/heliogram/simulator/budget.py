"""Background pushes as a device rations them: a few an hour, and none for an app that was force-quit (LIFE-8)."""

from __future__ import annotations

from collections import deque

from .lockscreen import Arrival

HOUR = 3600.0


class Wakeups:
    """What one app was woken for lately. ``held``: the newest background push not handed over; older ones are gone."""

    __slots__ = ("_times", "held", "quit")

    def __init__(self) -> None:
        self.held: Arrival | None = None
        self.quit = False
        self._times: deque[float] = deque()

    def __repr__(self) -> str:
        return f"<Wakeups taken={len(self._times)} held={self.held is not None} quit={self.quit}>"

    def take(self, now: float, limit: int | None) -> bool:
        """Whether the app may be woken now, at most ``limit`` times within an hour (TYPE-3); then it counts."""
        if self.quit:
            return False
        if limit is None:
            return True
        times = self._times
        while times and times[0] + HOUR <= now:
            times.popleft()
        if len(times) >= limit:
            return False
        times.append(now)
        return True

    def next_turn(self, now: float) -> float:
        """When the budget has room again, seconds since the epoch."""
        return self._times[0] + HOUR if self._times else now
