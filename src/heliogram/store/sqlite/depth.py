"""How full the queue is: who may still come in, and when to come again. The counters are the database's own, kept by
triggers in the transaction of whatever changes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw
import structlog

from ...domain.backlog import QueueBounds, QueueFull, retry_after, share_of
from ...domain.operations import Lane, Operation
from ...ports import Clock
from . import statements

_sql = statements.load("depth")

log = structlog.get_logger(__name__)

EVERYBODY = b""
"""The account of the counter over all accounts."""
RATE_SECONDS = 10.0
"""The rate of ending is measured over the last one to two of these."""
LEFT_SHARE = 10
"""A bound is left again when one part in so many of it is free."""


class _Sample(NamedTuple):
    """How many had ended by a moment."""

    at: float
    ended: int


class _Rate:
    """How fast a counter grows, from two moments of the last twenty seconds."""

    __slots__ = ("_newer", "_older")

    def __init__(self, sample: _Sample) -> None:
        self._older = self._newer = sample

    def note(self, sample: _Sample) -> float | None:
        """The rate a second up to this moment; None while too little is known."""
        if sample.at - self._newer.at >= RATE_SECONDS:
            recent = sample.at - self._newer.at < 2 * RATE_SECONDS
            self._older, self._newer = (self._newer, sample) if recent else (sample, sample)
        seconds = sample.at - self._older.at
        ended = sample.ended - self._older.ended
        return ended / seconds if seconds >= 1.0 and ended >= 0 else None


class Doorkeeper:
    """Lets sends into the queue, or not. Belongs to the writer's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rates: dict[bytes, _Rate] = {}
        self._full: set[tuple[bytes, Lane]] = set()
        self._waiting = 0

    def __repr__(self) -> str:
        return f"Doorkeeper(waiting={self._waiting}, full={len(self._full)})"

    def admit(self, connection: apsw.Connection, operation: Operation, bounds: QueueBounds) -> None:
        """Raises `QueueFull` when the operation would pass a bound. What is admitted is counted by its chunks."""
        account, lane = operation.account_id, operation.lane
        rows: Any = connection.execute(_sql.depths, {"account": account}).fetchall()
        now = self._clock.monotonic()
        for ident, waiting, ended in rows:  # all accounts together come first
            whole = ident == EVERYBODY
            bound = bounds.total if whole else bounds.account
            rate = self._rate(ident, _Sample(now, ended))
            most = share_of(bound, lane)
            if whole:
                self._waiting = waiting
            if waiting + operation.recipients > most:
                self._tell_full(ident, lane, bound, waiting)
                seconds = retry_after(waiting + operation.recipients - most, rate)
                raise QueueFull(bound=bound, lane=lane, account=not whole, retry_after=seconds)
            if self._full and (ident, lane) in self._full and waiting <= most - most // LEFT_SHARE:
                self._full.discard((ident, lane))
                log.info("queue.room_again", account=ident.hex(), lane=lane.name, waiting=waiting, bound=bound)

    def _rate(self, ident: bytes, sample: _Sample) -> float | None:
        known = self._rates.get(ident)
        if known is None:
            known = self._rates[ident] = _Rate(sample)
        return known.note(sample)

    def _tell_full(self, ident: bytes, lane: Lane, bound: int, waiting: int) -> None:
        """Once, until there is room again: not for every send that is refused."""
        if (ident, lane) not in self._full:
            self._full.add((ident, lane))
            log.warning("queue.full", account=ident.hex(), lane=lane.name, waiting=waiting, bound=bound)


def recount(connection: apsw.Connection) -> None:
    """Counts what waits anew, from the chunks themselves."""
    connection.execute(_sql.recount)
    connection.execute(_sql.recount_all)
