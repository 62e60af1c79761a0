"""Puts right what `check` found, beside running nodes: the embedded store's jobs (`store/sqlite/repair`), and what only
PostgreSQL has.

Each job runs under READ COMMITTED and locks what it changes before it looks, so that it sees what others did while it
waited. One repair at a time: two would both add what is missing in a count.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from ..errors import StoreUnavailable
from ..sqlite import statements
from ..sqlite.check import Findings, Progress
from ..sqlite.repair import Repair, Step, Steps, steps
from .catalogue import PACKAGE
from .check import connected, is_left_behind
from .errors import AGAIN, as_store_error, is_of_database, place_of
from .facade import run_job
from .isolation import READ_COMMITTED, SNAPSHOT
from .link import Link
from .migrate import LOCK
from .partitions import make_partitions, suffix_of

_sql = statements.load("examining", PACKAGE)

NUMBER = 3
"""Which advisory lock of ours a repair holds."""
ATTEMPTS = 5
_IN_THE_WAY = (*AGAIN, asyncpg.LockNotAvailableError)


def repair_database(url: str, findings: Findings, at: int, progress: Progress = lambda _: None) -> Repair:
    """Puts right what was found, at `at` (ms). Raises `StoreError`."""
    return asyncio.run(put_right(url, findings, at, progress))


async def put_right(url: str, findings: Findings, at: int, progress: Progress = lambda _: None) -> Repair:
    """As `repair_database`, within an event loop."""
    place, made = place_of(url), Repair(at=at)
    if findings.beyond_repair:
        made.refused.append(findings.beyond_repair)
        return made
    try:
        connection = await connected(url)
        try:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK, NUMBER):
                raise StoreUnavailable(f"another repair is at work on {place}: wait for its end")
            await _put_server_right(Link(connection), made, progress)
            await _drive(Link(connection), steps(made, findings, progress, reach=False))
        finally:
            await connection.close()
    except Exception as error:
        if not is_of_database(error):
            raise
        raise as_store_error(error, place) from error
    return made


async def _drive(link: Link, todo: Steps) -> None:
    answer = None
    while True:
        try:
            step = todo.send(answer)
        except StopIteration:
            return
        answer = await _transaction(link, step)


async def _transaction(link: Link, step: Step) -> Any:
    """What the job returns. It is run again when others were in its way, a few times."""
    attempt = 0
    while True:
        attempt += 1
        await link.command(READ_COMMITTED if step.writes else SNAPSHOT)
        try:
            answer = await run_job(step.job, link)
            await link.command("COMMIT")
        except _IN_THE_WAY:
            await link.command("ROLLBACK")
            if attempt == ATTEMPTS:
                raise
        else:
            return answer


async def _put_server_right(link: Link, made: Repair, progress: Progress) -> None:
    connection = link.connection
    now = int((await link.execute(_sql.database_time, {}))[0][0])
    days = await make_partitions(connection, now)
    if days:
        made.done.append(f"partitions were made for {', '.join(suffix_of(day) for day in days)}")
    for name, table in await link.execute(_sql.indexes_broken, {}):
        if is_left_behind(name):
            told = f"the index {name} of {table}, left by a REINDEX that did not end, was removed"
            await _tried(connection, made, f"DROP INDEX CONCURRENTLY {name}", told)
            continue
        progress(f"making the index {name} anew")
        await _tried(
            connection, made, f"REINDEX INDEX CONCURRENTLY {name}", f"the index {name} of {table} was made anew"
        )
    for name, table in await link.execute(_sql.references_not_validated, {}):
        progress(f"looking at the reference {name}")
        told = f"the reference {name} of {table} was looked at, and holds"
        await _tried(connection, made, f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}", told)


async def _tried(connection: asyncpg.Connection, made: Repair, command: str, told: str) -> None:
    """None of these commands keeps anybody from reading or writing."""
    try:
        await connection.execute(command)
    except asyncpg.PostgresError as error:
        made.refused.append(f"{command}: {error}")
    else:
        made.done.append(told)
