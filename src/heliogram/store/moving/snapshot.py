"""The source as of one moment: what was noted until then, and the rows as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import apsw

from . import notes
from .canonical import Sum, summer
from .tables import TABLES, Layout, Table

Row = tuple[Any, ...]
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs something in the source's thread."""
BATCH = 5_000
"""Rows that are held at once."""


class Snapshot:
    """Reads on a connection that is in a transaction, in its thread; one call at a time."""

    def __init__(self, connection: apsw.Connection, in_thread: InThread) -> None:
        self._connection, self._in_thread = connection, in_thread
        found = notes.bounds(connection)
        self.top = 0 if found is None else found[1]
        """The number of the last note; 0 for none."""

    def __repr__(self) -> str:
        return f"Snapshot(top={self.top})"

    async def noted(self) -> list[int]:
        """The places in `TABLES` of those with changes."""
        sql = f"SELECT DISTINCT tab FROM {notes.NOTES} WHERE number <= ? ORDER BY tab"  # noqa: S608 - our own
        return [tab for batch in await self._all(sql, (self.top,)) for (tab,) in batch]

    async def keys(self, number: int) -> AsyncIterator[list[Row]]:
        """The keys of a table that were noted, each once."""
        async for batch in self._batches(_noted_keys(TABLES[number]), (number, self.top)):
            yield batch

    async def changed(self, layout: Layout) -> AsyncIterator[list[Row]]:
        """The rows with these keys that are there."""
        table = layout.table
        on = " AND ".join(f't."{name}" = k.{letter}' for name, letter in _pairs(table))
        sql = (
            f"SELECT {layout.selected} FROM ({_noted_keys(table)}) k"  # noqa: S608 - our own names
            f' CROSS JOIN "{table.name}" t ON {on} {table.join}'
        )
        async for batch in self._batches(sql, (layout.number, self.top)):
            yield batch

    async def count(self, table: Table) -> int:
        """How many rows a table has."""
        (((rows,),),) = await self._all(f'SELECT count(*) FROM "{table.name}"', ())  # noqa: S608 - our own names
        return int(rows)

    async def sum(self, layout: Layout) -> Sum:
        """All rows of a table."""
        table = layout.table
        order = ", ".join(f"t.{name}" for name in table.order)  # else SQLite may choose one that jumps about
        sql = f'SELECT {layout.selected} FROM "{table.name}" t {table.join} ORDER BY {order}'  # noqa: S608 - our own
        add, cursor = summer(layout), self._connection.execute(sql)
        found: Sum = await self._in_thread(lambda: add(cursor))
        return found

    async def one(self, sql: str) -> Any:
        """The value that a statement answers."""
        found = await self._all(sql, ())
        return found[0][0][0] if found else None

    async def all(self, sql: str) -> list[Row]:
        """The rows that a statement answers."""
        return [row for batch in await self._all(sql, ()) for row in batch]

    async def _all(self, sql: str, values: Sequence[Any]) -> list[list[Row]]:
        return [batch async for batch in self._batches(sql, values)]

    async def _batches(self, sql: str, values: Sequence[Any]) -> AsyncIterator[list[Row]]:
        rows: Iterator[Row] = iter(await self._in_thread(lambda: _begin(self._connection, sql, values)))
        while batch := await self._in_thread(lambda: _take(rows)):
            yield batch


def _begin(connection: apsw.Connection, sql: str, values: Sequence[Any]) -> Any:
    return connection.execute(sql, tuple(values))


def _take(rows: Iterator[Row]) -> list[Row]:
    return list(islice(rows, BATCH))


def _pairs(table: Table) -> list[tuple[str, str]]:
    return list(zip(table.key, notes.letters(table), strict=True))


def _noted_keys(table: Table) -> str:
    columns = ", ".join(notes.letters(table))
    return f"SELECT DISTINCT {columns} FROM {notes.NOTES} WHERE tab = ? AND number <= ?"  # noqa: S608 - our own
