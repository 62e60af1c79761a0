"""The broker as the rest of the queue sees it: a link, a layout, and what to do when streams are gone."""

from __future__ import annotations

import asyncio

import structlog

from ...pacing import pause
from ...ports import Clock
from .checks import prepared, restore
from .errors import QueueDown, QueueError
from .layout import Layout
from .link import START_SECONDS, Link

log = structlog.get_logger(__name__)

REPAIR_APART_S = 0.5
ALL = "all"


class Broker:
    """A checked link. Whoever finds something missing asks for `repair`, which is done once for all who ask."""

    def __init__(self, link: Link, layout: Layout, clock: Clock, *, replicas: int = 1) -> None:
        self.link, self.layout = link, layout
        self._clock = clock
        self._replicas = replicas
        self._repair: asyncio.Task[bool] | None = None
        self._repaired = clock.monotonic() - REPAIR_APART_S
        self._hints: set[str] = set()
        self._hinting: asyncio.Task[None] | None = None
        self.repairs = 0

    def __repr__(self) -> str:
        return f"Broker({self.link!r}, shards={self.layout.shards}, repairs={self.repairs})"

    @classmethod
    async def open(cls, link: Link, layout: Layout, clock: Clock, *, grace: float = START_SECONDS) -> Broker:
        """Checks the server and makes what is missing, `grace` seconds after it was asked first at the latest. Raises
        as `prepare`."""
        replicas, _ = await prepared(link, layout, grace=grace)
        return cls(link, layout, clock, replicas=replicas)

    async def repair(self) -> bool:
        """Makes streams, consumers and shards that are gone; False when that failed and is to be tried later. Half a
        second lies between two tries."""
        if self._repair is None or self._repair.done():
            self._repair = asyncio.ensure_future(self._restore())
        return await asyncio.shield(self._repair)

    async def _restore(self) -> bool:
        wait = self._repaired + REPAIR_APART_S - self._clock.monotonic()
        if wait > 0:
            await pause(self._clock, wait)
        self._repaired = self._clock.monotonic()
        try:
            made = await restore(self.link, self.layout, self._replicas)
        except QueueError as error:
            log.warning("queue.not_repaired", error=str(error))
            return False
        self.repairs += 1
        if made:
            log.warning("queue.streams_lost", streams=sorted(made))
            self.hint(ALL)  # what was on the road is to be sent out again
        return True

    def hint(self, shard: int | str) -> None:
        """Tells whoever dispatches a shard that there is something to do; once in a turn of the loop."""
        self._hints.add(str(shard))
        if self._hinting is None or self._hinting.done():
            self._hinting = asyncio.ensure_future(self._say())

    async def _say(self) -> None:
        while self._hints:
            hints, self._hints = self._hints, set()
            for shard in hints:
                await self.link.publish(self.layout.hint_subject(shard), b"")

    async def look(self) -> None:
        """Raises `QueueDown` while there is no connection to the broker."""
        if not self.link.is_connected:
            raise QueueDown(f"no connection to {self.link!r}")

    async def close(self) -> None:
        """Says what is left to say. The link stays open."""
        if self._hinting is not None:
            await self._hinting
        if self._repair is not None:
            await asyncio.wait([self._repair])
