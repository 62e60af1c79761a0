"""Removing what ended long ago: whole days at once, and in slices what is left in days that are not over."""

from __future__ import annotations

import asyncpg

from ...ports import Removal
from ..sqlite.retention import Retention
from .base import PostgresBase
from .link import Link
from .partitions import make_partitions, mark_going, remove_going

DAY_SLICE = 1_000
"""The most operations that one slice removes of a day whose chunks are dropped with it."""
_FROM_THE_START = bytes(8)


class Keeping(PostgresBase, Retention):
    """`ports.RetentionStore`."""

    async def remove_ended(self, before: int, now: int, *, after: bytes | None = None) -> Removal:
        """Removes operations that ended at `before` (ms) or earlier: at most 1,000 of a day that is over as a whole,
        else at most `SLICE_ROWS` rows of them. Makes the partitions of the coming days, too."""
        removed = await self._jobs.transact(lambda link: _remove_days(link, before, now, begin=after is None), None)
        if removed is not None:
            return Removal(operations=removed, rows=removed, next=after or _FROM_THE_START)
        return await super().remove_ended(before, now, after=after)

    async def compact(self) -> int:
        """Nothing: autovacuum does it."""
        return 0

    async def checkpoint(self) -> None:
        """Nothing: the server does it."""


async def _remove_days(link: Link, before: int, now: int, *, begin: bool) -> int | None:
    connection = link.connection
    if begin:
        await make_partitions(connection, now)
        await mark_going(connection, before)
    removed: int | None = 0
    try:
        while removed == 0:  # of that day nothing is left, and its partitions were dropped
            removed = await remove_going(connection, DAY_SLICE)
    except asyncpg.LockNotAvailableError:
        return None
    return removed
