"""The simulator's time: the real one, or the caller's, plus an offset that is moved by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import msgspec

from .agenda import Agenda
from .errors import Invalid
from .feed import Feed
from .lockscreen import stamp

LATEST = 32_503_680_000.0
"""Start of the year 3000, in seconds since the epoch: no clock is set beyond it."""


class SimulatorClock:
    """Seconds since the epoch: what ``source`` says, plus ``offset`` seconds."""

    __slots__ = ("offset", "source")

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self.source = source
        self.offset = 0.0

    def __call__(self) -> float:
        return self.source() + self.offset

    def __repr__(self) -> str:
        return f"<SimulatorClock offset={self.offset:+.3f}>"


class ClockReading(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``now`` in seconds since the epoch, ``at`` the same as text, ``offset`` seconds ahead of the unmoved clock."""

    now: float
    at: str
    offset: float
    waiting: int


class Time:
    """The clock and what waits for it. Everything in the simulator that asks for the time asks ``clock``."""

    def __init__(self, source: Callable[[], float], feed: Feed) -> None:
        self.clock = SimulatorClock(source)
        self.agenda = Agenda(self.clock)
        self._feed = feed

    def __repr__(self) -> str:
        return f"<Time {self.clock!r} {self.agenda!r}>"

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.clock()

    @property
    def offset(self) -> float:
        """Seconds the clock is ahead of the unmoved one."""
        return self.clock.offset

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` pass at once and give the new time. What is due on the way happens in order, each at its
        own moment. Raises Invalid for a negative or an endless time, or one beyond the year 3000."""
        if not 0 <= seconds < math.inf:
            raise Invalid("advance must be seconds, 0 or more; set takes the clock back", field="advance")
        return self._move(self.clock.offset + seconds, "advance")

    def set(self, moment: float) -> float:
        """Make it ``moment``, seconds since the epoch. Forwards as `advance`; backwards nothing happens twice.

        Raises Invalid for a moment before 1970 or beyond the year 3000.
        """
        return self._move(moment - self.clock.source(), "set")

    def reset(self) -> float:
        """Back to the unmoved clock."""
        self.clock.offset = 0.0
        return self._moved()

    def read(self) -> ClockReading:
        """The clock as people read it."""
        now = self.clock()
        return ClockReading(now=now, at=stamp(now), offset=self.clock.offset, waiting=len(self.agenda))

    def export(self) -> dict[str, float]:
        """How far the clock was moved, for a scenario."""
        return {"offset": self.clock.offset}

    def import_(self, value: Any) -> None:
        """Move the clock by what `export` gave. Raises Invalid."""
        try:
            offset = msgspec.convert(value, dict[str, float])["offset"]
        except (msgspec.ValidationError, KeyError) as error:
            raise Invalid("clock must be {offset: seconds}", field="clock") from error
        self._move(offset, "offset")

    def clear(self) -> None:
        """Nothing waits, and the clock is the unmoved one."""
        self.agenda.clear()
        self.clock.offset = 0.0

    def _move(self, offset: float, field: str) -> float:
        target = self.clock.source() + offset
        if not 0 <= target <= LATEST:
            raise Invalid(f"{field} must leave the clock between the years 1970 and 3000", field=field)
        agenda, clock = self.agenda, self.clock
        while agenda.due <= target:
            now = clock()
            if agenda.due > now:
                clock.offset += agenda.due - now
            agenda.run(max(agenda.due, now))
        clock.offset = offset
        return self._moved()

    def _moved(self) -> float:
        self.agenda.arm()
        if self._feed.live:
            self._feed.publish("clock", msgspec.to_builtins(self.read()))
        return self.clock()
