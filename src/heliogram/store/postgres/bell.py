"""Telling the other nodes that there is work, by LISTEN and NOTIFY.

A hint and no more: whoever misses it finds the work at its next look, within a second. So nothing is sent within the
transactions that make work, which would then wait for each other at COMMIT (PostgreSQL commits those that notify one
after another), but after them, and what is rung while one is on its way goes with the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog

from ...domain.operations import Lane
from ...pacing import pause
from ...ports import Clock
from ..errors import StoreError
from .catalogue import Values
from .errors import as_store_error, is_of_database
from .jobs import Jobs
from .link import Link

log = structlog.get_logger(__name__)

CHANNEL = "heliogram_work"
_RING = "SELECT pg_notify(:channel, place) FROM unnest(:places::text[]) place"
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0

Heard = Callable[[Lane, int], object]
Connect = Callable[[], Awaitable[Link]]


class Bell:
    """Rings at every node, this one too, and calls who listens here."""

    def __init__(self, jobs: Jobs, connect: Connect, clock: Clock, place: str) -> None:
        self._jobs = jobs
        self._connect = connect
        self._clock = clock
        self._place = place
        self._listeners: dict[int, Heard] = {}
        self._numbers = 0
        self._known: set[tuple[Lane, int]] = set()
        self._rung: set[tuple[Lane, int]] = set()
        self._ringing: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self.silent = False
        """Whether to ring at nobody's."""
        self.rings = 0
        self.sent = 0
        self.heard = 0

    def __repr__(self) -> str:
        return (
            f"Bell(listeners={len(self._listeners)}, rings={self.rings}, sent={self.sent}, heard={self.heard},"
            f" listening={self._listening is not None})"
        )

    def ring(self, lane: Lane, shard: int) -> None:
        """There may be something to claim in a lane and shard. Returns at once."""
        if self.silent:
            return
        self.rings += 1
        self._rung.add((lane, shard))
        if self._ringing is None:
            self._ringing = asyncio.get_running_loop().create_task(self._send())

    def listen(self, heard: Heard) -> Callable[[], None]:
        """Calls `heard` with the lane and shard when somebody rings, and for every lane and shard heard of before when
        the connection was lost, since something may have been missed. What it returns ends this."""
        self._numbers += 1
        number = self._numbers
        self._listeners[number] = heard
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._hear())

        def end() -> None:
            self._listeners.pop(number, None)

        return end

    async def close(self) -> None:
        """Says what is to be said, and listens no more. May be called more than once."""
        if self._ringing is not None:
            await asyncio.wait([self._ringing])
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.wait([listening])

    # --- ringing

    async def _send(self) -> None:
        try:
            while self._rung:
                places, self._rung = self._rung, set()
                values = {"channel": CHANNEL, "places": [f"{int(lane)} {shard}" for lane, shard in sorted(places)]}
                await self._jobs.look(partial(_ring, values=values))
                self.sent += 1
        except StoreError as error:  # the others look by themselves
            log.debug("store.bell_not_rung", error=str(error))
        finally:
            self._ringing = None

    # --- listening

    async def _hear(self) -> None:
        wait = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._until_lost()
                wait = FIRST_PAUSE_SECONDS
            except Exception as error:
                if not is_of_database(error) and not isinstance(error, StoreError):
                    raise
                told = as_store_error(error, self._place) if is_of_database(error) else error
                log.warning("store.bell_lost", error=str(told), again_in=wait)
            await pause(self._clock, wait)
            wait = min(wait * 2, MAX_PAUSE_SECONDS)

    async def _until_lost(self) -> None:
        link = await self._connect()
        lost = asyncio.get_running_loop().create_future()

        def end(_: object) -> None:
            if not lost.done():
                lost.set_result(None)

        try:
            link.connection.add_termination_listener(end)
            await link.connection.add_listener(CHANNEL, self._notified)
            for lane, shard in sorted(self._known):
                self._call(lane, shard)
            await lost
        finally:
            link.cut()

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        with contextlib.suppress(ValueError):  # somebody else's
            lane, _, shard = str(payload).partition(" ")
            place = Lane(int(lane)), int(shard)
            self.heard += 1
            self._known.add(place)
            self._call(*place)

    def _call(self, lane: Lane, shard: int) -> None:
        for heard in list(self._listeners.values()):
            heard(lane, shard)


async def _ring(link: Link, values: Values) -> None:
    await link.execute(_RING, values)
