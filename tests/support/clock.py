"""A clock that goes only when it is told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

START = 1_800_000_000.0


class FakeTimer:
    """A call that is to come."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.canceled = False

    def cancel(self) -> None:
        """Forget it."""
        self.canceled = True


class FakeClock:
    """`ports.Clock` for tests: `advance` moves time and calls what falls due, in order.

    `await timer_set()` returns once something waits for this clock.
    """

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._stepped = 0.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._numbers = itertools.count()
        self._waiting: list[asyncio.Future[None]] = []

    def time(self) -> float:
        """Seconds since 1970."""
        return self._now + self._stepped

    def monotonic(self) -> float:
        """Seconds that never step: the same hand, as long as nobody steps the other."""
        return self._now

    def step(self, seconds: float) -> None:
        """Sets the clock on the wall on or back: no timer hears of it."""
        self._stepped += seconds

    @property
    def ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.time() * 1000)

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        """Calls back once, when the clock has been advanced so far."""
        timer = FakeTimer(self._now + max(0.0, delay), callback)
        heapq.heappush(self._timers, (timer.when, next(self._numbers), timer))
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        return timer

    @property
    def timers(self) -> list[float]:
        """In how many seconds the pending timers ring, soonest first."""
        return sorted(timer.when - self._now for _, _, timer in self._timers if not timer.canceled)

    async def timer_set(self) -> None:
        """Waits until a timer is pending."""
        while not self.timers:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def advance(self, seconds: float) -> None:
        """Lets time pass; timers ring at their own moments."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            if not timer.canceled:
                self._now = max(self._now, when)
                timer.callback()
        self._now = end
