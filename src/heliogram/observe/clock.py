"""The real clock, on the running event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..ports import Timer


class SystemClock:
    """`ports.Clock`: the machine's time, and the running loop's timers."""

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never step."""
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Calls back once, `delay` seconds from now. Needs a running loop."""
        return asyncio.get_running_loop().call_later(delay, callback)

    def __repr__(self) -> str:
        return "SystemClock()"
