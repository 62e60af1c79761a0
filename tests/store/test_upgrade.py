"""Nodes of two versions on one database, while one after another is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.clock import FakeClock
from support.postgres import server

from heliogram.domain.ids import IdFactory
from heliogram.store.errors import SchemaTooNew, StoreUnavailable
from heliogram.store.postgres import PostgresStore, nodes
from heliogram.store.postgres.migrate import Script, Scripts, finish, migrate, migrations

pytestmark = pytest.mark.anyio

PLACE = "postgresql://here/db"
NEXT = len(migrations()) + 1


def later(*more: Script) -> Scripts:
    """What a later version knows."""
    return {**migrations(), **{NEXT + n: script for n, script in enumerate(more)}}


NEWER = later(Script("CREATE TABLE fresh (one integer)", "DROP TABLE refused_token"))


class Database:
    """A database of this version, and nodes of this and of a later one."""

    def __init__(self, url: str, link: asyncpg.Connection) -> None:
        self.url, self.link = url, link

    async def node(self) -> PostgresStore:
        clock = FakeClock()
        return await PostgresStore.open(self.url, ids=IdFactory(lambda: clock.ms), clock=clock)

    async def tables(self) -> set[str]:
        rows = await self.link.fetch("SELECT relname FROM pg_class WHERE relname IN ('fresh', 'refused_token')")
        return {row[0] for row in rows}


@pytest.fixture
async def database(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Database]:
    url = await server().database_for(tmp_path)
    link = await asyncpg.connect(url)
    yield Database(url, link)
    await link.close()


async def test_the_first_newer_node_only_adds(database: Database) -> None:
    """Older ones go on, and can even be started anew."""
    older = await database.node()
    assert await migrate(database.link, PLACE, NEWER) == NEXT
    await older.seen(b"older", "host:1", "all")
    again = await database.node()
    assert await database.tables() == {"fresh", "refused_token"}
    for node in (older, again):
        await node.close()


async def test_what_older_nodes_would_not_survive_waits_for_the_last_of_them(database: Database) -> None:
    """Then it is done once, and none of them is let in any more."""
    await migrate(database.link, PLACE, NEWER)
    assert await finish(database.link, PLACE, NEXT - 1, NEWER) == 0
    assert await database.tables() == {"fresh", "refused_token"}
    assert await finish(database.link, PLACE, NEXT, NEWER) == 1
    assert await finish(database.link, PLACE, NEXT, NEWER) == 0
    assert await database.tables() == {"fresh"}
    with pytest.raises(SchemaTooNew, match="run the newer heliogram"):
        await database.node()


async def test_an_older_node_that_came_too_late_is_told(database: Database) -> None:
    """It was let in just before, and nobody had heard of it."""
    older = await database.node()
    await migrate(database.link, PLACE, NEWER)
    await finish(database.link, PLACE, NEXT, NEWER)
    with pytest.raises(SchemaTooNew):
        await older.seen(b"older", "host:1", "all")
    await older.close()


async def test_nothing_is_finished_while_a_node_does_not_know_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the office asks once a minute."""
    older = await database.node()
    await older.seen(b"older", "host:1", "worker")
    monkeypatch.setattr("heliogram.store.postgres.migrate.migrations", lambda: NEWER)
    monkeypatch.setattr(nodes, "migrations", lambda: NEWER)
    newer = await database.node()
    await newer.seen(b"newer", "host:2", "all")
    assert await newer.finish_upgrade() == 0
    await older.gone(b"older")
    assert await newer.finish_upgrade() == 1
    assert await database.tables() == {"fresh"}
    for node in (older, newer):
        await node.close()


async def test_several_versions_are_finished_as_far_as_all_know(database: Database) -> None:
    """And the rest later."""
    last = later(
        Script("CREATE TABLE fresh (one integer)", "DROP TABLE refused_token"), Script("SELECT 1", "DROP TABLE fresh")
    )
    await migrate(database.link, PLACE, last)
    assert await finish(database.link, PLACE, NEXT, last) == 1
    assert await database.tables() == {"fresh"}
    assert await finish(database.link, PLACE, NEXT + 1, last) == 1
    assert await database.tables() == set()


async def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    """All of it is one transaction."""
    bad = later(Script("CREATE TABLE fresh (one integer)"), Script("CREATE TABLE fresh (one integer)"))
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(database.link, PLACE, bad)
    assert await database.tables() == {"refused_token"}
    assert await migrate(database.link, PLACE) == NEXT - 1


IN_USE = later(Script("DROP INDEX refused_token_by_age"))


async def test_nodes_do_not_wait_for_what_a_migration_waits_for(database: Database) -> None:
    """While somebody reads a table for long, such as pg_dump, others write to it, though its index is to go."""
    reader, writer = await asyncpg.connect(database.url), await asyncpg.connect(database.url)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT 1 FROM refused_token")
            going = asyncio.create_task(migrate(database.link, PLACE, IN_USE, lock_wait="20ms"))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
            while not await writer.fetchval(waits):
                pass
            await writer.execute("DELETE FROM refused_token")
            assert not going.done()
        assert await going == NEXT
    finally:
        await reader.close()
        await writer.close()


async def test_a_migration_gives_up_when_a_table_is_in_use_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, and leaves nothing."""
    monkeypatch.setattr("heliogram.store.postgres.migrate.ATTEMPTS", 2)
    reader = await asyncpg.connect(database.url)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT 1 FROM refused_token")
            with pytest.raises(StoreUnavailable, match="end what reads it, such as pg_dump"):
                await migrate(database.link, PLACE, IN_USE, lock_wait="20ms")
        assert await migrate(database.link, PLACE) == NEXT - 1
    finally:
        await reader.close()
