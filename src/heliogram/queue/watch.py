"""Telling deliveries that are under way that their operation was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..ports import Clock, LeasedChunk, LeaseStore, Timer

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""How often the store is asked what another process has cancelled, as long as a chunk is held."""


class Watch:
    """The chunks that are held, and whom to call when one is to be stopped: at once for what this process cancels,
    within a second for the rest."""

    def __init__(self, store: LeaseStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._held: dict[int, tuple[LeasedChunk, Callable[[], object]]] = {}
        self._numbers = 0
        self._timer: Timer | None = None
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Watch(held={len(self._held)})"

    def add(self, chunk: LeasedChunk, stop: Callable[[], object]) -> Callable[[], None]:
        """Calls `stop` once the chunk's operation is cancelled. What it returns ends the watching."""
        self._numbers += 1
        number = self._numbers
        self._held[number] = chunk, stop
        if self._timer is None and self._looking is None:
            self._timer = self._clock.call_later(LOOK_SECONDS, self._due)

        def remove() -> None:
            self._held.pop(number, None)
            if not self._held and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        return remove

    def canceled(self, operation_id: bytes) -> None:
        """An operation was cancelled."""
        gone = [number for number, (chunk, _) in self._held.items() if chunk.operation_id == operation_id]
        for number in gone:
            self._held.pop(number)[1]()

    def _due(self) -> None:
        self._timer = None
        self._looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        try:
            chunks = [chunk for chunk, _ in self._held.values()]
            for operation_id in await self._store.canceled_of(chunks) if chunks else ():
                self.canceled(operation_id)
        except Exception as error:  # what is asked again soon need not end anything
            log.warning("watch.failed", error=str(error))
        self._looking = None
        if self._held:
            self._timer = self._clock.call_later(LOOK_SECONDS, self._due)
