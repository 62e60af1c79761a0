"""Chunks and what belongs to them stand in a partition for each day of their operations' ids, which begin with their
time. A day that is over for the time of retention is dropped in milliseconds, where removing its rows would take hours
and leave room that is not given back.

Partitions are made three days ahead. What nobody made one for, because no node ran or a clock was wrong, is in the
default ones, and goes row by row.
"""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import structlog

from ...domain.ids import floor_of

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
AHEAD = 3
"""So many days after this one have partitions."""
TABLES = {"chunk": " WITH (fillfactor = 70)", "chunk_recipients": "", "chunk_result": "", "chunk_user": ""}
"""Rows of `chunk` change a few times: room beside them keeps the indexes out of it."""
LOCK = 0x48454C48
"""One node at a time makes partitions or drops them."""
WAIT = "SET LOCAL lock_timeout = '1s'"
"""A table that is being read for long is tried again later; meanwhile nobody else waits behind us for longer."""


def suffix_of(day: int) -> str:
    """How the partitions of a day (counted from 1970) are called."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y%m%d")


def range_of(day: int) -> tuple[bytes, bytes]:
    """The ids of a day: from the first on, and below the second."""
    return floor_of(day * DAY_MS), floor_of((day + 1) * DAY_MS)


async def days_kept(connection: asyncpg.Connection) -> list[int]:
    """The days that have partitions, in order."""
    rows = await connection.fetch(
        "SELECT substring(c.relname FROM '^chunk_([0-9]{8})$') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'chunk'::regclass"
    )
    found = [datetime.strptime(row[0], "%Y%m%d").replace(tzinfo=UTC) for row in rows if row[0] is not None]
    return sorted(int(day.timestamp()) // 86_400 for day in found)


async def make_partitions(connection: asyncpg.Connection, now: int) -> list[int]:
    """Makes the partitions of the day of `now` (ms) and the next three that are not there; for which days."""
    today = now // DAY_MS
    wanted = set(range(today, today + AHEAD + 1)).difference(await days_kept(connection))
    made = [day for day in sorted(wanted) if await make_day(connection, day)]
    if made:
        log.info("partitions.made", days=[suffix_of(day) for day in made])
    return made


async def make_day(connection: asyncpg.Connection, day: int) -> bool:
    """Makes the partitions of a day (counted from 1970); whether it did."""
    low, high = range_of(day)
    try:
        async with connection.transaction():
            await connection.execute(WAIT)
            await connection.execute("SELECT pg_advisory_xact_lock($1::bigint)", LOCK)
            if day in await days_kept(connection):
                return False
            for table, options in TABLES.items():
                await connection.execute(
                    f"CREATE TABLE {table}_{suffix_of(day)} PARTITION OF {table}"
                    f" FOR VALUES FROM ('\\x{low.hex()}') TO ('\\x{high.hex()}'){options}"
                )
    except asyncpg.CheckViolationError:  # some of that day is in the default partitions, and then the rest goes there
        log.warning("partitions.default_used", day=suffix_of(day))
        return False
    except asyncpg.LockNotAvailableError:
        log.warning("partitions.not_made", day=suffix_of(day), again="with the next slice of retention")
        return False
    return True


async def mark_going(connection: asyncpg.Connection, before: int) -> int:
    """Marks the days of which every operation ended at `before` (ms) or earlier and every webhook was told: from here
    on nothing else removes what is in them. How many days those are."""
    days = [day for day in await days_kept(connection) if (day + 1) * DAY_MS <= before]
    marked = 0
    for day in days:
        low, high = range_of(day)
        if await connection.fetchval(_STAYS, low, high, before) or await _is_owed(connection, low, high):
            continue
        await connection.execute("INSERT INTO going (low, high) VALUES ($1, $2) ON CONFLICT DO NOTHING", low, high)
        marked += 1
    return marked


_STAYS = """
SELECT EXISTS (SELECT 1 FROM account a, LATERAL (
                 SELECT 1 FROM operation o
                  WHERE o.account_id = a.id AND o.id >= $1 AND o.id < $2
                    AND (o.finished IS NULL OR o.finished > $3) LIMIT 1) some_operation)
"""


async def _is_owed(connection: asyncpg.Connection, low: bytes, high: bytes) -> bool:
    """Whether a webhook was not told all results of a day: then its rows go one by one, and what it misses is
    counted."""
    return bool(await connection.fetchval(_OWED, low, high))


_OWED = """
SELECT EXISTS (SELECT 1 FROM webhook w
                WHERE w.state <> 'disabled'
                  AND w.result_cursor < (SELECT max(r.sequence) FROM chunk_result r
                                          WHERE r.account_id = w.account_id
                                            AND r.operation_id >= $1 AND r.operation_id < $2))
"""


async def remove_going(connection: asyncpg.Connection, most: int) -> int | None:
    """Removes at most so many operations of a day that is going, and drops its partitions when none is left; how many,
    None when no day is going."""
    day = await connection.fetchrow("SELECT low, high FROM going ORDER BY low LIMIT 1")
    if day is None:
        return None
    status = await connection.execute(_DELETE, day["low"], day["high"], most)
    removed = int(status.rpartition(" ")[2])
    if not removed:
        await _drop(connection, day["low"], day["high"])
    return removed


_LEFT = """
SELECT EXISTS (SELECT 1 FROM account a, LATERAL (
                 SELECT 1 FROM operation WHERE account_id = a.id AND id >= $1 AND id < $2 LIMIT 1) some_operation)
"""
_DELETE = """
DELETE FROM operation WHERE (account_id, id) IN (
  SELECT o.account_id, o.id FROM account a, LATERAL (
    SELECT account_id, id FROM operation
     WHERE account_id = a.id AND id >= $1 AND id < $2 AND finished IS NOT NULL LIMIT $3) o LIMIT $3)
"""


async def _drop(connection: asyncpg.Connection, low: bytes, high: bytes) -> None:
    suffix = suffix_of(int.from_bytes(low[:6], "big") // DAY_MS)
    try:
        async with connection.transaction():
            await connection.execute(WAIT)
            await connection.execute("SELECT pg_advisory_xact_lock($1::bigint)", LOCK)
            await connection.execute(f"LOCK TABLE chunk_{suffix} IN ACCESS EXCLUSIVE MODE")
            if not await connection.fetchval(_LEFT, low, high):
                await connection.execute("DROP TABLE " + ", ".join(f"{table}_{suffix}" for table in TABLES))
                await connection.execute(
                    "DELETE FROM leaving WHERE operation_id >= $1 AND operation_id < $2", low, high
                )
            # else a clock that is wrong by days has accepted something meanwhile: it goes when it has ended
            await connection.execute("DELETE FROM going WHERE low = $1", low)
    except asyncpg.LockNotAvailableError:
        log.warning("partitions.not_dropped", day=suffix, again="with the next slice of retention")
        raise
    log.info("partitions.dropped", day=suffix)
