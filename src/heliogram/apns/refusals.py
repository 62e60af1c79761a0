"""How soon a connection asks again when APNs refuses its streams (CONN-17)."""

from __future__ import annotations

from collections.abc import Callable

from .clock import Clock

AT_ONCE = 4
"""Refusals in a row after which the next push is tried at once."""
FIRST_PAUSE = 0.01
"""Seconds after the fifth."""
LONGEST_PAUSE = 1.0


class Refusals:
    """Refusals in a row on one connection, with no stream taken in between.

    The first ones are met by asking again at once, with one stream: the limit was lowered. When that is refused, too,
    there is nothing to learn from asking soon: pauses of 10 ms, doubling to a second, each ended by a call of `again`.
    """

    def __init__(self, clock: Clock, again: Callable[[], object]) -> None:
        self._clock, self._again = clock, again
        self._pause = 0.0
        self._met = 0
        self.is_pausing = False
        """Whether nothing is to be opened now."""

    def __repr__(self) -> str:
        return f"Refusals(met={self._met}, pause={self._pause:g} s, is_pausing={self.is_pausing})"

    def met(self) -> None:
        """All that was open has ended, and the last of it was refused."""
        self._met += 1
        if self._met <= AT_ONCE:
            return
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self.is_pausing = True
        self._clock.call_later(self._pause, self._over)

    def over(self) -> None:
        """APNs took a stream."""
        self._met, self._pause = 0, 0.0

    def _over(self) -> None:
        self.is_pausing = False
        self._again()
