"""Long work on the event loop, done in slices: between two of them everything else that is ready goes on. And waiting
by a clock that is given, or for what comes first.

A slice is a millisecond or so. Of all who do such work one goes on in each pass of the loop, in turn: what else waits
for the loop, such as a send to one device, waits for one slice at each step, however many campaigns are under way.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable
from weakref import WeakKeyDictionary

from .ports import Clock

SLICE = 256
"""Recipients of a campaign that one slice does one step for: half a millisecond, without the twins in C one."""

COLLECT_AFTER = 20_000
"""Objects of the collector's that are new before it looks at them: a millisecond's work, and a few MB at most."""


class _Turns:
    """Those who wait for their turn on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._going = False

    def __repr__(self) -> str:
        return f"_Turns(waiting={len(self._waiting)})"

    def wait(self) -> asyncio.Future[None]:
        """Done when it is the caller's turn."""
        mine: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(mine)
        if not self._going:
            self._going = True
            self._loop.call_soon(self._next)
        return mine

    def _next(self) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():  # whoever waited may have been cancelled
                first.set_result(None)
                break
        self._going = bool(self._waiting)
        if self._going:
            self._loop.call_soon(self._next)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


async def turn() -> None:
    """To be awaited between two slices: returns in a later pass of the loop, when who asked earlier has had theirs."""
    loop = asyncio.get_running_loop()
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = _Turns(loop)
    await turns.wait()


async def pause(clock: Clock, seconds: float) -> None:
    """Lets so much time pass."""
    rung = asyncio.Event()
    timer = clock.call_later(seconds, rung.set)
    try:
        await rung.wait()
    finally:
        timer.cancel()


async def first_of(*waits: Awaitable[object]) -> None:
    """Returns when one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def settle() -> None:
    """To be called once all is imported and put together: what is there stays, and no full collection looks at it
    again. That would keep the event loop for 30 ms each time. What comes after is looked at when there is more of it
    than a few chunks in hand make: their tuples are in no cycle, and to look through them again and again took a tenth
    of a campaign's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
