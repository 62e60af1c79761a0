"""Is the schema what the migrations make? They are run once more, in a schema of their own that is rolled back, and
what came of them is laid beside what is there."""

from __future__ import annotations

import os
from typing import Any

import asyncpg

from ..sqlite import statements
from ..sqlite.check import Findings
from .catalogue import PACKAGE
from .link import Link
from .migrate import migrations

_sql = statements.load("examining", PACKAGE)

Parts = dict[tuple[str, str], str]


async def schema_problems(link: Link, findings: Findings, version: int, least: int) -> None:
    """Adds what is missing or other than the scripts up to `version` make it, of those for later up to `least`. What
    is there beside, such as an index of the operator's own, is no problem."""
    schema = str(await link.connection.fetchval("SELECT quote_ident(current_schema())"))
    there = await _parts(link, schema)
    try:
        wanted = await _drawn(link, version, least)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError) as error:
        reason = str(error).partition("\n")[0]
        findings.notes.append(f"the schema was not compared with what migrations make ({reason})")
        return
    for place, definition in sorted(wanted.items()):
        kind, name = place
        if place not in there:
            findings.add(f"schema: the {kind} {name} is missing")
        elif there[place] != definition:
            findings.add(f"schema: the {kind} {name} is not as migrations make it")


async def _drawn(link: Link, version: int, least: int) -> Parts:
    """What migrations make of an empty schema."""
    scratch = f"heliogram_check_{os.getpid()}"
    connection = link.connection
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"CREATE SCHEMA {scratch}; SET LOCAL search_path = {scratch}")
        for number, script in migrations().items():
            if number <= version:
                await connection.execute(script.first)
        for number, script in migrations().items():
            if number <= least and script.after:
                await connection.execute(script.after)
        return await _parts(link, scratch)
    finally:
        await transaction.rollback()


async def _parts(link: Link, schema: str) -> Parts:
    rows: Any = await link.execute(_sql.schema_parts, {"schema": schema})
    return {(kind, name): definition.replace(f"{schema}.", "") for kind, name, definition in rows}
