"""The connections of one credential to one endpoint, and the queue in front of them."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable

from .clock import Clock, Timer
from .connect import Connect, within
from .connection import Connection
from .deadlines import Deadlines
from .environment import Endpoint
from .job import DONE, WRITTEN, Job, not_sent
from .outcomes import Outcome
from .providertoken import TokenSource
from .tuning import Tuning

CLOSED = "the client was closed"


class Pool:
    """Opens connections lazily, one at a time, up to `max_connections`; spreads the queue over them.

    Provably unprocessed pushes go back to the front of the queue without counting as a retry
    (decisions: until their own deadline). A connection that leaves does not count against the limit.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        context: ssl.SSLContext,
        tokens: TokenSource | None,
        *,
        clock: Clock,
        rng: random.Random,
        connect: Connect,
        tuning: Tuning,
        max_connections: int,
        connect_attempts: int,
        connection: type[Connection] = Connection,
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._tokens = tokens
        self._clock = clock
        self._random = rng
        self._connect = connect
        self._tuning = tuning
        self._most = max_connections
        self._attempts = connect_attempts
        self._connection = connection
        self._waiting: deque[Job] = deque()
        self._picky: deque[Job] = deque()  # wait for a connection opened after their rejection
        self._live: list[Connection] = []
        self._leaving: set[Connection] = set()
        self._serial = 0
        self._dialing: asyncio.Task[None] | None = None
        self._failures = 0
        self._pause: Timer | None = None
        self._patience: Timer | None = None
        self._scheduled = False
        self._ending = False
        self._closed = False
        self._changed: asyncio.Future[None] | None = None
        self.deadlines = Deadlines(clock, self._expire)

    def __repr__(self) -> str:
        return (
            f"<Pool {self._endpoint.authority}: {len(self._live)} of {self._most} connections, "
            f"{len(self._leaving)} leaving, {self.inflight} in flight, {self.waiting} waiting>"
        )

    # ---- questions

    @property
    def waiting(self) -> int:
        """Pushes in the queue."""
        return len(self._waiting) + len(self._picky)

    @property
    def inflight(self) -> int:
        """Pushes written and not answered."""
        return sum(one.inflight for one in self._live) + sum(one.inflight for one in self._leaving)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that take pushes, oldest first."""
        return tuple(self._live)

    # ---- the queue

    def add(self, jobs: Iterable[Job]) -> None:
        """Queue pushes; they are written in this pass of the event loop if there is room."""
        if self._ending:
            for job in jobs:
                not_sent(job, CLOSED)
            return
        self._waiting.extend(jobs)
        self.progress()

    def withdraw(self, sink: Callable[[Outcome], object]) -> None:
        """Forget the queued pushes of this very sink: nobody waits for them. Those on the wire go on."""
        for job in (*self._picky, *self._waiting):
            if job.sink is sink:
                job.state = DONE

    def _expire(self, job: Job) -> None:
        if job.state == WRITTEN and job.connection is not None:
            connection: Connection = job.connection
            connection.expire(job, "no answer before the push's deadline")
        else:
            not_sent(job, f"not sent before the push's deadline{self._why()}")
            _shed(self._waiting)
            _shed(self._picky)
        self.progress()

    def _why(self) -> str:
        if not self._live:
            return f": no connection to {self._endpoint.authority}"
        return ": every stream was taken" if self._live[0].is_proven else ": the connection's first push is unanswered"

    # ---- one turn

    def progress(self) -> None:
        """Take a turn at the end of this pass of the event loop: one submit and one write per connection."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        _shed(self._waiting)
        _shed(self._picky)
        now = self._clock.monotonic()
        live = self._live
        if len(live) > 1:
            live = sorted(live, key=_load)
        for connection in live[:]:
            if self._picky:
                self._fill_picky(connection, now)
            connection.fill(self._waiting, now)
        self._grow()
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _fill_picky(self, connection: Connection, now: float) -> None:
        fit = deque(job for job in self._picky if job.above < connection.serial)
        if fit:
            rest = [job for job in self._picky if job.above >= connection.serial]
            connection.fill(fit, now)
            self._picky = deque((*fit, *rest))

    def _grow(self, *, impatient: bool = False) -> None:
        if self._dialing is not None or self._pause is not None or self._closed:
            return
        _shed(self._waiting)
        if self._picky and all(one.serial <= self._picky[0].above for one in self._live):
            self._dial()
        elif self._waiting and len(self._live) < self._most and not any(one.room for one in self._live):
            if impatient or all(one.is_proven for one in self._live):
                self._dial()
            elif self._patience is None:
                self._patience = self._clock.call_later(self._tuning.patience, self._impatient)

    def _impatient(self) -> None:
        self._patience = None
        self._grow(impatient=True)

    # ---- opening connections

    def _dial(self) -> None:
        self._dialing = asyncio.get_running_loop().create_task(self._open(), name="heliogram-apns-connect")

    async def _open(self) -> None:
        self._serial += 1
        token = None if self._tokens is None else self._tokens.connect()
        authority = self._endpoint.authority.encode("ascii")
        connection = self._connection(self, self._serial, authority, token, self._clock, self._tuning)
        try:
            work = self._connect(lambda: connection, self._endpoint, self._context)
            await within(self._clock, self._tuning.connect_timeout, work)
        except BaseException as error:  # whatever a `Connect` of the application's own may raise
            self._dialing = None
            connection.abort("not connected")
            if not self._closed:
                self._failed(str(error) or type(error).__name__)
            if not isinstance(error, Exception):
                raise
        else:
            self._dialing = None
            self._arrived(connection)
        finally:
            self.progress()

    def _arrived(self, connection: Connection) -> None:
        if not connection.is_leaving and not connection.is_closed:
            self._live.append(connection)
            return
        # The peer said goodbye before this task got to run, or a `Connect` made no connection at all.
        if not connection.is_closed:
            self._leaving.add(connection)
        self._failed(connection.cause)

    def _failed(self, cause: str) -> None:
        self._failures += 1
        if self._failures >= self._attempts and not self._live:
            self._give_up(f"cannot use {self._endpoint.authority}: {cause} ({self._failures} attempts)")
        delay = min(self._tuning.max_back_off, self._tuning.back_off * 2.0 ** min(self._failures - 1, 30))
        if self._pause is not None:
            self._pause.cancel()
        self._pause = self._clock.call_later(delay * (0.5 + self._random.random() / 2), self._resume)

    def _resume(self) -> None:
        self._pause = None
        self.progress()

    def _give_up(self, cause: str) -> None:
        jobs = [*self._picky, *self._waiting]
        self._picky.clear()
        self._waiting.clear()
        for job in jobs:
            if job.state != DONE:
                not_sent(job, cause)

    # ---- what connections report (`Owner`)

    def hand_back(self, jobs: list[Job]) -> None:
        """See `Owner.hand_back`."""
        for job in reversed(jobs):
            (self._picky if job.sent_again else self._waiting).appendleft(job)
        self.progress()

    def proven(self, connection: Connection) -> None:
        """See `Owner.proven`."""
        self._failures = 0

    def leaving(self, connection: Connection, failure: str | None) -> None:
        """See `Owner.leaving`."""
        if connection in self._live:
            self._live.remove(connection)
            self._leaving.add(connection)
            if failure is not None and not self._closed:
                self._failed(failure)
        self.progress()

    def lost(self, connection: Connection) -> None:
        """See `Owner.lost`."""
        self._leaving.discard(connection)
        self.progress()

    # ---- the end

    def reconnect(self) -> None:
        """Replace every connection in peace: for a new topic or a rotated key (TOK-14, TOK-20)."""
        for connection in list(self._live):
            connection.leave("replaced on request")

    async def close(self, drain: float) -> None:
        """Let what is queued and open finish for `drain` seconds; then everything gets its outcome."""
        self._ending = True
        await self._until(lambda: not self.waiting and not self.inflight, drain)
        self._closed = True
        for timer in (self._pause, self._patience):
            if timer is not None:
                timer.cancel()
        if self._dialing is not None:
            self._dialing.cancel()
            await asyncio.wait((self._dialing,))
        self._give_up(CLOSED)
        for connection in (*self._live, *self._leaving):
            if connection.inflight:
                connection.abandon(CLOSED)
            connection.leave(CLOSED)
        await self._until(lambda: not self._live and not self._leaving, drain)
        for connection in (*self._live, *self._leaving):
            connection.abort(CLOSED)
        self.deadlines.close()

    async def _until(self, is_so: Callable[[], bool], limit: float) -> None:
        """Wait until a turn finds it so, at most `limit` seconds."""
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            self.progress()

        timer = self._clock.call_later(limit, expire)
        self.progress()
        while not expired and not is_so():
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        timer.cancel()


def _load(connection: Connection) -> int:
    return connection.inflight


def _shed(queue: deque[Job]) -> None:
    """Drop what has had its outcome from the front."""
    while queue and queue[0].state == DONE:
        queue.popleft()
