"""What the parts of the store share: the threads, ids, the clock and a few helpers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import apsw

from ...domain.errors import FieldProblem, Invalid
from ...domain.ids import IdFactory, floor_of
from ...measures import StoreStats
from ...ports import Clock, Listed, Window
from .depth import Doorkeeper
from .steps import ClockSteps
from .threads import DatabaseThread
from .turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

OFFLOAD_BYTES = 16_384
"""Packed rows of at least this many bytes are opened in a thread, smaller ones where they are."""
MAX_ID = b"\xff" * 16
NO_ID = b""


class Base:
    """Runs jobs on the store's threads. `_read` is for look-ups, `_list` for what may take long."""

    def __init__(
        self,
        path: Path,
        threads: tuple[DatabaseThread, DatabaseThread, DatabaseThread],
        ids: IdFactory,
        clock: Clock,
    ) -> None:
        self._path = path
        self._writer, self._reader, self._lister = threads
        self._ids = ids
        self._clock = clock
        self._turns = Turns()
        self._steps = ClockSteps(clock)
        self._doorkeeper = Doorkeeper(clock)

    def stats(self) -> StoreStats:
        """How it is just now; asks no database."""
        threads = self._writer, self._reader, self._lister
        try:
            wal = self._path.with_name(self._path.name + "-wal").stat().st_size
        except OSError:
            wal = 0
        return StoreStats(
            commits=self._writer.times,
            waiting=sum(thread.waiting for thread in threads),
            failed=sum(thread.failed for thread in threads),
            wal_bytes=wal,
        )

    async def _write(
        self,
        job: Callable[[apsw.Connection], T],
        *,
        long: bool = False,
        bare: bool = False,
        undone: Callable[[], object] | None = None,
    ) -> T:
        return await self._writer.run(job, long=long, bare=bare, undone=undone)

    async def _write_times(
        self, job: Callable[[apsw.Connection, int], T], *, mark: int | None = None, bare: bool = False
    ) -> T:
        """Writes what says when: `job` gets by how many ms the clock on the wall was set since `mark`, else since this
        was called."""
        since = self._steps.mark() if mark is None else mark
        moved = 0

        def undone() -> None:
            nonlocal moved
            self._steps.unsettle(moved)
            moved = 0

        def settled(connection: apsw.Connection) -> T:
            nonlocal moved
            undone()  # what an attempt moved that was rolled back, or this would not be run again
            moved = self._steps.settle(connection)
            try:
                return job(connection, self._steps.since(since))
            except BaseException:
                undone()
                raise

        return await self._write(settled, bare=bare, undone=undone)

    async def _read(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self._reader.run(job)

    async def _list(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self._lister.run(job)

    def _array(self, values: Sequence[bytes] | Sequence[str]) -> Any:
        """Many values as one of a statement's, in their order."""
        return apsw.carray(tuple(values))

    def _now(self) -> int:
        return int(self._clock.time() * 1000)


async def offload(heavy: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns; heavy work is done in a thread, so that the loop goes on."""
    if heavy:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def cut_window(window: Window) -> dict[str, Any]:
    """The ids a window allows, newest first: `:low` inclusive, `:before` exclusive. Raises `Invalid` for a cursor
    that is no id."""
    low = NO_ID if window.start is None else floor_of(window.start)
    before = MAX_ID if window.end is None else floor_of(window.end)
    if window.after is not None:
        before = min(before, id_cursor(window.after))
    return {"low": low, "before": before, "limit": window.limit + 1}


def id_cursor(cursor: bytes) -> bytes:
    """The id that a cursor is; raises `Invalid` for anything else."""
    if len(cursor) != 16:
        raise bad_cursor()
    return cursor


def bad_cursor() -> Invalid:
    """What is raised for a cursor that this list never gave."""
    return Invalid([FieldProblem("pageToken", "expected the token of an earlier page of this list")])


def nobodys(name: str | None) -> bool:
    """Whether nothing can have this name: none has a NUL in it, and PostgreSQL takes none even to look for it."""
    return name is not None and "\0" in name


def page_of(items: Sequence[T], window: Window, cursor: Callable[[T], bytes]) -> Listed[T]:
    """A page of what was read, of which one item too many shows that there is more."""
    kept = tuple(items[: window.limit])
    more = len(items) > window.limit
    return Listed(items=kept, next=cursor(kept[-1]) if more and kept else None)
