"""Who is served when: connections that have said much take turns, so that nobody else on the event loop waits long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

SLICE = 32768
"""Received bytes that are answered in one go: some 200 pushes, a few milliseconds."""


class Waiting(Protocol):
    """A connection that has more to answer than fits one go."""

    def proceed(self, most: int) -> int:
        """Answer at most so many bytes of what waits, and take another turn if there is more; how many it were."""


class Turns:
    """The connections of one port that have more to answer, in the order they asked.

    In a turn of the event loop they answer ``size`` bytes all together, and the piece that goes beyond: less than twice
    as much. How long others wait therefore does not depend on how many connections are busy.
    """

    def __init__(self, size: int = SLICE) -> None:
        self.size = size
        self._queue: OrderedDict[Waiting, None] = OrderedDict()
        self._spent = 0
        self._planned = False

    def __repr__(self) -> str:
        return f"<Turns waiting={len(self._queue)} spent={self._spent} of {self.size}>"

    def grants(self, size: int) -> bool:
        """Whether so many bytes may be answered at once: this turn has room for them, and nobody waits longer."""
        if self._queue or self._spent + size > self.size:
            return False
        self._spent += size
        self._plan()
        return True

    def add(self, one: Waiting) -> None:
        """It is called when its turn has come; once, however often it was added."""
        self._queue[one] = None
        self._plan()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._planned = False
        self._spent = 0
        queue = self._queue
        try:
            while queue and self._spent < self.size:
                one, _ = queue.popitem(last=False)
                self._spent += one.proceed(self.size)
        finally:
            if queue or self._spent:
                self._plan()
