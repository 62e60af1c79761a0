"""Turns: what is done once at the end of a pass of the event loop, and waiting for what one of them finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .clock import Clock


class Turns:
    """Calls `turn` at the end of the pass in which it was asked for, once however often that was."""

    __slots__ = ("_changed", "_clock", "_turn", "asked")

    def __init__(self, clock: Clock, turn: Callable[[], None]) -> None:
        self.asked = False
        """Whether a turn is to come."""
        self._clock = clock
        self._turn = turn
        self._changed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Turns, {'one to come' if self.asked else 'none to come'}>"

    def ask(self) -> None:
        """There is something to do."""
        if not self.asked:
            self.asked = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self.asked = False
        self._turn()
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def until(self, is_so: Callable[[], bool], limit: float) -> None:
        """Wait until a turn finds it so, at most `limit` seconds."""
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            self.ask()

        timer = self._clock.call_later(limit, expire)
        self.ask()
        while not expired and not is_so():
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        timer.cancel()
