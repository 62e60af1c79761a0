"""Removing what ended long ago, in slices.

An operation goes first: from then on nobody sees any of it. Its chunks follow in the same slice, or in later ones when
there is too much; then it stands in `leaving`, so that a crash loses nothing of the work to do.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import apsw

from ...domain.webhooks import KEPT_MS, EventType, wanted_types
from ...ports import Removal
from . import statements
from .base import Base
from .connection import BUSY_TIMEOUT_MS, connect, explained
from .history import forget_user

_sql = statements.load("retention")

SLICE_ROWS = 120
"""The most rows that one slice removes."""
SLICE_PAGES = 250
"""About the most pages of the file that one slice frees; one row, however large, it always may."""
SLICE_LOOKS = 200
"""The most operations that one slice looks at."""
SLICE_USERS = 200
VACUUM_PAGES = 100
"""The most pages that one slice moves and gives back."""
SLACK_PAGES = 2_048
"""So many free pages (8 MiB) and a tenth of the file are kept for what comes: giving back and taking again costs."""
_PAGE = 4_096
_CHUNK_ROWS = 4
_START = bytes(8)

Where = dict[str, Any]


class _Budget:
    """What a slice may still do. `left` says that there is room for the last rows of a chunk and its operation."""

    def __init__(self) -> None:
        self._rows = SLICE_ROWS
        self._pages = SLICE_PAGES

    @property
    def left(self) -> bool:
        return self._rows >= _CHUNK_ROWS and self._pages > 0

    @property
    def used(self) -> int:
        return SLICE_ROWS - self._rows

    def spend(self, *sizes: int) -> None:
        """Rows of so many bytes were removed."""
        self._rows -= len(sizes)
        self._pages -= sum(size // _PAGE for size in sizes)


class _Readers:
    """The webhooks that are told results, looked up once an account."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[bytes, list[tuple[bytes, frozenset[EventType], int]]] = {}

    def behind(self, where: Where) -> list[tuple[bytes, frozenset[EventType], int]]:
        """Those who were not told all of an operation's results."""
        account = where["account"]
        if account not in self._known:
            rows: Any = self._connection.execute(_sql.readers, where).fetchall()
            every = [(webhook, wanted_types(tuple(json.loads(types))), told) for webhook, types, told in rows]
            self._known[account] = [each for each in every if each[1] & _RESULTS.keys()]
        readers = self._known[account]
        if not readers:
            return []
        last: Any = self._connection.execute(_sql.last_part_of, where).get
        return [] if last is None else [each for each in readers if each[2] < last]


_RESULTS = {
    EventType.NOTIFICATION_SENT: 0,
    EventType.NOTIFICATION_FAILED: 1,
    EventType.NOTIFICATION_CANCELED: 2,
}
"""Which of the counters of `untold` an event counts."""


def _remove_slice(connection: apsw.Connection, before: int, now: int, after: bytes | None) -> Removal:
    budget, readers, operations = _Budget(), _Readers(connection), 0
    _remove_leaving(connection, budget)
    rows = _ended(connection, before, after) if budget.left else []
    for finished, account, operation in rows:
        if not budget.left:
            break
        where = {"account": account, "operation": operation}
        after = int(finished).to_bytes(8, "big") + account + operation
        behind = readers.behind(where)
        if behind and finished > now - KEPT_MS:
            continue
        for webhook, wanted, told in behind:
            _count_skipped(connection, {**where, "webhook": webhook, "told": told}, wanted)
        connection.execute(_sql.delete_operation, where)
        budget.spend(0)
        operations += 1
        if not _remove_chunks(connection, where, budget):
            connection.execute(_sql.keep_leaving, where)
    more = len(rows) == SLICE_LOOKS or not budget.left
    return Removal(operations=operations, rows=budget.used, next=(after or _START) if more else None)


def _remove_leaving(connection: apsw.Connection, budget: _Budget) -> None:
    while budget.left:
        row: Any = connection.execute(_sql.first_leaving).fetchone()
        if row is None:
            return
        where = {"account": row[0], "operation": row[1]}
        if _remove_chunks(connection, where, budget):
            connection.execute(_sql.delete_leaving, where)


def _ended(connection: apsw.Connection, before: int, after: bytes | None) -> list[Any]:
    place = after or _START
    values = {
        "before": before,
        "limit": SLICE_LOOKS,
        "finished": int.from_bytes(place[:8], "big"),
        "account": place[8:24],
        "operation": place[24:],
    }
    rows: list[Any] = connection.execute(_sql.ended_operations, values).fetchall()
    return rows


def _count_skipped(connection: apsw.Connection, where: Where, wanted: frozenset[EventType]) -> None:
    """What a webhook is not told any more, as near as the chunks' counters know it."""
    ended: Any = connection.execute(_sql.untold, where).fetchone()
    skipped = sum(ended[place] for type_, place in _RESULTS.items() if type_ in wanted)
    if skipped:
        connection.execute(_sql.count_skipped, {**where, "skipped": skipped})


def _remove_chunks(connection: apsw.Connection, where: Where, budget: _Budget) -> bool:
    """The chunks of an operation, as far as the budget goes; whether these were all."""
    while budget.left:
        chunks: Any = connection.execute(_sql.chunks_of, {**where, "limit": SLICE_LOOKS}).fetchall()
        for first, *sizes in chunks:
            present = [size for size in sizes if size is not None]
            if not _remove_chunk(connection, {**where, "first": first}, present, budget):
                return False
        if len(chunks) < SLICE_LOOKS:
            return True
    return False


def _remove_chunk(connection: apsw.Connection, where: Where, sizes: list[int], budget: _Budget) -> bool:
    """A chunk with its results; False when the budget ended before. The chunk's own row is the last to go."""
    parts: Any = connection.execute(_sql.parts_of, {**where, "limit": SLICE_ROWS}).fetchall()
    for sequence, size in parts:
        if not budget.left:
            return False
        connection.execute(_sql.delete_part, {**where, "sequence": sequence})
        budget.spend(size)
    if not budget.left:
        return False
    connection.execute(_sql.delete_recipients, where)
    if len(sizes) > 1:
        connection.execute(_sql.delete_fingerprints, where)
    connection.execute(_sql.delete_chunk, where)
    budget.spend(0, *sizes)
    return True


def _remove_users(connection: apsw.Connection, before: int) -> int:
    rows: Any = connection.execute(_sql.deleted_users, {"before": before, "limit": SLICE_USERS}).fetchall()
    for account, user in rows:
        forget_user(connection, account, user)  # a node that knows of no history may have deleted the user
        connection.execute(_sql.delete_user, {"account": account, "user": user})
    return len(rows)


def _compact(connection: apsw.Connection) -> int:
    pages, free = (int(str(connection.pragma(name))) for name in ("page_count", "freelist_count"))
    spare = min(free - max(SLACK_PAGES, pages // 10), VACUUM_PAGES)
    if spare <= 0:
        return 0
    connection.execute(f"PRAGMA incremental_vacuum({spare})").fetchall()  # one step a page: to the end
    return pages - int(str(connection.pragma("page_count")))


def _checkpoint(path: Path) -> None:
    with explained(path):
        connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        finally:
            connection.close()


class Retention(Base):
    """`ports.RetentionStore`."""

    async def remove_ended(self, before: int, now: int, *, after: bytes | None = None) -> Removal:
        """Removes operations that ended at `before` (ms) or earlier: at most `SLICE_ROWS` rows of them."""
        return await self._write(lambda c: _remove_slice(c, before, now, after), long=True)

    async def remove_deleted_users(self, before: int) -> int:
        """Removes at most `SLICE_USERS` users that were deleted at `before` (ms) or earlier."""
        return await self._write(lambda c: _remove_users(c, before), long=True)

    async def compact(self) -> int:
        """Gives at most `VACUUM_PAGES` free pages back to the file system, but for the slack."""
        return await self._write(_compact, long=True)

    async def checkpoint(self) -> None:
        """Copies what the log holds into the file, on a connection and in a thread of its own."""
        await asyncio.to_thread(_checkpoint, self._path)
