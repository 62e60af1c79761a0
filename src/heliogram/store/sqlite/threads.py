"""The threads that own the connections.

The writer runs every job that queued up while its last commit ran in one transaction, a savepoint each, so that a
failing job rolls back alone and the price of the disk's flush is shared. There is no timer: a job that comes to an
idle writer is committed at once. Futures are resolved after COMMIT, a whole group in one call into the loop.

Long jobs, such as a campaign of 10,000 or a slice of what is removed, have transactions of their own, between those of
the others: whoever else waits, waits for one of them at most.

What the disk or the file has against a group may be one job's alone: a large one on a disk that is nearly full, one
that reads a damaged page. Its jobs are then run again, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from ...measures import Durations
from ..errors import StoreClosed, StoreDamaged, StoreError, StoreFull
from .connection import as_store_error, is_trouble
from .trouble import Place, Trouble

T = TypeVar("T")
Job = Callable[[apsw.Connection], T]

MAX_GROUP = 256
"""The most jobs of one transaction: bounds how long the first of them waits."""
_OF_ONE = (StoreFull, StoreDamaged)
"""What may be wrong with one job of a group alone."""


class _Half(Exception):
    """A bare job failed after it had written something, which only the end of its transaction undoes."""


class _Task:
    """A job, the future that waits for it, and how it ended."""

    __slots__ = ("bare", "error", "future", "job", "long", "result", "undone")

    def __init__(
        self, future: asyncio.Future[Any], job: Job[Any], long: bool, bare: bool, undone: Callable[[], object] | None
    ) -> None:
        self.future = future
        self.job = job
        self.long = long
        self.bare = bare
        self.undone = undone
        self.result: Any = None
        self.error: BaseException | None = None


def _resolve(tasks: list[_Task]) -> None:
    for task in tasks:
        if task.future.done():  # whoever waited was cancelled
            continue
        if task.error is None:
            task.future.set_result(task.result)
        else:
            task.future.set_exception(task.error)


class DatabaseThread:
    """One thread with one connection, working off jobs in order. `begin` opens the transaction of a group. With
    `gather` jobs are handed over at the next pass of the event loop, all that came by then together: for one whose jobs
    are so short that to wake it for each costs more than they do. `committed` is called, in this thread, after each
    COMMIT and before anybody is told of it."""

    def __init__(
        self,
        name: str,
        path: Path,
        connection: apsw.Connection,
        *,
        begin: str,
        savepoints: bool,
        place: Place | None = None,
        gather: bool = False,
        committed: Callable[[], object] | None = None,
    ) -> None:
        self._name = name
        self._path = path
        self._connection = connection
        self._begin = begin
        self._savepoints = savepoints
        self._place = place
        self._committed = committed
        self._gathered: list[_Task] | None = [] if gather else None
        self._trouble = Trouble(name)
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._long: deque[_Task] = deque()
        self._closed = False
        self._ended = self._loop.create_future()
        self.groups = 0
        self.done = 0
        self.failed = 0
        self.times = Durations()
        """Of groups, from BEGIN to COMMIT."""
        self._thread = threading.Thread(target=self._work, name=f"heliogram-{name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return self._jobs.qsize() + len(self._long)

    def __repr__(self) -> str:
        return f"DatabaseThread({self._name}, waiting={self.waiting}, done={self.done}, groups={self.groups})"

    async def run(
        self, job: Job[T], *, long: bool = False, bare: bool = False, undone: Callable[[], object] | None = None
    ) -> T:
        """What `job` returns for the connection, after COMMIT. Raises what the job raised, or `StoreError`. Between two
        `long` ones everything else that waits is done. A `bare` one has no savepoint, which costs a third of what small
        jobs do: for those that fail before they write, if at all. One that fails later has its group run again.
        `undone` is called, in this thread, after each transaction with the job that was not committed."""
        if self._closed:
            raise StoreClosed("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        task = _Task(future, job, long, bare, undone)
        if self._gathered is None:
            self._jobs.put(task)
        else:
            self._gathered.append(task)
            if len(self._gathered) == 1:
                self._loop.call_soon(self._hand_over)
        return await future

    def _hand_over(self) -> None:
        for task in self._gathered or ():
            self._jobs.put(task)
        if self._gathered:
            self._gathered.clear()

    async def close(self) -> None:
        """Finishes the jobs that were put, then closes the connection."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._jobs.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _work(self) -> None:
        going = True
        while going or self._long:
            group: list[_Task] = []
            if going:
                group, going = self._take()
            for some in (group, [self._long.popleft()] if self._long else []):
                if some:
                    self._run_group(some)
                    self._tell(_resolve, some)
        self._connection.close()
        self._tell(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._closed = True

    def _take(self) -> tuple[list[_Task], bool]:
        """Waits for a job, unless a long one is put aside, and takes what else is there; False with it once the queue
        is closed."""
        group: list[_Task] = []
        while len(group) < MAX_GROUP:
            try:
                task = self._jobs.get(block=not group and not self._long)
            except queue.Empty:
                break
            if task is None:
                return group, False
            (self._long if task.long else group).append(task)
        return group, True

    def _run_group(self, group: list[_Task]) -> None:
        error = self._attempt_safely(group)
        if error is None or (len(group) > 1 and isinstance(error, _OF_ONE)):
            for task in group if error is not None else ():
                alone = self._attempt_safely([task])
                if alone is not None:
                    self._fail([task], alone)
        else:
            self._fail(group, error)
        self.groups += 1
        self.done += len(group)

    def _attempt_safely(self, group: list[_Task]) -> BaseException | None:
        """As `_attempt`, and again with savepoints where a bare job turns out to have needed one."""
        error = self._attempt(group)
        if isinstance(error, _Half):
            for task in group:
                task.bare = False
            error = self._attempt(group)
        return error

    def _attempt(self, group: list[_Task]) -> BaseException | None:
        """Runs jobs in one transaction; what failed them all, after which nothing of them was written."""
        connection = self._connection
        began = time.perf_counter()
        try:
            if self._place is not None:
                self._place.check()
            if connection.in_transaction:  # what could not be rolled back when it failed must not stay for ever
                connection.execute("ROLLBACK")
            connection.execute(self._begin)
            for task in group:
                self._run_one(connection, task)
            connection.execute("COMMIT")
            if self._committed is not None:
                self._committed()
        except BaseException as error:
            explained = self._explained(error)  # before the rollback: it may have errors of its own
            with contextlib.suppress(apsw.Error):  # what failed before says more
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            for task in group:
                if task.undone is not None:
                    task.undone()
            return explained
        self._trouble.well()
        self.times.add(time.perf_counter() - began)
        return None

    def _run_one(self, connection: apsw.Connection, task: _Task) -> None:
        task.error = None  # of an attempt before
        if not self._savepoints:
            try:
                task.result = task.job(connection)
            except Exception as error:
                if is_trouble(error):
                    raise
                task.error = self._explained(error)
            return
        written = connection.total_changes()
        if not task.bare:
            connection.execute("SAVEPOINT job")
        try:
            task.result = task.job(connection)
        except Exception as error:
            if is_trouble(error) or not connection.in_transaction:
                raise
            if not task.bare:
                connection.execute("ROLLBACK TO job")
            elif connection.total_changes() != written:
                raise _Half from error
            task.error = self._explained(error)
        if not task.bare:
            connection.execute("RELEASE job")

    def _fail(self, group: list[_Task], error: BaseException) -> None:
        """Nothing of the group was written: every job of it ends with the error."""
        self.failed += len(group)
        if isinstance(error, StoreError):
            self._trouble.meet(error)
        for task in group:
            task.result, task.error = None, error

    def _explained(self, error: BaseException) -> BaseException:
        """SQLite's own errors as `StoreError`, all others as they are; text that is no UTF-8 was not written by us."""
        if isinstance(error, UnicodeDecodeError):
            error = apsw.CorruptError(f"text is no UTF-8: {error.reason}")
        if not isinstance(error, apsw.Error):
            return error
        explained = as_store_error(error, self._path, self._connection.system_errno)
        explained.__cause__ = error
        return explained


def writer(path: Path, connection: apsw.Connection, *, committed: Callable[[], object] | None = None) -> DatabaseThread:
    """The one thread of this process that writes."""
    return DatabaseThread(
        "writer", path, connection, begin="BEGIN IMMEDIATE", savepoints=True, place=Place(path), committed=committed
    )


def reader(name: str, path: Path, connection: apsw.Connection, *, gather: bool = False) -> DatabaseThread:
    """A thread that reads; each group sees one snapshot, taken after its jobs were put."""
    return DatabaseThread(name, path, connection, begin="BEGIN", savepoints=False, gather=gather)
