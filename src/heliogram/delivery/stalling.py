"""Outcomes that the store does not take: kept and tried again, while nobody takes up more work.

What was answered and cannot be written must neither be forgotten, or it would be sent again, nor pile up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from ..domain.errors import Unavailable
from ..pacing import pause
from ..ports import Clock

T = TypeVar("T")

BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between two tries, the last for ever: so late at most is it noticed that there is room again."""


def back_off() -> Iterator[float]:
    """Seconds to wait before each further try, without end."""
    yield from BACK_OFF_S
    while True:
        yield BACK_OFF_S[-1]


class Stall:
    """Who has something that the store does not take. While anybody has, no further chunk is to be begun."""

    def __init__(self) -> None:
        self._stuck: set[int] = set()
        self._clear = asyncio.Event()
        self._clear.set()

    def __repr__(self) -> str:
        return f"Stall(stuck={len(self._stuck)})"

    @property
    def is_on(self) -> bool:
        """Whether somebody is stuck."""
        return bool(self._stuck)

    def begin(self, who: object) -> None:
        """A write of somebody's failed."""
        self._stuck.add(id(who))
        self._clear.clear()

    def end(self, who: object) -> None:
        """It was written, or is given up."""
        self._stuck.discard(id(who))
        if not self._stuck:
            self._clear.set()

    def over(self) -> Awaitable[object]:
        """To be awaited: nobody is stuck."""
        return self._clear.wait()

    async def write(self, clock: Clock, job: Callable[[], Awaitable[T]]) -> T:
        """What `job` returns; it is tried until the store takes it. Raises what is not `Unavailable`."""
        waits, who = back_off(), object()
        try:
            while True:
                try:
                    return await job()
                except Unavailable:  # the store tells the log, once for all
                    self.begin(who)
                await pause(clock, next(waits))
        finally:
            self.end(who)
