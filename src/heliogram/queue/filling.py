"""Small sends that are accepted leased: each in one task, from the caller's to the last outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..ports import Hold, LeasedChunk
from .hands import Straight

Accept = Callable[[Hold | None], Awaitable[None]]
HandOver = Callable[[LeasedChunk, Straight, Accept], Awaitable[bool]]


class Filling:
    """What is being accepted for somebody who works on it then.

    In a task of its own: what is being made durable is leased, whether or not the caller is still there afterwards. The
    same task goes on with the work: there is one of these for every small send, and a second one for each would cost
    more than most of what it does. `hand_over` makes a chunk durable and says whether it was taken.
    """

    def __init__(self, hand_over: HandOver) -> None:
        self._hand_over = hand_over
        self._tasks: dict[asyncio.Future[None], asyncio.Task[None]] = {}
        self._empty: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"Filling(accepting={len(self._tasks)})"

    async def run(self, chunk: LeasedChunk, way: Straight, accept: Accept) -> None:
        """Returns when the chunk is durable and handed over. Raises what `accept` raises. Whoever is cancelled leaves
        it to happen."""
        loop = asyncio.get_running_loop()
        accepted: asyncio.Future[None] = loop.create_future()
        self._tasks[accepted] = loop.create_task(self._fill(chunk, way, accept, accepted))
        await accepted

    async def over(self) -> None:
        """Returns when nothing is being accepted any more; what was handed over is not waited for."""
        while self._tasks:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    async def _fill(self, chunk: LeasedChunk, way: Straight, accept: Accept, accepted: asyncio.Future[None]) -> None:
        is_taken: bool | None = None
        try:
            is_taken = await self._hand_over(chunk, way, accept)
        except Exception as error:
            if not accepted.done():  # else the caller is gone
                accepted.set_exception(error)
        finally:
            self._leave(accepted)
            if not accepted.done():
                if is_taken is None:
                    accepted.cancel()
                else:
                    accepted.set_result(None)
        if is_taken and way.work is not None:
            await way.work(chunk)

    def _leave(self, accepted: asyncio.Future[None]) -> None:
        del self._tasks[accepted]
        if not self._tasks and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)
