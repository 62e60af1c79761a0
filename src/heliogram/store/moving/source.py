"""The embedded store that is moved: read beside its service, and changed by the notes alone until the last round."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ...domain.ids import floor_of, time_of
from ..errors import StoreUnavailable
from ..sqlite import statements
from ..sqlite.backup import require_ours
from ..sqlite.connection import BUSY_TIMEOUT_MS, connect, explained
from ..sqlite.depth import recount
from ..sqlite.idempotency import let_go_of_keys
from ..sqlite.migrate import migrations
from ..sqlite.steps import settle_start
from . import notes
from .errors import MoveRefused
from .snapshot import Row, Snapshot
from .tables import LEFT_OUT, TABLES, Layout, Table

_work = statements.load("work")
T = TypeVar("T")
_CACHE_KIB = 65_536
_DAY_MS = 86_400_000
SAMPLE = 300
"""Rows of a table that the size of the others is estimated from."""
MAX_DAYS = 400
"""The most days whose chunks get partitions of their own."""


@dataclass(frozen=True)
class Range:
    """Rows that follow each other, the place to go on from (None after the last), and their bytes."""

    rows: list[Row]
    next: tuple[Any, ...] | None
    bytes: int


class Source:
    """The database of a data directory, on a connection that reads and one that writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
        self._write = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heliogram-move")
        self._read.pragma("query_only", 1)
        self._read.pragma("cache_size", -_CACHE_KIB)

    def __repr__(self) -> str:
        return f"Source({str(self._path)!r})"

    def close(self) -> None:
        """Lets go of the file, when what is being read or written is."""
        self._thread.shutdown()
        self._read.close()
        self._write.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def require_current(self) -> None:
        """Raises `StoreError` for a file that is not ours, or of an earlier version's schema."""
        version, newest = require_ours(self._read, self._path), len(migrations())
        if version < newest:
            raise MoveRefused(
                f"{self._path} has schema {version}: upgrade first, by running this version of `heliogram serve` on it"
                f" once (it brings the database to schema {newest})"
            )
        known = {table.name for table in TABLES} | set(LEFT_OUT)
        rows: Any = self._read.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        strange = {name for (name,) in rows} - known - {notes.STATE, notes.NOTES}
        strange = {name for name in strange if not name.startswith("sqlite_")}
        if strange:
            raise MoveRefused(f"{self._path} has tables that this version does not know: {', '.join(sorted(strange))}")

    # --- notes

    def move(self) -> bytes | None:
        """The id of the move that is under way, None for none."""
        with explained(self._path, self._read):
            return notes.installed(self._read)

    def require_noted(self) -> None:
        """Raises `MoveRefused` when not all that changed since the move began was noted."""
        with explained(self._path, self._read):
            notes.require_whole(self._read)

    async def install(self, ident: bytes) -> None:
        """Begins to note what changes."""
        await self._in_transaction(lambda: notes.install(self._write, ident))

    async def remove(self) -> None:
        """Ends it."""
        await self._in_transaction(lambda: notes.remove(self._write))

    def waiting(self) -> int:
        """How many notes there are, roughly."""
        found = notes.bounds(self._read)
        return 0 if found is None else found[1] - found[0] + 1

    async def forget(self, top: int) -> None:
        """Removes the notes up to a number, in steps between which the service writes."""
        with explained(self._path, self._write):
            steps = notes.forget(self._write, top)
            while await self._in_thread(lambda: next(steps, None)) is not None:
                pass

    async def _in_transaction(self, work: Callable[[], object]) -> None:
        def run() -> None:
            with explained(self._path, self._write):
                self._write.execute("BEGIN IMMEDIATE")
                try:
                    work()
                    self._write.execute("COMMIT")
                except BaseException:
                    self._roll_back()
                    raise

        await self._in_thread(run)

    # --- reading

    def columns(self, table: Table) -> list[str]:
        """The columns that are stored."""
        rows: Any = self._read.execute(f"PRAGMA table_xinfo('{table.name}')").fetchall()
        return [row[1] for row in rows if row[6] == 0]

    async def size(self, layout: Layout) -> tuple[int, float]:
        """How many rows a table has, and how many bytes one has on average, as some of them tell."""
        count = await Snapshot(self._read, self._in_thread).count(layout.table)
        if not layout.table.rowid:
            found = (await self.range(layout, None, rows=SAMPLE)).rows
        else:
            found = await self._in_thread(lambda: self._sample(layout))
        return count, sum(map(_bytes_of, found)) / len(found) if found else 0.0

    def _sample(self, layout: Layout) -> list[Row]:
        """Rows from all over a table, as the first ones may be of another kind than the rest."""
        name = layout.table.name
        low: Any = self._read.execute(f'SELECT min(rowid) FROM "{name}"').get  # noqa: S608 - our own names
        high: Any = self._read.execute(f'SELECT max(rowid) FROM "{name}"').get  # noqa: S608 - our own names
        if low is None:
            return []
        sql = f'SELECT {layout.selected} FROM "{name}" t WHERE t.rowid >= ? LIMIT 1'  # noqa: S608 - our own names
        places = range(low, high + 1, max(1, (high - low) // SAMPLE))
        rows: list[Any] = [row for place in places for row in self._read.execute(sql, (place,))]
        return rows

    async def range(self, layout: Layout, after: tuple[Any, ...] | None, *, rows: int, size: int = 8 << 20) -> Range:
        """The next rows of a table in its order, at most so many and, but for the last, so many bytes."""
        return await self._in_thread(lambda: self._range(layout, after, rows, size))

    def _range(self, layout: Layout, after: tuple[Any, ...] | None, most: int, size: int) -> Range:
        order = [f"t.{name}" for name in layout.table.order]
        by = ", ".join(order)
        beyond = "" if after is None else f"WHERE ({by}) > ({', '.join('?' * len(order))})"
        sql = (
            f'SELECT {layout.selected}, {by} FROM "{layout.table.name}" t {layout.table.join}'  # noqa: S608 - our own
            f" {beyond} ORDER BY {by} LIMIT ?"
        )
        width, found, total = len(layout.columns), [], 0
        with explained(self._path, self._read):
            row: Any = None
            for row in self._read.execute(sql, (*(after or ()), most)):
                found.append(row[:width])
                total += _bytes_of(found[-1])
                if total >= size:
                    break
        ended = row is None or (len(found) < most and total < size)
        return Range(found, None if ended else row[width:], total)

    def sealed_with(self) -> set[bytes]:
        """The ids of the master keys that secrets are sealed with."""
        parts = [f"SELECT substr(sealed, 2, 4) FROM {name}" for name in ("credential", "webhook", "idempotency")]  # noqa: S608
        rows: Any = self._read.execute(" UNION ".join(parts)).fetchall()
        return {bytes(ident) for (ident,) in rows if ident}

    async def days(self) -> list[int]:
        """The days, counted from 1970, whose operations have chunks: the last 400."""
        return await self._in_thread(self._days)

    def _days(self) -> list[int]:
        found: set[int] = set()
        accounts: Any = self._read.execute("SELECT DISTINCT account_id FROM operation").fetchall()
        first = (
            "SELECT operation_id FROM chunk WHERE account_id = ? AND operation_id >= ? ORDER BY operation_id LIMIT 1"
        )
        for (account,) in accounts:
            place = b""
            while row := self._read.execute(first, (account, place)).fetchone():
                day = time_of(bytes(row[0])) // _DAY_MS
                found.add(day)
                place = floor_of((day + 1) * _DAY_MS)
        return sorted(found)[-MAX_DAYS:]

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """One moment, beside whoever writes."""
        with explained(self._path, self._read):
            self._read.execute("BEGIN")
            try:
                yield Snapshot(self._read, self._in_thread)
            finally:
                await self._in_thread(lambda: self._read.execute("ROLLBACK"))

    # --- the last round

    @asynccontextmanager
    async def last(self, now: int) -> AsyncIterator[Snapshot]:
        """The last moment: nobody else writes from here on. Work in hand is given back, as at a start (only for a
        process that knows that no service runs). Undone unless `leave` follows."""
        with explained(self._path, self._write):
            try:
                await self._in_thread(lambda: self._begin_last(now))
                yield Snapshot(self._write, self._in_thread)
            finally:
                await self._in_thread(self._roll_back)

    def _begin_last(self, now: int) -> None:
        self._write.execute("BEGIN IMMEDIATE")
        self._write.execute(_work.release_all, {"now": now})
        self._write.execute(_work.let_all_go, {"now": now})
        let_go_of_keys(self._write)
        settle_start(self._write, now)
        recount(self._write)

    def _roll_back(self) -> None:
        if self._write.in_transaction:
            self._write.execute("ROLLBACK")

    def leave(self) -> None:
        """In `last`: what was moved stays here as it is, without the notes."""
        notes.remove(self._write)
        self._write.execute("COMMIT")


def _bytes_of(row: Row) -> int:
    return sum(len(value) if isinstance(value, bytes | str) else 8 for value in row)


def stamp() -> str:
    """Now, for people."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def require_source(path: Path) -> None:
    """Raises `StoreUnavailable` when there is no database."""
    if not path.is_file():
        raise StoreUnavailable(f"there is no database {path}: give the directory of `heliogram serve` after sqlite:")
