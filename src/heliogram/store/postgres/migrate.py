"""Numbered forward migrations. The table `heliogram_schema` says which have run."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import asyncpg

from ..errors import NotADatabase, SchemaTooNew, StoreReadOnly, UnsupportedDatabase
from .catalogue import PACKAGE

_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
LOCK = 0x48454C47
"""`HELG`: the advisory lock under which one node at a time looks at the schema."""
MIN_VERSION = 15
_TABLE = """
CREATE TABLE IF NOT EXISTS heliogram_schema (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL
)
"""


@cache
def migrations() -> dict[int, str]:
    """The scripts by number, from 1 without a gap."""
    found = {}
    for entry in resources.files(PACKAGE).joinpath("migrations").iterdir():
        match = _FILE.match(entry.name)
        if match:
            found[int(match[1])] = entry.read_text(encoding="utf-8")
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered from 1 without a gap: {sorted(found)}")
    return dict(sorted(found.items()))


async def require_server(connection: asyncpg.Connection, place: str) -> None:
    """Raises `UnsupportedDatabase` for a server older than `MIN_VERSION` or an encoding other than UTF-8, and
    `StoreReadOnly` for a standby."""
    version = connection.get_server_version()
    if version.major < MIN_VERSION:
        raise UnsupportedDatabase(
            f"{place} is PostgreSQL {version.major}: heliogram needs {MIN_VERSION} or newer; upgrade the server"
        )
    row = await connection.fetchrow("SELECT current_setting('server_encoding'), pg_is_in_recovery()")
    if row[0] != "UTF8":
        raise UnsupportedDatabase(
            f"{place} keeps text as {row[0]}: make the database with CREATE DATABASE … TEMPLATE template0"
            " ENCODING 'UTF8'"
        )
    if row[1]:
        raise StoreReadOnly(
            f"{place} is a standby: name the primary, or all hosts with target_session_attrs=read-write"
        )


async def migrate(connection: asyncpg.Connection, place: str) -> int:
    """Brings the schema up to date in one transaction, one node at a time, and returns its version.

    Raises `SchemaTooNew` for a database of a later version, `NotADatabase` for one of another program.
    """
    scripts = migrations()
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        version = await _version(connection, place)
        if version > len(scripts):
            raise SchemaTooNew(
                f"{place} has schema {version}, this version of heliogram knows up to {len(scripts)}:"
                " run the newer heliogram, or restore the backup made before the upgrade"
            )
        for number, script in scripts.items():
            if number > version:
                await connection.execute(script)
        if version < len(scripts):
            await connection.execute(
                "INSERT INTO heliogram_schema (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = $1",
                len(scripts),
            )
    return len(scripts)


async def _version(connection: asyncpg.Connection, place: str) -> int:
    if await connection.fetchval("SELECT to_regclass('heliogram_schema') IS NULL"):
        taken = await connection.fetchval(
            "SELECT count(*) FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        )
        if taken:
            raise NotADatabase(f"{place} has {taken} tables of another program: give heliogram a database of its own")
        await connection.execute(_TABLE)
    return int(await connection.fetchval("SELECT version FROM heliogram_schema") or 0)
