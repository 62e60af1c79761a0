"""The connections of one credential to one endpoint, and the queue in front of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection

from .backoff import BackOff
from .causes import CLOSED, NOT_CONNECTED, ON_REQUEST, Cause, CauseKind
from .clock import Clock, Timer
from .connect import Connect
from .connection import Connection
from .deadlines import Deadlines
from .ends import Ends
from .environment import Endpoint
from .fleet import Fleet
from .identity import Identity
from .job import WRITTEN, Job
from .link import Link
from .listener import Listener, Stats
from .opener import Opener
from .outcomes import Outcome
from .reporter import Reporter
from .tuning import Tuning
from .turns import Turns
from .waiting import Waiting

_POUR = 256
"""Queued pushes that are worth a write of their own."""


class Pool:
    """Opens connections lazily, one at a time, up to `max_connections`; spreads the queue over them.

    Provably unprocessed pushes go back to the front of the queue without counting as a retry
    and are sent again until their own deadline. A connection that leaves does not count against the limit.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        *,
        clock: Clock,
        rng: random.Random,
        connect: Connect,
        tuning: Tuning,
        max_connections: int,
        connect_attempts: int,
        connection: type[Connection] = Connection,
        listener: Listener | None = None,
    ) -> None:
        self.reporter = Reporter(endpoint.authority, listener, clock)
        self.ends = Ends(self.reporter.push_ended)
        self.deadlines = Deadlines(clock, self._expire)
        self._endpoint = endpoint
        self._identity = identity
        self._clock = clock
        self._tuning = tuning
        self._most = max_connections
        self._attempts = connect_attempts
        self._connection = connection
        self._queue = Waiting(self.ends)
        self._fleet = Fleet()
        self._serial = 0
        self._opener = Opener(
            endpoint,
            connect,
            clock,
            tuning,
            make=self._new_connection,
            arrived=self._arrived,
            failed=self._not_opened,
            over=self.progress,
        )
        self._back_off = BackOff(clock, rng, tuning, self._resume)
        self._patience: Timer | None = None
        self._refusing: str | None = None  # why what is added ends at once
        self._suspended: str | None = None  # why no connection may be opened
        self._switched = False
        self._ending = False
        self._closed = False
        self._turns = Turns(clock, self._turn)
        identity.report_to(self.reporter)
        self.reporter.attached(self)

    def __repr__(self) -> str:
        return (
            f"<Pool {self._endpoint.authority}: {len(self._fleet.live)} of {self._most} connections, "
            f"{len(self._fleet.leaving)} leaving, {self.inflight} in flight, {self.waiting} waiting>"
        )

    # ---- questions

    @property
    def waiting(self) -> int:
        """Pushes in the queue."""
        return len(self._queue)

    @property
    def inflight(self) -> int:
        """Pushes written and not answered."""
        return self._fleet.inflight

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that take pushes, oldest first."""
        return tuple(self._fleet.live)

    @property
    def is_suspended(self) -> bool:
        """Whether no connection may be opened before the next `switch`."""
        return self._suspended is not None

    def stats(self) -> Stats:
        """How it is at this moment. May be asked in any thread."""
        live = self.connections
        return Stats(
            connections=len(live),
            leaving=len(self._fleet.leaving),
            connecting=self._opener.is_busy,
            failures=self._back_off.failures,
            in_flight=self.inflight,
            waiting=self.waiting,
            stream_limit=sum(one.stream_limit for one in live),
        )

    # ---- the queue

    def add(self, jobs: Collection[Job]) -> None:
        """Queue pushes; they are written in this pass of the event loop if there is room."""
        if self.ends.heed is not None:
            now = self._clock.monotonic()
            for job in jobs:
                job.queued = now
        if self._refusing is not None:
            for job in jobs:
                self.ends.not_sent(job, self._refusing)
            return
        ready = self._queue.ready
        ready.extend(jobs)
        self.progress()
        if len(ready) >= _POUR:
            self.pour()

    def put(self, job: Job) -> None:
        """Queue one push, as `add` does: this runs once per `Client.send`."""
        if self._refusing is not None or self.ends.heed is not None:
            self.add((job,))
            return
        ready = self._queue.ready
        ready.append(job)
        if not self._turns.asked:
            self._turns.ask()
        elif not len(ready) % _POUR:
            self.pour()

    def parts(self) -> tuple[object, ...]:
        """What the twin of `put` works with; these objects stay the same."""
        return self, self._queue.ready, self._turns, self.ends.heed

    def withdraw(self, sink: Callable[[Outcome], object]) -> int:
        """Forget the queued pushes of this very sink, and tell how many. Those on the wire go on."""
        return self._queue.withdraw(sink)

    def _expire(self, job: Job) -> None:
        if job.state == WRITTEN and job.connection is not None:
            connection: Connection = job.connection
            connection.expire(job, "no answer before the push's deadline")
        else:
            self.ends.not_sent(job, f"not sent before the push's deadline{self._why()}")
            self._queue.shed()
        self.progress()

    def _why(self) -> str:
        if self._suspended is not None:
            return f": {self._suspended}"
        live = self._fleet.live
        if not live:
            return f": no connection to {self._endpoint.authority}"
        return ": every stream was taken" if live[0].is_proven else ": the connection's first push is unanswered"

    # ---- one turn

    def progress(self) -> None:
        """Take a turn at the end of this pass of the event loop: one submit and one write per connection."""
        self._turns.ask()

    def pour(self) -> None:
        """Write what is queued now: a peer far away has it sooner than at the end of a long pass."""
        if self._queue.picky:
            return
        now = self._clock.monotonic()
        for connection in self._fleet.by_load():
            connection.fill(self._queue.ready, now)

    def _turn(self) -> None:
        self._queue.shed()
        now = self._clock.monotonic()
        for connection in self._fleet.by_load():
            if self._queue.picky:
                self._queue.fill(connection, now)
            else:
                connection.fill(self._queue.ready, now)
        self._grow()

    def _grow(self, *, impatient: bool = False) -> None:
        if self._opener.is_busy or self._back_off.is_pausing or self._closed or self._suspended is not None:
            return
        queue, live = self._queue, self._fleet.live
        queue.shed()
        if queue.picky and all(one.serial <= queue.picky[0].above for one in live):
            self._dial()
        elif queue.ready and len(live) < self._most and not any(one.room for one in live):
            if impatient or all(one.is_proven for one in live):
                self._dial()
            elif self._patience is None:
                self._patience = self._clock.call_later(self._tuning.patience, self._impatient)

    def _impatient(self) -> None:
        self._patience = None
        self._grow(impatient=True)

    # ---- opening connections

    def _dial(self) -> None:
        fault = self._identity.fault()
        if fault is None:
            self._opener.open(self._identity)
        else:
            self._not_opened(self._identity, Cause(CauseKind.CREDENTIAL, fault))

    def _new_connection(self, identity: Identity) -> Connection:
        self._serial += 1
        authority = self._endpoint.authority.encode("ascii")
        return self._connection(self, self._serial, authority, identity, self._clock, self._tuning)

    def _not_opened(self, identity: Identity, cause: Cause) -> None:
        self.reporter.failed(identity.name, cause)
        self._failed(cause.text, refused=cause.kind is CauseKind.CREDENTIAL)

    def _arrived(self, connection: Connection) -> None:
        if not connection.is_leaving and not connection.is_closed:
            self._fleet.live.append(connection)
        elif not connection.was_opened:  # a `Connect` of the application's own made no connection at all
            self._not_opened(self._identity, NOT_CONNECTED)
        else:
            # The peer said goodbye before the task that opened it got to run.
            if not connection.is_closed:
                self._fleet.leaving.add(connection)
            self._failed(connection.cause.text, refused=connection.is_refused)

    def _failed(self, cause: str, *, refused: bool = False) -> None:
        """An attempt came to nothing; `refused` when the credential is at fault: more attempts would be an attack."""
        self._back_off.failures += 1
        failures = self._back_off.failures
        if not self._fleet.live and (refused or failures >= self._attempts):
            said = f"cannot use {self._endpoint.authority}: {cause}"
            if refused:
                self._refusing = self._refusing or said
            self._queue.give_up(said if refused else f"{said} ({failures} attempts)")
        self._back_off.pause(longest=refused)

    def _resume(self) -> None:
        if not self._ending:
            self._refusing = None
        self.progress()

    # ---- what connections report (`Owner`)

    def hand_back(self, jobs: list[Job]) -> None:
        """See `Owner.hand_back`."""
        self._queue.hand_back(jobs)
        if self._refusing is not None and not self._ending:
            self._queue.give_up(self._refusing)
        elif self._switched:
            self._queue.end(jobs, self._objection)
        self.progress()

    def proven(self, connection: Link) -> None:
        """See `Owner.proven`."""
        self._back_off.failures = 0

    def leaving(self, connection: Link, failure: str | None) -> None:
        """See `Owner.leaving`."""
        if self._fleet.retire(connection) and failure is not None and not self._closed and self._suspended is None:
            self._failed(failure, refused=connection.is_refused)
        self.progress()

    def lost(self, connection: Link) -> None:
        """See `Owner.lost`."""
        self._fleet.leaving.discard(connection)
        self.progress()

    # ---- credentials

    def switch(self, identity: Identity) -> None:
        """Open connections as somebody else from now on; what is open on the old ones may finish."""
        self._identity = identity
        identity.report_to(self.reporter)
        self._suspended = None
        self._back_off.forget()
        self._opener.drop()
        self._switched = True
        self._queue.check(self._objection)
        self.reconnect()
        self.progress()

    def suspend(self, cause: str) -> None:
        """Close every connection at once; open pushes end as unknown, the others wait for `switch`."""
        self._suspended = cause
        self._opener.drop()
        self._fleet.cut(Cause(CauseKind.REVOKED, cause))

    def _objection(self, job: Job) -> str | None:
        """Why the present credential cannot send what was queued under an earlier one."""
        return self._identity.objection(job.template)

    # ---- the end

    def reconnect(self) -> None:
        """Replace every connection in peace: for a new topic or a rotated key (TOK-14, TOK-20)."""
        for connection in list(self._fleet.live):
            connection.leave(ON_REQUEST)

    async def close(self, drain: float) -> None:
        """Let what is queued and open finish for `drain` seconds; then everything gets its outcome."""
        self._ending = True
        self._refusing = CLOSED.text
        if self._suspended is not None:
            self._queue.give_up(self._suspended)
        await self._turns.until(lambda: not self.waiting and not self.inflight, drain)
        self._closed = True
        self._back_off.cancel()
        if self._patience is not None:
            self._patience.cancel()
        dialing = self._opener.drop()
        if dialing is not None:
            await asyncio.wait((dialing,))
        self._queue.give_up(CLOSED.text)
        self._fleet.dismiss(CLOSED)
        await self._turns.until(lambda: not self._fleet.every(), drain)
        for connection in self._fleet.every():
            connection.abort(CLOSED)
        self.deadlines.close()
