"""What a node stands on: the embedded store in a data directory, or a database that it shares with other nodes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from .datadir import StartError, open_store, own_data_directory
from .domain.ids import IdFactory
from .duties import Office, OnlyNode
from .observe.clock import SystemClock
from .ports import Clock, Store
from .presence import SharedStore
from .security import KeyRing, KeySource, load_master_key
from .settings import STORE_CONNECTIONS, ServeSettings, Url

if TYPE_CHECKING:
    from .queue.nats import Broker
    from .store.postgres import PostgresStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Backing:
    """An open store and what goes with it. `shared` is the store once more, if other nodes are on it, too; `lock` is
    the handle of the data directory's lock, of the embedded store alone."""

    store: Store
    clock: Clock
    key: KeyRing = field(repr=False)
    office: Office = field(default_factory=OnlyNode)
    broker: Broker | None = None
    shared: SharedStore | None = None
    lock: int | None = None


@contextlib.asynccontextmanager
async def open_backing(settings: ServeSettings) -> AsyncIterator[Backing]:
    """What the settings name, closed at the end. Raises `StartError`, `StoreError` or `MasterKeyError`."""
    if settings.store is not None:
        async with _shared(settings, settings.store) as backing:
            yield backing
        return
    with own_data_directory(settings.data) as lock:
        async with open_store(settings.data, owned=True) as (store, clock):
            key = load_master_key(settings.data, file=settings.master_key)
            if key.source is KeySource.GENERATED:
                log.warning("master_key.made", file=str(settings.data / "master.key"), advice="keep a copy elsewhere")
            yield Backing(store=store, clock=clock, key=key, lock=lock)


@contextlib.asynccontextmanager
async def _shared(settings: ServeSettings, url: Url) -> AsyncIterator[Backing]:
    key = load_master_key(settings.data, file=settings.master_key, make=False)
    async with _opened(url, connections=settings.store_connections) as (store, clock):
        await store.require_key([each.id for each in key.keys])
        office = store.office()
        try:
            async with _broker(settings, clock) as broker:
                yield Backing(store=store, clock=clock, key=key, office=office, broker=broker, shared=store)
        finally:
            await office.close()


@contextlib.asynccontextmanager
async def _broker(settings: ServeSettings, clock: Clock) -> AsyncIterator[Broker | None]:
    """NATS, if that is to hand out work. Raises `StartError` for one that cannot be used, or not as it is."""
    if not settings.queue:
        yield None
        return
    try:
        from .queue.nats import Broker, Layout, Link, QueueError  # what it needs is an extra
    except ModuleNotFoundError as error:
        raise _missing("--queue", settings.queue[0], error) from error
    layout = Layout(shards=settings.queue_shards, lease_ms=settings.lease_seconds * 1000)
    try:
        link = await Link.open([url.text for url in settings.queue], name=f"heliogram {os.getpid()}")
    except QueueError as error:
        raise StartError(f"--queue: {error}") from error
    try:
        try:
            broker = await Broker.open(link, layout, clock)
        except QueueError as error:
            raise StartError(f"--queue: {error}") from error
        yield broker
        await broker.close()
    finally:
        await link.close()


def _missing(option: str, url: Url, error: ModuleNotFoundError) -> StartError:
    return StartError(
        f"{option} {url} needs {error.name}, which is not installed: pip install 'heliogram[server,cluster]'"
    )


@contextlib.asynccontextmanager
async def open_place(data: Path, url: Url | None, *, make: bool = True) -> AsyncIterator[tuple[Store, Clock]]:
    """The store that a command works on, beside a service or without one, closed at the end: the database of `url`, or
    the embedded store in `data`. Raises `StartError` or `StoreError`."""
    if url is None:
        async with open_store(data, make=make) as embedded:
            yield embedded
    else:
        async with _opened(url, connections=2) as shared:
            yield shared


@contextlib.asynccontextmanager
async def _opened(url: Url, *, connections: int = STORE_CONNECTIONS) -> AsyncIterator[tuple[PostgresStore, Clock]]:
    try:
        from .store.postgres import PostgresStore  # what it needs is an extra
    except ModuleNotFoundError as error:
        raise _missing("--store", url, error) from error
    clock = SystemClock()
    ids = IdFactory(lambda: int(clock.time() * 1000))
    store = await PostgresStore.open(url.text, ids=ids, clock=clock, pool_size=connections)
    try:
        yield store, clock
    finally:
        await store.close()
