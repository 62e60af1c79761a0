"""Jobs in transactions.

Each writing job sees the database as if it were alone, as with the embedded store's one writer: of those that would
have seen half of each other one is run again (`isolation.py` says how). A reading job of one statement needs no
transaction; one of several gets a snapshot for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from ...measures import Durations, StoreStats
from ...pacing import pause
from ...ports import Clock
from ..errors import StoreClosed, StoreUnavailable
from .catalogue import Values
from .errors import AGAIN, as_store_error, is_lost, is_of_database
from .facade import Job, run_job
from .isolation import READ_COMMITTED as READ_COMMITTED
from .isolation import SERIALIZABLE, SNAPSHOT, code_of, isolation_of
from .link import Link
from .pool import Pool

T = TypeVar("T")
Body = Callable[[Link], Awaitable[T]]

ATTEMPTS = 10
"""How often a transaction is begun that others get in the way of."""
PAUSE_SECONDS = 0.002
"""Before the third attempt; twice as long before each further one, less up to a half by chance."""
MAX_PAUSE_SECONDS = 0.25
TURN = "; LOCK TABLE heliogram_schema IN SHARE UPDATE EXCLUSIVE MODE"
"""What is begun again goes one after another, of all nodes together: of 64 devices of one user that were registered at
once at two nodes one failed at its tenth attempt otherwise. A table's lock, not an advisory one: it is taken before the
transaction sees anything, ends with it, and holds up nobody who does not ask for it."""


class _NeedsSnapshot(BaseException):
    """A reading job that was thought to make one statement makes another."""


class _One:
    """Runs the only statement of a reading job."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._used = False
        self.changed = 0

    async def execute(self, statement: str, values: Values) -> Sequence[Any]:
        if self._used:
            raise _NeedsSnapshot
        self._used = True
        return await self._link.execute(statement, values)


class Jobs:
    """Runs jobs on a pool's connections, and again where others got in their way.

    Every method raises what the job raises, and `StoreError` for what is wrong with the database.
    """

    def __init__(self, pool: Pool, place: str, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        self._pool = pool
        self._place = place
        self._clock = clock
        self._chance = chance
        self._writing: set[asyncio.Task[Any]] = set()
        self._reading = 0
        self._idle: asyncio.Future[None] | None = None
        self._closed = False
        self._alone = asyncio.Lock()
        self._again = asyncio.Lock()
        self._isolation: dict[Any, str | None] = {}
        self._several: set[Any] = set()
        self.done = 0
        self.again = 0
        self.failed = 0
        self.times = Durations()
        """Of what writes, from asking for a connection to COMMIT."""

    def __repr__(self) -> str:
        return (
            f"Jobs(writing={len(self._writing)}, reading={self._reading}, done={self.done}, again={self.again},"
            f" pool={self._pool!r})"
        )

    def stats(self) -> StoreStats:
        """How it is just now."""
        pool = self._pool
        return StoreStats(
            commits=self.times,
            waiting=pool.waiting,
            failed=self.failed,
            repeated=self.again,
            pool_size=pool.size,
            pool_busy=pool.busy,
        )

    async def write(self, job: Job[T]) -> T:
        """What a job returns, after COMMIT. Once begun it goes on when nobody waits for it any more."""
        code = code_of(job)
        if code not in self._isolation:
            self._isolation[code] = isolation_of(code)
        return await self.transact(functools.partial(run_job, job), self._isolation[code])

    async def transact(self, body: Body[T], begin: str | None = READ_COMMITTED) -> T:
        """What `body` returns for a connection in a transaction, after COMMIT; it may be run more than once. Without
        `begin` each of its statements is a transaction, and may be run again though it was committed."""
        self._check_open()
        task = asyncio.get_running_loop().create_task(self._measured(body, begin))
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    async def read(self, job: Job[T]) -> T:
        """What a job returns that writes nothing: all its statements see one moment."""
        kind = code_of(job)
        if kind not in self._several:
            try:
                return await self.look(lambda link: run_job(job, _One(link)))
            except _NeedsSnapshot:
                self._several.add(kind)
        return await self.look(functools.partial(run_job, job), SNAPSHOT)

    async def look(self, body: Body[T], begin: str | None = None) -> T:
        """What `body` returns that writes nothing; without `begin` each of its statements sees a moment of its own."""
        self._check_open()
        self._reading += 1
        try:
            return await self._until_done(body, begin)
        finally:
            self._reading -= 1
            self._rest()

    async def close(self) -> None:
        """Finishes what was begun, then closes the connections. May be called more than once."""
        self._closed = True
        if self._writing or self._reading:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)
        await self._pool.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        self._rest()

    def _rest(self) -> None:
        if self._idle is not None and not self._idle.done() and not self._writing and not self._reading:
            self._idle.set_result(None)

    # --- attempts

    async def _measured(self, body: Body[T], begin: str | None) -> T:
        started = time.perf_counter()
        result = await self._until_done(body, begin)
        self.times.add(time.perf_counter() - started)
        return result

    async def _until_done(self, body: Body[T], begin: str | None) -> T:
        if begin is not SERIALIZABLE:
            return await self._attempts(body, begin)
        async with self._alone:
            return await self._attempts(body, begin)

    async def _attempts(self, body: Body[T], begin: str | None) -> T:
        try:
            return await self._first(body, begin)
        except Exception as error:
            if not isinstance(error, AGAIN):
                raise self._explained(error) from error
        # Of one process, those that got in each other's way go one after another before they have connections.
        async with contextlib.nullcontext() if begin is SERIALIZABLE else self._again:
            for attempt in range(2, ATTEMPTS + 1):
                self.again += 1
                if attempt > 2:
                    await self._pause(attempt)
                try:
                    return await self._once(body, begin if begin is None else begin + TURN)
                except Exception as error:
                    if attempt == ATTEMPTS or not isinstance(error, AGAIN):
                        raise self._explained(error) from error
        raise AssertionError("every attempt returns or raises")

    async def _first(self, body: Body[T], begin: str | None) -> T:
        try:
            return await self._once(body, begin)
        except Exception as error:
            if not is_lost(error):
                raise
        # The server was restarted, or something between has forgotten the connection: a new one tells.
        self.again += 1
        self._pool.renew()
        return await self._once(body, begin)

    async def _once(self, body: Body[T], begin: str | None) -> T:
        """One attempt. A connection on which it did not end properly is not used again."""
        link = await self._pool.take()
        sound = False
        try:
            await link.refresh()
            if begin is not None:
                await link.command(begin)
            try:
                result = await body(link)
            except (Exception, _NeedsSnapshot) as error:
                sound = not is_of_database(error) or _is_answer(error)
                if sound and begin is not None:
                    sound = await _roll_back(link)
                raise
            if begin is not None:
                await self._commit(link)
            sound = True
        finally:
            self._pool.give(link, sound=sound)
        self.done += 1
        return result

    async def _commit(self, link: Link) -> None:
        try:
            await link.command("COMMIT")
        except Exception as error:
            if _is_answer(error):
                raise
            raise StoreUnavailable(
                f"the connection to {self._place} was lost in the middle of COMMIT: whether it was written is not"
                " known; look before you do it again, or use an idempotency key"
            ) from error

    async def _pause(self, attempt: int) -> None:
        longest = min(PAUSE_SECONDS * 2.0 ** (attempt - 3), MAX_PAUSE_SECONDS)
        await pause(self._clock, longest * (1 - self._chance() / 2))

    def _explained(self, error: Exception) -> Exception:
        if not is_of_database(error):
            return error
        self.failed += 1
        return as_store_error(error, self._place)


def _is_answer(error: BaseException) -> bool:
    """Whether the server itself said so, or was not even asked, and can be asked further."""
    unsent = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    return unsent or (isinstance(error, asyncpg.PostgresError) and not is_lost(error))


async def _roll_back(link: Link) -> bool:
    try:
        await link.command("ROLLBACK")
    except Exception as error:
        if not is_of_database(error):
            raise
        return False
    return True
