"""Heartbeats: the leases of all that a worker holds are renewed together, a third of a lease's time apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..domain.errors import Unavailable
from ..ports import Clock, LeasedChunk, Timer, WorkQueue

log = structlog.get_logger(__name__)

HEARTBEAT_S = 20.0


class Heartbeats:
    """Renews leases every 20 s, or as told, as long as there are any, in one write for all: a lease is renewed for the
    first time at most so long after it was taken."""

    def __init__(self, queue: WorkQueue, clock: Clock, seconds: float = HEARTBEAT_S) -> None:
        self._queue, self._clock, self._seconds = queue, clock, seconds
        self._held: dict[int, LeasedChunk] = {}
        self._number = 0
        self._timer: Timer | None = None
        self._beating: set[asyncio.Task[int]] = set()

    def __repr__(self) -> str:
        return f"Heartbeats(held={len(self._held)})"

    def add(self, chunk: LeasedChunk) -> Callable[[], None]:
        """Keeps a lease alive until what this returns is called."""
        self._number += 1
        number = self._number
        self._held[number] = chunk
        if self._timer is None:
            self._timer = self._clock.call_later(self._seconds, self._beat)

        def end() -> None:
            self._held.pop(number, None)
            if not self._held and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        return end

    def _beat(self) -> None:
        self._timer = self._clock.call_later(self._seconds, self._beat)
        task = asyncio.ensure_future(self._queue.extend_all(list(self._held.values())))
        self._beating.add(task)
        task.add_done_callback(self._beaten)

    def _beaten(self, task: asyncio.Task[int]) -> None:
        self._beating.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Unavailable):
            log.warning("chunk.heartbeat_failed", chunks=len(self._held), error=str(error))
