"""A move put together of its parts."""

from __future__ import annotations

import time
from typing import Any, Protocol

import asyncpg
import msgspec

from ..postgres.halves import DONE
from .copying import copy
from .errors import MoveRefused
from .refused import ERRORS
from .rounds import Round, compare, compare_counts, indexes_refused, work_off
from .snapshot import Snapshot
from .source import Source
from .tables import TABLES, Layout, lay_out
from .target import COPYING, FOLLOWING, GIVEN_UP, Known, Progress, Target
from .telling import Report

FEW = 2_000
"""Notes that are worked off in about half a second: the last round may begin."""
MOST_ROUNDS = 20
"""The service writes faster than we: the last round is what it is then."""
_LAST_SEQUENCE = "SELECT max(seq) FROM sqlite_sequence WHERE name IN ('event', 'chunk_result')"


class Mark(Protocol):
    """Says that the source was left, or is about to be."""

    def __call__(self, *, done: bool) -> object: ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a move ended. `rows` by table."""

    rows: dict[str, int]
    changes: int
    rounds: int


class Move:
    """From an embedded store into a database. In order: `begin`, `copy`, `follow` as long as the service runs, `finish`
    when it does no more. Each raises `StoreError`; after whichever was interrupted, all of it may be run again."""

    def __init__(self, source: Source, target: Target, report: Report) -> None:
        self._source, self._target, self._report = source, target, report
        self._layouts: list[Layout] = []
        self._progress = Progress()
        self._state = COPYING

    def __repr__(self) -> str:
        return f"Move({self._source!r}, {self._target!r}, {self._state})"

    async def begin(self, ident: bytes, origin: str, now: int) -> bool:
        """Takes the target and begins to note what changes, or finds that this was done. False when the move is over:
        a former run was interrupted after its last transaction."""
        self._source.require_current()
        own, known = self._source.move(), await self._target.known()
        if known is not None and known.id != own:
            raise _foreign(known, self._target.place, own is not None)
        if own is not None:
            self._source.require_noted()
        else:
            await self._target_is_ours_to_take(ident, origin, now)
            return True
        if known is None:  # interrupted before it took the target
            await self._target.claim(own, origin, now)
            known = await self._target.known()
        if known is None or known.state == GIVEN_UP:
            raise MoveRefused(_given_up(self._target.place))
        self._state, self._progress = known.state, known.progress
        await self._lay_out()
        return known.state != DONE

    async def _target_is_ours_to_take(self, ident: bytes, origin: str, now: int) -> None:
        """The notes first: a target that is taken has a source that knows of it."""
        await self._source.install(ident)
        try:
            await self._target.claim(ident, origin, now)
        except BaseException:
            await self._source.remove()
            raise
        await self._lay_out()

    async def _lay_out(self) -> None:
        self._layouts = [
            lay_out(table, n, self._source.columns(table), await self._target.columns(table), self._target.place)
            for n, table in enumerate(TABLES)
        ]

    # --- beside the service

    async def copy(self) -> None:
        """Copies what is there and what changes meanwhile, until little is left, and compares it."""
        if self._state == COPYING:
            await copy(self._source, self._target, self._layouts, self._progress, self._report)
            self._report("phase", phase="changes")
            await self.follow()  # from here on the target is one moment of the source
            await self._target.keep(self._progress, FOLLOWING)
            self._state = FOLLOWING
        self._report("phase", phase="indexes")
        try:
            await self._target.complete_schema()
        except ERRORS as error:
            raise indexes_refused(error, self._target.place) from error
        await self.catch_up()
        self._report("phase", phase="compare")
        for layout in self._layouts:  # one after another: a moment that is held for long lets the source's log grow
            if layout.table.name not in self._progress.compared:
                await self.follow(compared=layout)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Rounds, until few changes are left."""
        for _ in range(MOST_ROUNDS):
            if self._source.waiting() < FEW:
                return
            await self.follow()

    async def follow(self, *, compared: Layout | None = None) -> Round:
        """Brings the target to a later moment, and compares all rows of a table then."""
        begun = time.monotonic()
        async with self._source.snapshot() as snapshot:
            async with self._target.connection.transaction():
                done = await work_off(snapshot, self._target, self._layouts)
                self._progress.rounds += 1
                await self._target.keep(self._progress)
            if compared is not None:
                sums = await compare(snapshot, self._target, compared)
                self._progress.compared.append(compared.table.name)
                await self._target.keep(self._progress)
                self._report("compared", table=compared.table.name, rows=sums.rows)
            top = snapshot.top
        await self._source.forget(top)
        if done.changes:
            seconds = round(time.monotonic() - begun, 2)
            self._report("round", number=self._progress.rounds, changes=done.changes, seconds=seconds)
        return done

    # --- the end

    async def finish(self, key: bytes, now: int, mark: Mark, *, whole: bool = False) -> Outcome:
        """The last round, for who has the data directory and knows that no service runs. `key` is the id of the master
        key. `mark` says beside the source that it must not be served any more: before the target is committed, and when
        it is (`done`)."""
        async with self._source.last(now) as snapshot:
            mark(done=False)
            async with self._target.connection.transaction():
                done = await work_off(snapshot, self._target, self._layouts)
                self._progress.rounds += 1
                counts = await compare_counts(snapshot, self._target, self._layouts)
                for layout in self._layouts if whole else ():
                    await compare(snapshot, self._target, layout)
                try:
                    await self._target.finish(key, await _depths(snapshot), await _sequence(snapshot), self._progress)
                except asyncpg.IntegrityConstraintViolationError as error:
                    raise indexes_refused(error, self._target.place) from error
            mark(done=True)
            self._source.leave()
        return Outcome(rows=counts, changes=done.changes, rounds=self._progress.rounds)

    async def clean(self) -> None:
        """After a run that was interrupted behind its last transaction."""
        await self._source.remove()


async def _depths(snapshot: Snapshot) -> list[Any]:
    found = snapshot.all("SELECT account_id, waiting, ended FROM queue_depth")
    return [tuple(row) for row in await found]


async def _sequence(snapshot: Snapshot) -> int:
    return int(await snapshot.one(_LAST_SEQUENCE) or 0)


async def give_up(source: Source, target: Target | None, ident: bytes) -> None:
    """Takes the notes away. `target`, finished or not, is no longer one to work on; it is refused when services do, or
    when it is not this move's."""
    if target is not None:
        known = await target.known()
        if known is not None and known.id != ident:
            raise MoveRefused(f"{target.place} is not where this instance was moved to: it is from {known.origin}")
        if known is not None:
            await target.require_no_nodes()
            await target.give_up()
    await source.remove()


def _foreign(known: Known, place: str, moving: bool) -> MoveRefused:
    if known.state == DONE:
        return MoveRefused(f"{place} holds another instance's data, moved there from {known.origin}: give --to another")
    began = "this instance is being moved, but not to there; " if moving else ""
    return MoveRefused(f"{began}{_given_up(place)} (it is from {known.origin})")


def _given_up(place: str) -> str:
    return (
        f"{place} holds a part of a move that was given up or is another's: make the database anew (DROP DATABASE,"
        " CREATE DATABASE), or give --to another"
    )
