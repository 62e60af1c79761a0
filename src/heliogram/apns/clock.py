"""Time as a parameter: what the engine asks of a clock, and the one of this machine."""

from __future__ import annotations

import asyncio
import time as _time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that was put off."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """Wall time for provider tokens, monotonic time for deadlines, and timers."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `delay` seconds of monotonic time, in the event loop's thread."""


class SystemClock:
    """The clock of this machine and the timers of the running loop."""

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """See `Clock.call_later`."""
        return asyncio.get_running_loop().call_later(delay, callback)
