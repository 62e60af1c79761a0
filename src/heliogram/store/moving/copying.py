"""The first part of a move: all that is there, table by table, range by range. Each range is a transaction of the
target that keeps how far it is with the rows, so whatever ends it, it goes on behind the last range that was kept. The
next range is read while one is written."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from .refused import ERRORS, refused
from .snapshot import BATCH
from .source import Range, Source
from .tables import Layout
from .target import Progress, Target
from .telling import Estimate, Meter, Report

RANGE_ROWS = 20_000


async def copy(source: Source, target: Target, layouts: list[Layout], progress: Progress, report: Report) -> None:
    """Copies what `progress` does not have yet. Raises `StoreError`."""
    estimates = {each.table.name: Estimate(*await source.size(each)) for each in layouts}
    rows = sum(each.rows for each in estimates.values())
    size = sum(each.rows * each.row_bytes for each in estimates.values())
    report("copying", rows=rows, megabytes=round(size / 1e6), goesOn=bool(progress.tables or progress.place))
    meter = Meter(estimates, report)
    await target.make_days(await source.days())
    for layout in layouts:
        if layout.table.name in progress.tables:
            meter.skip(layout.table.name)
        else:
            await _copy_table(source, target, layout, progress, meter)


async def _copy_table(source: Source, target: Target, layout: Layout, progress: Progress, meter: Meter) -> None:
    name = layout.table.name
    place = None if progress.place is None else tuple(progress.place)
    reading = asyncio.ensure_future(source.range(layout, place, rows=RANGE_ROWS))
    while True:
        found = await reading
        reading = asyncio.ensure_future(_next(source, layout, found))
        try:
            progress.place = None if found.next is None else list(found.next)
            if found.next is None:
                progress.tables.append(name)
            await _put(target, layout, found, progress)
        except BaseException:
            await asyncio.gather(reading, return_exceptions=True)  # it is in a thread, and must end there
            raise
        meter.add(name, len(found.rows), found.bytes, done=found.next is None)
        if found.next is None:
            await reading
            return


async def _next(source: Source, layout: Layout, before: Range) -> Range:
    if before.next is None:
        return before
    return await source.range(layout, before.next, rows=RANGE_ROWS)


async def _put(target: Target, layout: Layout, found: Range, progress: Progress) -> None:
    try:
        await _attempt(target, layout, found, progress, again=False)
    except asyncpg.UniqueViolationError:  # a row was removed behind us and came again before us
        await _attempt(target, layout, found, progress, again=True)


async def _attempt(target: Target, layout: Layout, found: Range, progress: Progress, *, again: bool) -> None:
    places = [layout.columns.index(name) for name in layout.table.key]
    try:
        async with target.connection.transaction():
            await target.connection.execute(
                "SET LOCAL synchronous_commit = off"
            )  # rows and how far they go, or neither
            if again:
                keys: list[Any] = [tuple(row[n] for n in places) for row in found.rows]
                for begin in range(0, len(keys), BATCH):
                    await target.remove(layout, keys[begin : begin + BATCH])
            await target.add(layout, found.rows)
            await target.keep(progress)
    except ERRORS as error:
        if isinstance(error, asyncpg.UniqueViolationError) and not again:
            raise
        raise await refused(target, layout, found.rows, error) from error
