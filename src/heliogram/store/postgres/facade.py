"""Runs the embedded store's jobs, which know nothing of an event loop, on a connection that lives in one.

A job gets a `Facade` in place of an `apsw.Connection`: it has `execute` and `changes`, all that jobs use. The job runs
in a greenlet; `execute` leaves it with the statement, and comes back to it with the rows. So a job is one text for both
databases, and no thread waits for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import Any, Protocol, TypeVar, cast

import apsw
from greenlet import getcurrent, greenlet

from .catalogue import Values

T = TypeVar("T")
Job = Callable[[apsw.Connection], T]


class Rows:
    """What a statement answered, as apsw's cursor shows it."""

    __slots__ = ("_rest", "_rows")

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows
        self._rest = iter(rows)

    def __repr__(self) -> str:
        return f"Rows({len(self._rows)})"

    def __iter__(self) -> Iterator[Any]:
        return self._rest

    def fetchone(self) -> Any:
        """The next row, None after the last."""
        return next(self._rest, None)

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return list(self._rest)

    @property
    def get(self) -> Any:
        """The only value, the only row, or the list of what there is more of; None for nothing."""
        values = [row[0] if len(row) == 1 else row for row in self._rest]
        return None if not values else values[0] if len(values) == 1 else values


class Executor(Protocol):
    """What a job's statements are run by."""

    async def execute(self, statement: str, values: Values) -> Sequence[Any]:
        """The rows that a statement answers."""

    changed: int
    """How many rows the last statement that writes has changed."""


class Facade:
    """Stands in for an `apsw.Connection` inside one job."""

    __slots__ = ("_loop", "_on")

    def __init__(self, on: Executor) -> None:
        self._on = on
        self._loop = getcurrent()

    def __repr__(self) -> str:
        return f"Facade({self._on!r})"

    def execute(self, statement: str, values: Values = ()) -> Rows:
        """Runs a statement; the loop does other work meanwhile."""
        return Rows(self._loop.switch((statement, values)))

    def changes(self) -> int:
        """How many rows the last statement that writes has changed."""
        return self._on.changed


async def run_job(job: Job[T], on: Executor) -> T:
    """What the job returns. Raises what it raises, and what `on` raises for one of its statements."""
    answer: Any = cast("apsw.Connection", Facade(on))
    worker = greenlet(job)
    worker.gr_context = copy_context()
    wanted = worker.switch(answer)
    while not worker.dead:
        try:
            answer = await on.execute(*wanted)
        except BaseException as error:  # the job is told, even that it was canceled: it must end
            wanted = worker.throw(error)
        else:
            wanted = worker.switch(answer)
    return cast("T", wanted)
