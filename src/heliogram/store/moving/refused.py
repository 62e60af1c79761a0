"""Which rows the target does not take, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from .errors import MoveRefused
from .snapshot import Row
from .tables import Layout
from .target import Target

SHOWN = 20
ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
"""What is wrong with a row, not with the database."""


def why(error: Exception) -> str:
    """An error of the database in one line."""
    said = str(error).partition("\n")[0]
    detail: Any = getattr(error, "detail", None)
    return f"{said} ({detail})" if detail and detail not in said else said


async def refused(target: Target, layout: Layout, rows: Sequence[Row], error: Exception) -> MoveRefused:
    """What ends the move when rows were refused: which ones, by trying halves. Writes nothing."""
    found: list[str] = []
    await _find(target, layout, rows, error, found)
    shown = "\n".join(f"  {line}" for line in found)
    more = " (there may be more)" if len(found) == SHOWN else ""
    return MoveRefused(
        f"{target.place} does not take these rows of {layout.table.name}{more}:\n{shown}\n"
        "Change or remove them over the API, and run the command again: it goes on here."
    )


async def _find(target: Target, layout: Layout, rows: Sequence[Row], error: Exception, found: list[str]) -> None:
    if len(found) >= SHOWN:
        return
    if len(rows) <= 1:
        found.extend(f"{layout.key_of(row)}: {why(error)}" for row in rows)
        return
    middle = len(rows) // 2
    for half in (rows[:middle], rows[middle:]):
        try:
            await _attempt(target, layout, half)
        except ERRORS as error_of_half:
            await _find(target, layout, half, error_of_half, found)


class _Undone(Exception):
    pass


async def _attempt(target: Target, layout: Layout, rows: Sequence[Row]) -> None:
    try:
        async with target.connection.transaction():
            await target.add(layout, rows)
            raise _Undone
    except _Undone:
        pass
