"""A clock that moves when the test says so."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class ManualTimer:
    """A call that was put off."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget it."""
        self.callback = None


class ManualClock:
    """Wall and monotonic time that stand still until `advance`."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self.wall = start
        self.elapsed = 1000.0
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._count = itertools.count()

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.elapsed

    def call_later(self, delay: float, callback: Callable[[], None]) -> ManualTimer:
        """Call back when `advance` has passed `delay` seconds."""
        timer = ManualTimer(callback)
        heapq.heappush(self._timers, (self.elapsed + delay, next(self._count), timer))
        return timer

    @property
    def pending(self) -> int:
        """Timers that are still to fire."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        """Move on, firing what comes due, each at its own time."""
        end = self.elapsed + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._move(due)
            if timer.callback is not None:
                timer.callback()
        self._move(end)

    def _move(self, to: float) -> None:
        if to > self.elapsed:
            self.wall += to - self.elapsed
            self.elapsed = to
