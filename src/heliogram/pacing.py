"""Long work on the event loop, done in slices: between two of them everything else that is ready goes on. And waiting
by a clock that is given, or for what comes first.

A slice is a millisecond or so. Of all who do such work one goes on in each pass of the loop, in turn: what else waits
for the loop, such as a send to one device, waits for one slice at each step, however many campaigns are under way.
Every other turn is a request's, if one waits: else a large send would be answered when the chunks before it, twenty to
a send and each as long at work as it, are all over.
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
        self._first: deque[asyncio.Future[None]] = deque()  # whose turn is next, if any of them still waits
        self._then: deque[asyncio.Future[None]] = deque()
        self._requests, self._work = self._first, self._then
        self._going = False

    def __repr__(self) -> str:
        return f"_Turns(requests={len(self._requests)}, work={len(self._work)})"

    def wait(self, is_request: bool) -> asyncio.Future[None]:
        """Done when it is the caller's turn."""
        mine: asyncio.Future[None] = self._loop.create_future()
        (self._requests if is_request else self._work).append(mine)
        if not self._going:
            self._going = True
            self._loop.call_soon(self._next)
        return mine

    def _next(self) -> None:
        if not _wake(self._first):
            _wake(self._then)
        self._first, self._then = self._then, self._first
        self._going = bool(self._first or self._then)
        if self._going:
            self._loop.call_soon(self._next)


def _wake(waiting: deque[asyncio.Future[None]]) -> bool:
    while waiting:
        first = waiting.popleft()
        if not first.done():  # whoever waited may have been cancelled
            first.set_result(None)
            return True
    return False


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


async def turn(*, is_request: bool = False) -> None:
    """To be awaited between two slices: returns in a later pass of the loop, when who asked earlier has had theirs:
    other requests, if somebody waits for an answer to this one, and otherwise other work."""
    loop = asyncio.get_running_loop()
    turns = _turns.get(loop)
    if turns is None:
        turns = _turns[loop] = _Turns(loop)
    await turns.wait(is_request)


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
