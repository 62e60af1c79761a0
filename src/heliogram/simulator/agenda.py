"""What is to happen at a moment: run when the simulator's clock passes it, be it by itself or moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable

_SHORTEST = 0.001
_LONGEST = 3600.0
"""Seconds a timer waits at least (a clock that stands still is not asked without end) and at most."""


class Appointment:
    """One callback that waits for its moment, seconds since the epoch."""

    __slots__ = ("callback", "moment", "outlasts", "serial")

    def __init__(self, moment: float, serial: int, callback: Callable[[], object], outlasts: bool = False) -> None:
        self.moment = moment
        self.serial = serial
        self.outlasts = outlasts
        self.callback: Callable[[], object] | None = callback

    def __repr__(self) -> str:
        return f"<Appointment at={self.moment:.3f} {'off' if self.callback is None else 'on'}>"

    def __lt__(self, other: Appointment) -> bool:
        return (self.moment, self.serial) < (other.moment, other.serial)

    def cancel(self) -> None:
        """It will not happen; harmless when it has happened already."""
        self.callback = None


class Agenda:
    """Callbacks in the order of their moments; those of one moment in the order they were made.

    ``due`` is the first moment, infinity without any: whoever looks at something that time changes calls `look` first.
    Where an event loop runs, one timer on it calls `look` when the clock, left alone, gets there.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.due = math.inf
        self._clock = clock
        self._waiting: list[Appointment] = []
        self._serial = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(appointment.callback is not None for appointment in self._waiting)

    def __repr__(self) -> str:
        return f"<Agenda waiting={len(self)}>"

    def at(self, moment: float, callback: Callable[[], object], *, outlasts: bool = False) -> Appointment:
        """Call ``callback`` once the clock has reached ``moment``, seconds since the epoch; never from in here.

        ``outlasts``: it belongs to something that stays when everything else is forgotten, like an open connection.
        """
        self._serial += 1
        appointment = Appointment(moment, self._serial, callback, outlasts)
        heapq.heappush(self._waiting, appointment)
        if moment < self.due:
            self.due = moment
            self.arm()
        return appointment

    def look(self) -> None:
        """Run what has become due."""
        now = self._clock()
        if self.due <= now:
            self.run(now)

    def run(self, now: float) -> None:
        """Run what is due at ``now``, also what that adds. What a callback raises comes out; the rest stays due."""
        try:
            while self._waiting and self._waiting[0].moment <= now:
                callback = heapq.heappop(self._waiting).callback
                if callback is not None:
                    callback()
        finally:
            self.due = self._waiting[0].moment if self._waiting else math.inf
            self.arm()

    def arm(self) -> None:
        """Set the timer to the next moment; without a running event loop there is none, and `look` does the work."""
        self.disarm()
        if self.due == math.inf:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        wait = min(max(self.due - self._clock(), _SHORTEST), _LONGEST)
        self._timer = loop.call_later(wait, self._ring)

    def disarm(self) -> None:
        """Stop the timer; what waits keeps waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def clear(self) -> None:
        """Nothing is to happen any more but what outlasts this."""
        self._waiting = [one for one in self._waiting if one.outlasts and one.callback is not None]
        heapq.heapify(self._waiting)
        self.due = self._waiting[0].moment if self._waiting else math.inf
        self.arm()

    def _ring(self) -> None:
        self._timer = None
        if self.due <= self._clock():
            self.look()
        else:
            self.arm()
