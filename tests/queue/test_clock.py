"""The clocks that the queue runs on: the real one, and the tests' own."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.clock import FakeClock

from heliogram.observe.clock import SystemClock
from heliogram.ports import Clock

pytestmark = pytest.mark.anyio


async def test_the_real_clock_tells_the_machines_time() -> None:
    """Seconds since 1970, and seconds that never step."""
    clock: Clock = SystemClock()
    assert abs(clock.time() - time.time()) < 5
    assert abs(clock.monotonic() - time.monotonic()) < 5


async def test_the_real_clock_rings_on_the_loop() -> None:
    """A timer calls back once; a cancelled one never."""
    clock, rung = SystemClock(), asyncio.Event()
    clock.call_later(0, lambda: pytest.fail("was cancelled")).cancel()
    clock.call_later(0, rung.set)
    await rung.wait()


def test_the_tests_clock_rings_timers_at_their_own_moments() -> None:
    """In order, also those set while it rings; what is later waits."""
    clock = FakeClock(100.0)
    seen: list[tuple[str, float]] = []

    def first() -> None:
        seen.append(("first", clock.time()))
        clock.call_later(1, lambda: seen.append(("inner", clock.time())))

    clock.call_later(3, lambda: seen.append(("third", clock.time())))
    clock.call_later(1, first)
    clock.call_later(2.5, lambda: pytest.fail("was cancelled")).cancel()
    clock.call_later(9, lambda: pytest.fail("is not due"))
    clock.advance(4)
    assert seen == [("first", 101.0), ("inner", 102.0), ("third", 103.0)]
    assert clock.time() == clock.monotonic() == 104.0
    assert clock.timers == [5.0]
