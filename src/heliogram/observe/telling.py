"""What a node that sends tells the others of the last minutes, of accounts that somebody looks at.

Nothing is told of an account that nobody looks at: what a node saw of it waits in its memory, as long as it would be
shown. So looking costs each sending node a small row a second, and not looking costs one question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
import structlog

from ..domain.errors import Unavailable
from ..domain.operations import Counts
from ..pacing import first_of, pause
from ..ports import ActivityStore, Clock
from .activity import Activity
from .recent import Recent
from .tally import Ended

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often a node asks what is wanted, and tells it."""
PRESENT_SECONDS = 60.0
"""A node with nothing to tell says so after this time: it is one of those whose pushes are shown."""
FORGET_SECONDS = 30.0


class ToldSecond(msgspec.Struct, frozen=True, array_like=True):
    """A part of what happened within the second `at`: how recipients ended, how long APNs took (in cells, so that parts
    of several nodes add up), and why attempts failed."""

    at: int
    counts: Counts
    answers: dict[int, int]
    reasons: dict[str, int]


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a node saw since it told last. An outcome goes with its place among all of them, from 1."""

    seconds: list[ToldSecond]
    outcomes: list[tuple[int, Ended]]


class _Piece(msgspec.Struct, frozen=True):
    number: int
    outcomes: int
    body: bytes


def body_of(recent: Recent) -> bytes:
    """What was seen, as it is told."""
    seconds = [ToldSecond(each.at, each.counts, dict(each.answers), dict(each.reasons)) for each in recent.seconds]
    outcomes = [(sequence, ended) for sequence, _, ended in recent.outcomes]
    return msgspec.msgpack.encode(Told(seconds, outcomes))


class Telling:
    """Asks every second what is wanted, and tells it. What could not be told is told again, as it was: whoever lost the
    answer to COMMIT does not know whether it was heard."""

    def __init__(self, store: ActivityStore, activity: Activity, clock: Clock, ident: bytes) -> None:
        self._store, self._activity, self._clock = store, activity, clock
        self._node, self._name = ident, activity.node
        self._unheard: dict[bytes, _Piece] = {}
        self._wanted: dict[bytes, float] = {}
        self._numbers = 0
        self._forget_at = 0.0
        self._poked, self._stopping = asyncio.Event(), asyncio.Event()
        self.told = 0

    def __repr__(self) -> str:
        return f"Telling(wanted={len(self._wanted)}, unheard={len(self._unheard)}, told={self.told})"

    def poke(self) -> None:
        """Somebody on this node has begun to look at an account: asks at once."""
        self._poked.set()

    def stop(self) -> None:
        """`run` tells what is left, and returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`."""
        away = False
        while True:
            last = self._stopping.is_set()
            self._poked.clear()
            try:
                await self.tell()
                away = False
            except Unavailable as error:
                (log.debug if away else log.warning)("activity.not_told", error=str(error))
                away = True
            except Exception:  # it is only shown: no node shall end for it
                log.exception("activity.telling_failed")
            if last:
                return
            await first_of(pause(self._clock, LOOK_SECONDS), self._poked.wait(), self._stopping.wait())

    async def tell(self) -> None:
        """Once. Raises `StoreError`."""
        wanted = await self._store.wanted_activity()
        self._let_go(wanted)
        for account in wanted:
            piece = self._unheard.get(account) or self._next(account)
            if piece is None:
                continue
            self._unheard[account] = piece
            heard = await self._store.tell_activity(
                account, self._node, piece.number, self._name, piece.outcomes, piece.body
            )
            if heard:
                del self._unheard[account]
                self._wanted[account] = self._clock.monotonic()
                self.told += 1
        if wanted and self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + FORGET_SECONDS
            await self._store.forget_activity()

    def _let_go(self, wanted: Iterable[bytes]) -> None:
        """Whoever is wanted again hears at once that this node is there."""
        for account in self._wanted.keys() - set(wanted):
            del self._wanted[account]

    def _next(self, account: bytes) -> _Piece | None:
        recent = self._activity.take(account)
        if recent is None or not (recent.seconds or recent.last):
            told = self._wanted.get(account)
            if told is not None and self._clock.monotonic() < told + PRESENT_SECONDS:
                return None
            recent = Recent()
        self._numbers += 1
        return _Piece(self._numbers, recent.last, body_of(recent))
