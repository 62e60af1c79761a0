"""Nodes that share a database: the same master key, and knowing of each other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.clock import FakeClock
from support.postgres import server
from support.stores import Bench, recipients_of

from heliogram import __version__
from heliogram.domain.ids import IdFactory
from heliogram.domain.operations import Lane, cut
from heliogram.store.errors import StoreReadOnly, StoreUnavailable, UnsupportedDatabase
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.migrate import migrations
from heliogram.store.postgres.nodes import SILENCE_MS
from heliogram.store.postgres.store import POOL_SIZE

pytestmark = pytest.mark.anyio

OLD, NEW, OTHER = b"old!", b"new!", b"else"


@pytest.fixture
async def store(anyio_backend: str, tmp_path: Path) -> AsyncIterator[PostgresStore]:
    clock = FakeClock()
    url = await server().database_for(tmp_path)
    opened = await PostgresStore.open(url, ids=IdFactory(lambda: clock.ms), clock=clock)
    yield opened
    await opened.close()


async def test_the_first_node_says_which_master_key_it_is(store: PostgresStore) -> None:
    """And whoever comes with it, or with it and more, is let in."""
    for keys in ([OLD], [OLD], [OLD, NEW]):
        await store.require_key(keys)


async def test_a_node_with_another_master_key_is_refused(store: PostgresStore) -> None:
    """It could open no credential and know no API key: better now than at the first push."""
    await store.require_key([OLD])
    with pytest.raises(UnsupportedDatabase, match="give every node the same"):
        await store.require_key([OTHER, NEW])
    await store.require_key([OLD])


async def test_a_key_is_rotated_node_by_node(store: PostgresStore) -> None:
    """First all know the new one, then one after another seals with it; who does not know it comes too late."""
    await store.require_key([OLD])
    await store.require_key([OLD, NEW])
    await store.require_key([NEW, OLD])
    await store.require_key([OLD, NEW])
    await store.require_key([NEW, OLD])
    with pytest.raises(UnsupportedDatabase):
        await store.require_key([OLD])


async def test_nodes_know_of_each_other(store: PostgresStore) -> None:
    """With version, schema and roles, until they are stopped."""
    await store.seen(b"one", "host:1", "api")
    await store.seen(b"two", "host:2", "worker")
    await store.seen(b"one", "host:1", "api")
    one, two = await store.nodes()
    assert (one.id, one.name, one.roles, one.version, one.schema) == (
        b"one",
        "host:1",
        "api",
        __version__,
        len(migrations()),
    )
    assert (two.id, two.roles) == (b"two", "worker")
    await store.gone(b"one")
    assert [node.id for node in await store.nodes()] == [b"two"]


async def test_a_node_that_is_not_heard_of_is_forgotten(store: PostgresStore) -> None:
    """By the database's clock, after a minute."""
    await store.seen(b"one", "host:1", "api")
    await store.seen(b"two", "host:2", "api")

    def age(connection: object, ident: bytes, ms: int) -> None:
        connection.execute("UPDATE node SET seen = now_ms() - :ms WHERE id = :id", {"ms": ms, "id": ident})  # type: ignore[attr-defined]

    await store._jobs.write(lambda c: age(c, b"one", SILENCE_MS + 1))
    await store._jobs.write(lambda c: age(c, b"two", SILENCE_MS - 5_000))
    (left,) = await store.nodes()
    assert left.id == b"two"
    assert left.silent_ms >= SILENCE_MS - 5_000


async def test_what_was_on_other_shards_is_gathered(store: PostgresStore) -> None:
    """A broker that is there no more leaves nothing behind; what is done stays as it is."""
    clock = FakeClock()
    ids = IdFactory(lambda: clock.ms)
    bench = Bench(store, clock, ids, (await store.default_account()).id)
    for shard in (0, 3, 63):
        operation = bench.operation(recipients_of(1))
        await store.accept(bench.account, operation, cut(operation.id, recipients_of(1), 500), shard=shard)
    (done,) = await store.claim(Lane.TX, 63, limit=1, now=clock.ms, until=clock.ms + 1, worker="w")
    await store.finish(done, clock.ms)
    assert await store.gather() == 1
    assert await store.gather() == 0
    claimed = await store.claim(Lane.TX, 0, limit=10, now=clock.ms, until=clock.ms + 1, worker="w")
    assert len(claimed) == 2


async def test_a_node_with_much_to_do_is_no_node_without_a_database(store: PostgresStore) -> None:
    """All connections are lent, and the question is answered all the same."""
    taken = [await store._jobs._pool.take() for _ in range(POOL_SIZE)]
    async with asyncio.timeout(90):
        await store.ping()
        await store.ping()
    for link in taken:
        store._jobs._pool.give(link)


async def test_a_database_that_cannot_be_written_to_is_told(tmp_path: Path, store: PostgresStore) -> None:
    """Nothing can be accepted there; once it can, so is that."""
    admin = await asyncpg.connect(await server().database_for(tmp_path))
    name = await admin.fetchval("SELECT current_database()")
    for value, refused in (("on", True), ("off", False)):
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(2):
            with contextlib.suppress(StoreUnavailable):  # of a connection that was ended
                if refused:
                    with pytest.raises(StoreReadOnly, match="read-only"):
                        await store.ping()
                else:
                    await store.ping()
    await admin.close()
