"""The second part of a move: what has changed since it was copied, as of one moment of the source, in one transaction
of the target. After a round the target is what the source was at that moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .canonical import Sum, summer
from .errors import MoveRefused
from .refused import ERRORS, refused, why
from .snapshot import Snapshot
from .tables import Layout
from .target import Target

_BY_KEY = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
"""Rows are found by their keys: the planner does not know how few they are."""


@dataclass(frozen=True)
class Round:
    """What a round did: keys that were noted, and rows with them that are there."""

    changes: int
    rows: int


async def work_off(snapshot: Snapshot, target: Target, layouts: list[Layout]) -> Round:
    """Brings the target to this moment, in a transaction that the caller has begun, and compares what it wrote. Raises
    `MoveRefused`."""
    changes = rows = 0
    await target.connection.execute(_BY_KEY)
    for number in await snapshot.noted():
        layout = layouts[number]
        async for keys in snapshot.keys(number):
            changes += len(keys)
            await target.remove(layout, keys)
        there = Sum()
        add = summer(layout)
        async for found in snapshot.changed(layout):
            rows += len(found)
            there = there.plus(await asyncio.to_thread(add, found))
            try:
                async with target.connection.transaction():
                    await target.add(layout, found)
            except ERRORS as error:
                raise await refused(target, layout, found, error) from error
        written = Sum()
        async for keys in snapshot.keys(number):
            written = written.plus(await target.sum_of(layout, keys))
        _require_same(layout, there, written, "what has changed of it")
    return Round(changes, rows)


async def compare(snapshot: Snapshot, target: Target, layout: Layout) -> Sum:
    """Compares all rows of a table, as they are after a round of this moment. Raises `MoveRefused`."""
    there, written = await asyncio.gather(snapshot.sum(layout), target.sum(layout))
    _require_same(layout, there, written, "its rows")
    return there


async def compare_counts(snapshot: Snapshot, target: Target, layouts: list[Layout]) -> dict[str, int]:
    """Compares how many rows each table has; so many. Raises `MoveRefused`."""
    counts = {}
    for layout in layouts:
        there, written = await asyncio.gather(snapshot.count(layout.table), target.count(layout))
        if there != written:
            raise MoveRefused(
                f"{layout.table.name} has {there} rows in the source and {written} in {target.place}: give this move up"
                " with --abort and begin again; please report it"
            )
        counts[layout.table.name] = there
    return counts


def _require_same(layout: Layout, there: Sum, written: Sum, what: str) -> None:
    if there != written:
        raise MoveRefused(
            f"{layout.table.name} is not the same on both sides: {what} are {there.rows} rows with checksum"
            f" {there.checksum} in the source, {written.rows} with {written.checksum} in the target; `heliogram check`"
            " tells whether the source is well; else give this move up with --abort and begin again, and report it"
        )


def indexes_refused(error: Exception, place: str) -> MoveRefused:
    """When an index or a reference cannot be made: what contradicts it."""
    return MoveRefused(f"rows contradict each other in {place}: {why(error)}; see `heliogram check` for the source")
