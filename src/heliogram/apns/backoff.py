"""How long a pool waits after attempts to connect that failed."""

from __future__ import annotations

import random
from collections.abc import Callable

from .clock import Clock, Timer
from .tuning import Tuning

_LONGEST = 30
"""Doublings that are surely enough to come to the longest wait."""


class BackOff:
    """Counts failures in a row; each makes the pause double, up to `Tuning.max_back_off`, less a random half."""

    def __init__(self, clock: Clock, rng: random.Random, tuning: Tuning, resume: Callable[[], None]) -> None:
        self.failures = 0
        """In a row. Set it to 0 when a connection has proven itself."""
        self._clock = clock
        self._random = rng
        self._tuning = tuning
        self._resume = resume
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<BackOff {self.failures} failures in a row{', pausing' if self.is_pausing else ''}>"

    @property
    def is_pausing(self) -> bool:
        """Whether no attempt is due yet."""
        return self._timer is not None

    def pause(self, *, longest: bool) -> None:
        """Wait as long as the failures so far demand, or as long as ever; then call `resume`."""
        steps = _LONGEST if longest else min(self.failures - 1, _LONGEST)
        delay = min(self._tuning.max_back_off, self._tuning.back_off * 2.0**steps)
        self.cancel()
        self._timer = self._clock.call_later(delay * (0.5 + self._random.random() / 2), self._over)

    def forget(self) -> None:
        """Start afresh: what failed has been replaced."""
        self.failures = 0
        if self._timer is not None:
            self.cancel()
            self._resume()

    def cancel(self) -> None:
        """Wait no more, and do not call `resume`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        self._resume()
