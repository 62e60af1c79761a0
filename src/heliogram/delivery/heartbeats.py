"""Heartbeats: the leases of all that a worker holds are renewed together, a third of a lease's time apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..domain.errors import Unavailable
from ..ports import Clock, LeasedChunk, Timer, WorkQueue

log = structlog.get_logger(__name__)

HEARTBEAT_S = 20.0
LAPSED_AFTER = 2.75
"""So many beats after the last renewal that the store has answered nothing more is sent: after three the lease ends."""


class _Held:
    """A chunk that is worked on. `renewed`: when the lease began that it has for certain."""

    __slots__ = ("chunk", "lapsed", "renewed")

    def __init__(self, chunk: LeasedChunk, lapsed: Callable[[], object], renewed: float) -> None:
        self.chunk, self.lapsed, self.renewed = chunk, lapsed, renewed


class Heartbeats:
    """Renews leases every 20 s, or as told, as long as there are any, in one write for all: a lease is renewed for the
    first time at most so long after it was taken."""

    def __init__(self, queue: WorkQueue, clock: Clock, seconds: float = HEARTBEAT_S) -> None:
        self._queue, self._clock, self._seconds = queue, clock, seconds
        self._held: dict[int, _Held] = {}
        self._number = 0
        self._timer: Timer | None = None
        self._checks: set[Timer] = set()
        self._beating: set[asyncio.Task[int]] = set()

    def __repr__(self) -> str:
        return f"Heartbeats(held={len(self._held)})"

    def add(self, chunk: LeasedChunk, lapsed: Callable[[], object] = lambda: None) -> Callable[[], None]:
        """Keeps a lease alive until what this returns is called. `lapsed` is called when the store has not answered for
        so long that another worker may soon have the chunk."""
        self._number += 1
        number = self._number
        now = self._clock.monotonic()
        left = chunk.until / 1000 - self._clock.time()
        self._held[number] = _Held(chunk, lapsed, now - max(0.0, 3 * self._seconds - left))
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
        held, now = list(self._held.values()), self._clock.monotonic()
        for renewed in {each.renewed for each in held}:
            lapses = renewed + LAPSED_AFTER * self._seconds - now
            if lapses <= self._seconds:  # before the next beat, unless this one is answered
                self._check_in(max(0.0, lapses))
        task = asyncio.ensure_future(self._queue.extend_all([each.chunk for each in held]))
        self._beating.add(task)
        task.add_done_callback(lambda task: self._beaten(task, held, now))

    def _beaten(self, task: asyncio.Task[int], held: list[_Held], at: float) -> None:
        self._beating.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            for each in held:
                each.renewed = max(each.renewed, at)
        if error is not None and not isinstance(error, Unavailable):
            log.warning("chunk.heartbeat_failed", chunks=len(self._held), error=str(error))

    def _check_in(self, seconds: float) -> None:
        def check() -> None:
            self._checks.discard(timer)
            self._check()

        timer = self._clock.call_later(seconds, check)
        self._checks.add(timer)

    def _check(self) -> None:
        """Stops what may soon be another's."""
        before = self._clock.monotonic() - LAPSED_AFTER * self._seconds
        lapsed = [each for each in self._held.values() if each.renewed <= before]
        if lapsed:
            log.warning("chunk.leases_lapsed", chunks=len(lapsed))
        for each in lapsed:
            each.lapsed()
