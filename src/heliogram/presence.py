"""A node tells the others that it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from .domain.errors import Unavailable
from .domain.operations import Lane
from .pacing import first_of, pause
from .ports import ActivityStore, Clock, ReferenceStore
from .store.errors import SchemaTooNew
from .upkeep import Chore, Step

log = structlog.get_logger(__name__)

SEEN_SECONDS = 15.0


class SharedStore(ReferenceStore, ActivityStore, Protocol):
    """What a store that several nodes share offers beside `ports.Store`."""

    async def ping(self) -> None:
        """Returns when the store can be worked with. Raises `StoreError`."""

    async def seen(self, ident: bytes, name: str, roles: str) -> None:
        """A node is there. Raises `SchemaTooNew` when it may not be any more."""

    async def finish_upgrade(self) -> int:
        """Does to the schema what nodes of earlier versions would not survive, once there are none."""

    async def gather(self) -> int:
        """Brings what is due on other shards to the first, where there is no broker whose shards these are."""

    async def gone(self, ident: bytes) -> None:
        """A node was stopped."""

    def wakes(self, heard: Callable[[Lane, int], object]) -> Callable[[], None]:
        """Calls `heard` when any node has put something into a lane and shard. What it returns ends this."""

    def hush(self) -> None:
        """Wakes nobody from here on: there is a broker that tells of work."""


class Presence:
    """Says so every 15 s, and at the end that it goes."""

    def __init__(self, store: SharedStore, clock: Clock, ident: bytes, name: str, roles: str) -> None:
        self._store, self._clock = store, clock
        self._id, self._name, self._roles = ident, name, roles
        self._stopping = asyncio.Event()

    def __repr__(self) -> str:
        return f"Presence({self._name!r}, roles={self._roles!r})"

    async def run(self) -> None:
        """Until `stop`. Raises `SchemaTooNew` when all other nodes are of a later version, and this one must go."""
        while not self._stopping.is_set():
            try:
                await self._store.seen(self._id, self._name, self._roles)
            except SchemaTooNew:
                raise
            except Unavailable as error:
                log.warning("node.not_seen", error=str(error))
            await first_of(pause(self._clock, SEEN_SECONDS), self._stopping.wait())
        try:
            await self._store.gone(self._id)
        except Unavailable as error:  # it will be missed
            log.warning("node.not_gone", error=str(error))

    def stop(self) -> None:
        """`run` says that the node goes, and returns."""
        self._stopping.set()


def upgrade_chore(store: SharedStore) -> Chore:
    """Once a minute: what an upgrade left until the last node of the earlier version is gone."""

    async def slice_() -> Step:
        return Step(await store.finish_upgrade(), more=False)

    return Chore(name="finish upgrade", every=60.0, slice=slice_)


def gather_chore(store: SharedStore) -> Chore:
    """Once a minute, of nodes without a broker: what was accepted while there was one."""

    async def slice_() -> Step:
        done = await store.gather()
        return Step(done, more=done > 0)

    return Chore(name="gather shards", every=60.0, slice=slice_)


def activity_chore(store: SharedStore) -> Chore:
    """Every ten minutes: what nodes told each other that nobody looks at any more."""

    async def slice_() -> Step:
        return Step(await store.forget_activity(), more=False)

    return Chore(name="activity", every=600.0, slice=slice_)
