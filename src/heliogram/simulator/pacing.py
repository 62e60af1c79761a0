"""What leaves a connection later than at once: for the round trip of the wire, or in pieces."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

WAITING_LIMIT = 1 << 20
"""Bytes that may wait; beyond it the connection is not read from until they are gone."""


class Pacer:
    """A queue in front of a socket. Nothing overtakes anything in it.

    ``emit`` writes bytes, ``end`` is called when everything put before it has been written.
    """

    def __init__(self, emit: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self._emit = emit
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | None, bool]] = deque()
        self._timer: asyncio.Handle | None = None
        self._latest = -math.inf
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<Pacer waiting={self.waiting} bytes in {len(self._queue)}>"

    @property
    def full(self) -> bool:
        """Whether more waits than may."""
        return self.waiting > WAITING_LIMIT

    def put(self, data: bytes | None, seconds: float, *, alone: bool = False) -> None:
        """Write ``data`` in ``seconds``, in a turn of the event loop of its own if ``alone``; None: the end."""
        due = self._latest = max(self._latest, self._loop.time() + seconds)
        self._queue.append((due, data, alone))
        self.waiting += 0 if data is None else len(data)
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._ring)

    def cancel(self) -> None:
        """Nothing that waits will be written."""
        self._queue.clear()
        self.waiting = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        queue = self._queue
        now = self._loop.time() + 0.0005
        while queue and queue[0][0] <= now:
            _, data, alone = queue.popleft()
            if data is None:
                self._end()
            else:
                self.waiting -= len(data)
                self._emit(data)
            if alone:
                break
        if queue and self._timer is None:
            self._timer = self._loop.call_at(queue[0][0], self._ring)
