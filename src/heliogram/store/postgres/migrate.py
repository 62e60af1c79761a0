"""Numbered forward migrations, in two parts, so that nodes of two versions work side by side while one after another is
replaced.

`NNNN_name.sql` only adds what older nodes do not mind, and is run by the first node that brings it. What they would not
survive, such as dropping what nobody uses any more, is in `NNNN_name.after.sql`, and is run once every node there knows
number NNNN. The table `heliogram_schema` says how far both have come: `version`, and `least`, which a node must know to
be let in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

import asyncpg
import structlog

from ..errors import NotADatabase, SchemaTooNew, StoreReadOnly, StoreUnavailable, UnsupportedDatabase
from .catalogue import PACKAGE
from .halves import require_whole

log = structlog.get_logger(__name__)

_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+(\.after)?\.sql$")
LOCK = 0x48454C47
"""`HELG`: the advisory lock under which one node at a time looks at the schema."""
PATIENCE_SECONDS = 3600.0
"""How long a script may take: a new index on millions of devices takes minutes."""
LOCK_WAIT = "3s"
"""How long a script waits for a table that others use: whoever wants the table meanwhile waits behind it. Then they go
first, and it begins again."""
ATTEMPTS = 100
_IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
MIN_VERSION = 15
_TABLE = """
CREATE TABLE IF NOT EXISTS heliogram_schema (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  least integer NOT NULL DEFAULT 0
)
"""


class Script(NamedTuple):
    """A migration: what is done at once, and what is done when no node without it is left."""

    first: str
    after: str = ""


Scripts = Mapping[int, Script]


@cache
def migrations() -> Scripts:
    """The scripts by number, from 1 without a gap."""
    parts: dict[bool, dict[int, str]] = {False: {}, True: {}}
    for entry in resources.files(PACKAGE).joinpath("migrations").iterdir():
        match = _FILE.match(entry.name)
        if match:
            parts[match[2] is not None][int(match[1])] = entry.read_text(encoding="utf-8")
    found = {number: Script(text, parts[True].pop(number, "")) for number, text in parts[False].items()}
    if sorted(found) != list(range(1, len(found) + 1)) or parts[True]:
        raise ValueError(f"migrations are not numbered from 1 without a gap: {sorted(found)}, {sorted(parts[True])}")
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


async def migrate(
    connection: asyncpg.Connection, place: str, scripts: Scripts | None = None, *, lock_wait: str = LOCK_WAIT
) -> int:
    """Brings the schema up to what this node knows, in one transaction, one node at a time, and returns the schema's
    version, which may be a later one. Nodes at work are not held up for longer than `lock_wait` by what a script waits
    for, and by what it does itself.

    Raises `SchemaTooNew` where every node must know more than this one, `NotADatabase` for a database of another
    program, `StoreUnavailable` for one that an instance is just being moved into, and for one where somebody keeps a
    table locked.
    """
    known = migrations() if scripts is None else scripts
    for _ in range(ATTEMPTS):
        try:
            return await _migrate(connection, place, known, lock_wait)
        except _IN_THE_WAY as error:
            log.warning("schema.waits", why=str(error))
    raise StoreUnavailable(
        f"a table of {place} is in use for too long to change it: end what reads it, such as pg_dump or `heliogram"
        " check` (pg_stat_activity has since when each transaction lasts in xact_start), and start again"
    )


async def _migrate(connection: asyncpg.Connection, place: str, known: Scripts, lock_wait: str) -> int:
    async with connection.transaction():
        await _alone(connection)
        await require_whole(connection, place)
        version, least = await _version(connection, place)
        if least > len(known):
            raise too_new(place, least, len(known))
        await connection.execute(f"SET LOCAL lock_timeout = '{lock_wait}'")
        for number, script in known.items():
            if number > version:
                await connection.execute(script.first, timeout=PATIENCE_SECONDS)
        if version < len(known):
            await connection.execute(
                "INSERT INTO heliogram_schema (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = $1",
                len(known),
            )
    return max(version, len(known))


async def finish(connection: asyncpg.Connection, place: str, oldest: int, scripts: Scripts | None = None) -> int:
    """Runs what waits until no node knows less than `oldest`; how many scripts that were, none while others use what
    they change. From then on such a node is not let in, and one that came meanwhile ends itself (`Nodes.seen`)."""
    known = migrations() if scripts is None else scripts
    try:
        return await _finish(connection, place, oldest, known)
    except _IN_THE_WAY as error:
        log.warning("schema.waits", why=str(error), again="with the next look at the nodes")
        return 0


async def _finish(connection: asyncpg.Connection, place: str, oldest: int, known: Scripts) -> int:
    async with connection.transaction():
        await _alone(connection)
        version, least = await _version(connection, place)
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        until = min(version, oldest, len(known))
        waiting = [number for number, script in known.items() if least < number <= until and script.after]
        for number in waiting:
            await connection.execute(known[number].after, timeout=PATIENCE_SECONDS)
        if waiting:
            await connection.execute("UPDATE heliogram_schema SET least = $1", waiting[-1])
    return len(waiting)


def too_new(place: str, least: int, known: int) -> SchemaTooNew:
    """What a node of an earlier version is told."""
    return SchemaTooNew(
        f"{place} has a schema for nodes that know number {least}, this version of heliogram knows up to {known}:"
        " run the newer heliogram, or restore the backup made before the upgrade"
    )


async def _alone(connection: asyncpg.Connection) -> None:
    """Waits for another node that looks at the schema, however long it takes to change it."""
    await connection.execute("SET LOCAL lock_timeout = 0")
    await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})", timeout=PATIENCE_SECONDS)


async def _version(connection: asyncpg.Connection, place: str) -> tuple[int, int]:
    if await connection.fetchval("SELECT to_regclass('heliogram_schema') IS NULL"):
        taken = await connection.fetchval(
            "SELECT count(*) FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        )
        if taken:
            raise NotADatabase(f"{place} has {taken} tables of another program: give heliogram a database of its own")
        await connection.execute(_TABLE)
    row = await connection.fetchrow("SELECT version, least FROM heliogram_schema")
    return (0, 0) if row is None else (int(row[0]), int(row[1]))
