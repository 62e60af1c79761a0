"""What can be wrong with a PostgreSQL, and what the operator is told to do about it. Never a password."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from support.clock import FakeClock
from support.postgres import server

from heliogram.domain.ids import IdFactory
from heliogram.store.errors import (
    NotADatabase,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    StoreUnavailable,
    UnsupportedDatabase,
)
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.errors import as_store_error, place_of
from heliogram.store.postgres.migrate import require_server

pytestmark = pytest.mark.anyio


async def refused(url: str) -> StoreError:
    """What opening a store ends with."""
    clock = FakeClock()
    with pytest.raises(StoreError) as raised:
        await PostgresStore.open(url, ids=IdFactory(lambda: clock.ms), clock=clock)
    assert "hunter2" not in repr(raised.value)
    return raised.value


async def test_a_server_that_does_not_run(tmp_path: Path) -> None:
    """Where nobody listens."""
    error = await refused(f"postgresql://me:hunter2@/db?host={tmp_path}")
    assert isinstance(error, StoreUnavailable)
    assert "see whether PostgreSQL runs" in str(error)


async def test_a_database_that_is_not_there() -> None:
    """With the command that makes it."""
    error = await refused(server().url("nowhere"))
    assert isinstance(error, StoreGone)
    assert "CREATE DATABASE" in str(error)


async def test_a_user_that_is_not_let_in() -> None:
    """With where to look."""
    error = await refused(server().url("postgres").replace("heliogram@", "stranger:hunter2@"))
    assert "pg_hba.conf" in str(error)


@pytest.mark.parametrize("url", ["mysql://me:hunter2@here/db", "postgresql://me:hunter2#@here/db"])
async def test_a_url_that_is_none(url: str) -> None:
    """What is wrong may be in the password, so nothing of it is shown."""
    assert isinstance(await refused(url), StoreUnavailable)


async def test_a_database_of_another_program() -> None:
    """Nothing is made beside somebody's tables."""
    url = await server().empty()
    link = await asyncpg.connect(url)
    await link.execute("CREATE TABLE theirs (a int)")
    await link.close()
    error = await refused(url)
    assert isinstance(error, NotADatabase)
    assert "a database of its own" in str(error)


async def test_a_database_that_is_no_utf_8() -> None:
    """Names would be refused one by one."""
    admin = await asyncpg.connect(server().url("postgres"))
    await admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    await admin.close()
    error = await refused(server().url("latin"))
    assert isinstance(error, UnsupportedDatabase)
    assert "LATIN1" in str(error)


async def test_a_server_too_old() -> None:
    """Before 15 what the statements use is not there."""

    class Old:
        def get_server_version(self) -> asyncpg.types.ServerVersion:
            return asyncpg.types.ServerVersion(14, 11, 0, "final", 0)

    with pytest.raises(UnsupportedDatabase, match="PostgreSQL 14: heliogram needs 15 or newer"):
        await require_server(Old(), "here")


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), StoreUnavailable, "check the user"),
        (asyncpg.TooManyConnectionsError("sorry, too many clients"), StoreUnavailable, "raise max_connections"),
        (asyncpg.DiskFullError("could not extend file"), StoreFull, "make room"),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), StoreReadOnly, "target_session_attrs=read-write"),
        (asyncpg.InvalidSQLStatementNameError("no prepared statement"), StoreUnavailable, "PostgreSQL directly"),
        (asyncpg.DuplicatePreparedStatementError("exists"), StoreUnavailable, "to PostgreSQL directly"),
        (asyncpg.DataCorruptedError("invalid page"), StoreDamaged, "restore a backup"),
        (asyncpg.CannotConnectNowError("starting up"), StoreUnavailable, "starting or recovering"),
        (asyncpg.InsufficientPrivilegeError("permission denied"), StoreUnavailable, "GRANT CREATE"),
        (asyncpg.OutOfMemoryError("out of memory"), StoreUnavailable, "more memory"),
        (TimeoutError(), StoreUnavailable, "did not answer in time"),
        (asyncpg.ConnectionDoesNotExistError("gone"), StoreUnavailable, "was lost"),
    ],
)
def test_each_error_has_a_kind_and_advice(error: Exception, kind: type[StoreError], advice: str) -> None:
    """By its SQLSTATE, which does not depend on the server's language."""
    told = as_store_error(error, "postgresql://here/db")
    assert type(told) is kind
    assert advice in str(told)
    assert "postgresql://here/db" in str(told)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db.example:5433/push?sslmode=require", "postgresql://db.example:5433/push"),
        ("postgresql:///push?host=/run/postgresql&password=hunter2", "postgresql:///push"),
        ("postgresql://me:hunter2@[::1/db", "PostgreSQL"),
    ],
)
def test_a_place_is_shown_without_secrets(url: str, shown: str) -> None:
    """In the log and in errors."""
    assert place_of(url) == shown
