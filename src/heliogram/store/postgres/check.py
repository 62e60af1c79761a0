"""Is the database whole? As the embedded store's check, and what only several nodes on PostgreSQL can have wrong.

Damage of pages and indexes is for `pg_amcheck`, which reads every one of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from ..errors import StoreDamaged, StoreError
from ..sqlite import statements
from ..sqlite.check import ASTRAY, Findings, Progress, examine_rows
from .blueprint import schema_problems
from .catalogue import PACKAGE, Values
from .connecting import connect, require_sessions
from .errors import as_store_error, is_of_database, place_of
from .facade import run_job
from .halves import require_whole
from .isolation import SNAPSHOT
from .link import Link
from .migrate import migrations, require_server
from .nodes import SILENCE_MS
from .partitions import AHEAD, DAY_MS, TABLES, suffix_of

_sql = statements.load("examining", PACKAGE)
_check = statements.load("check")

_ASTRAY = {
    _check.depths_wrong: "counts of waiting recipients (queue_depth) are not what the chunks say",
    **ASTRAY,
}
_TAKEN_OVER = "do workers run?"
_SETTINGS = {
    "application_name": "heliogram check",
    "jit": "off",
    "timezone": "UTC",
    "lock_timeout": "10s",
    "statement_timeout": "0",  # whatever the server has by default: to look through millions of rows takes its time
}

_BEGINNINGS = frozenset(
    each.key
    for each in (
        *_ASTRAY,
        _check.oldest_operations,
        _check.newest_operations,
        _check.oldest_registrations,
        _check.newest_registrations,
    )
)
"""With what is asked by these something new is looked at, for which no earlier answer matters."""
_LEFT_BEHIND = re.compile(r'_cc(new|old)\d*"?$')
_WRONG_SCHEMA = "the schema is not what this version of heliogram works on, and nothing is changed in such a one"


class _Glances:
    """Runs what is asked in snapshots that are given up as soon as may be: a table that is being read cannot have
    partitions made or dropped, and whoever wants to write to it waits behind whoever wants that."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.changed = 0

    def __repr__(self) -> str:
        return f"_Glances({self._link!r})"

    async def execute(self, statement: str, values: Values) -> Sequence[Any]:
        """The rows that a statement answers."""
        if isinstance(statement, statements.Statement) and statement.key in _BEGINNINGS:
            await self._link.command(f"ROLLBACK; {SNAPSHOT}")
        return await self._link.execute(statement, values)


def is_left_behind(index: str) -> bool:
    """Whether an index that is not valid is the second one that PostgreSQL makes beside one that is made anew: made
    anew itself it would stay, and be kept up for nothing."""
    return _LEFT_BEHIND.search(index) is not None


def examine(url: str, *, full: bool = False, progress: Progress = lambda _: None) -> Findings:
    """Everything, beside running nodes. Writes nothing that stays.

    Raises `StoreError` for a database that cannot be reached or is of another program.
    """
    return asyncio.run(look(url, full=full, progress=progress))


async def look(url: str, *, full: bool = False, progress: Progress = lambda _: None) -> Findings:
    """As `examine`, within an event loop."""
    place, findings = place_of(url), Findings()
    try:
        connection = await connected(url)
        try:
            await _examine(Link(connection), place, findings, full, progress)
        finally:
            await connection.close()
    except Exception as error:
        if not is_of_database(error):
            raise
        meant = as_store_error(error, place)
        if not findings.problems and not isinstance(meant, StoreDamaged):
            raise meant from error
        findings.add(f"what follows was not looked at: {meant}")
        findings.beyond_repair = findings.beyond_repair or f"not all of it can be read: {meant}"
    return findings


async def connected(url: str) -> Any:
    """A connection for looking and for putting right. Raises `StoreError`, and what asyncpg raises."""
    await require_sessions(url, place_of(url))
    return await connect(url, _SETTINGS)


async def _examine(link: Link, place: str, findings: Findings, full: bool, progress: Progress) -> None:
    connection = link.connection
    await require_server(connection, place)
    try:
        await require_whole(connection, place)
    except StoreError as error:
        findings.add(str(error))
        findings.beyond_repair = str(error)
        return
    if await connection.fetchval("SELECT to_regclass('heliogram_schema') IS NULL"):
        findings.add(f"{place} is no database of heliogram")
        findings.beyond_repair = "it is not a database of heliogram: give the URL of one"
        return
    row = await connection.fetchrow("SELECT version, least FROM heliogram_schema")
    version, least = (0, 0) if row is None else (row[0], row[1])
    findings.schema, known = version, len(migrations())
    if version > known:
        findings.add(f"{place} has schema {version}, this version of heliogram knows up to {known}: use the newer one")
        findings.beyond_repair = "it is a newer version's: repair it with that"
        return
    progress("looking at the schema")
    await schema_problems(link, findings, version, least)
    if findings.problems:
        findings.beyond_repair = _WRONG_SCHEMA
    if version < known:
        findings.notes.append(
            f"schema {version}: the next start brings it to {known}; what we keep in it is checked from then on"
        )
        return
    await _examine_server(link, findings, progress)
    try:
        glances = _Glances(link)
        await run_job(lambda c: examine_rows(c, findings, _ASTRAY, full=full, progress=progress), glances)
    finally:
        if not link.closed:
            await link.command("ROLLBACK")


async def _examine_server(link: Link, findings: Findings, progress: Progress) -> None:
    await _examine_partitions(link, findings)
    await _examine_leases(link, findings)
    for name, table in await link.execute(_sql.indexes_broken, {}):
        left = is_left_behind(name)
        how = "left by a REINDEX that did not end: DROP INDEX" if left else "REINDEX INDEX"
        findings.add(f"index {name} of {table} is not valid: {how} CONCURRENTLY {name}")
    for table, columns, parent, keys, validated in await link.execute(_sql.references, {}):
        if not validated:
            findings.add(f"references: that of {table} to {parent} was never looked at: VALIDATE CONSTRAINT")
        progress(f"looking at references of {table} to {parent}")
        count = (await link.execute(_dangling(table, columns, parent, keys), {}))[0][0]
        if count:
            findings.add(f"references: {count} rows of {table} name a {parent} that is not there")


def _dangling(table: str, columns: list[str], parent: str, keys: list[str]) -> str:
    """Counts rows that refer to what is not there; names are the server's own, quoted by it."""
    named = " AND ".join(f"t.{column} IS NOT NULL" for column in columns)
    same = " AND ".join(f"p.{key} = t.{column}" for key, column in zip(keys, columns, strict=True))
    return f"SELECT count(*) FROM {table} t WHERE {named} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {same})"  # noqa: S608


async def _examine_partitions(link: Link, findings: Findings) -> None:
    there: dict[str, set[str]] = {table: set() for table in TABLES}
    for parent, name in await link.execute(_sql.partitions, {}):
        there.setdefault(parent, set()).add(name)
    today = int((await link.execute(_sql.database_time, {}))[0][0]) // DAY_MS
    for table in TABLES:
        if f"{table}_default" not in there[table]:
            findings.add(f"partitions: {table} has none for what no day is made for ({table}_default)")
    for day in range(today, today + AHEAD + 1):
        missing = [table for table in TABLES if f"{table}_{suffix_of(day)}" not in there[table]]
        if missing:
            findings.add(f"partitions: {', '.join(missing)} has none for {suffix_of(day)}: does a dispatcher run?")
    for table in TABLES:
        if f"{table}_default" not in there[table]:
            continue
        found: Any = await link.execute(f"SELECT EXISTS (SELECT 1 FROM {table}_default)", {})  # noqa: S608 - our names
        if found[0][0]:
            findings.notes.append(f"{table}_default holds rows of days that nobody made a partition for")


async def _examine_leases(link: Link, findings: Findings) -> None:
    silence = {"silence": SILENCE_MS}
    for name, silent in await link.execute(_sql.nodes_silent, silence):
        findings.notes.append(f"node {name} has not been heard of for {silent // 1000} s")
    for worker, count, late in await link.execute(_sql.leases_left, silence):
        findings.add(
            f"leases: {count} chunks of {worker} have waited for {late // 1000} s to be taken over: {_TAKEN_OVER}"
        )
    for worker, count, left in await link.execute(_sql.leases_of_nobody, silence):
        note = f"leases: {count} chunks of {worker}, which is no node, are taken over within {-(-left // 1000)} s"
        findings.notes.append(note)
