"""What a node stands on: the embedded store in a data directory, or a database that it shares with other nodes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog

from .datadir import StartError, open_store, own_data_directory
from .duties import Office, OnlyNode
from .ports import Clock, Store
from .security import KeyRing, KeySource, load_master_key
from .settings import ServeSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Backing:
    """An open store and what goes with it. `lock` is the handle of the data directory's lock, of the embedded store
    alone."""

    store: Store
    clock: Clock
    key: KeyRing = field(repr=False)
    office: Office = field(default_factory=OnlyNode)
    lock: int | None = None


@contextlib.asynccontextmanager
async def open_backing(settings: ServeSettings) -> AsyncIterator[Backing]:
    """What the settings name, closed at the end. Raises `StartError`, `StoreError` or `MasterKeyError`."""
    if settings.store is not None:
        raise StartError("--store: PostgreSQL is not served yet")
    with own_data_directory(settings.data) as lock:
        async with open_store(settings.data, owned=True) as (store, clock):
            key = load_master_key(settings.data, file=settings.master_key)
            if key.source is KeySource.GENERATED:
                log.warning("master_key.made", file=str(settings.data / "master.key"), advice="keep a copy elsewhere")
            yield Backing(store=store, clock=clock, key=key, lock=lock)
