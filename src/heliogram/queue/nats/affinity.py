"""Which worker is to have a shard's work: rendezvous hashing that the broker carries out.

Each worker asks for work of every shard, with a priority; the broker serves the best first. The priority is the
worker's place among those that are there, ordered by a hash of worker and shard: so no two have the same, whoever comes
or goes. Workers tell each other that they are there (`Company`). Who has not heard of somebody yet asks with a better
place than it should: then two take turns until it has. That costs connections and nothing else, for whoever is asked
first when the main worker is gone is the same in everybody's order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...ports import Clock, Timer
from .broker import Broker
from .tasks import Tasks

PRIORITIES = 10
"""0 goes first, 9 last."""
BEAT_SECONDS = 5.0
"""How often a worker says that it is there."""
GONE_BEATS = 3
"""After so many that were not heard a worker is gone."""
SETTLE_SECONDS = 10.0
"""So long after somebody came or went there may be requests with places that are no longer true."""
MOST = 10_000
"""More workers than this are not kept in mind."""
_HERE, _GONE = b"+", b"-"


def weight(worker: str, shard: int) -> bytes:
    """Of all workers the one with the most of it is a shard's main one."""
    return hashlib.blake2b(f"{worker}\0{shard}".encode(), digest_size=8).digest()


class Company:
    """The workers that are there, as they tell each other, and this one's place among them."""

    def __init__(self, broker: Broker, worker: str, clock: Clock) -> None:
        self._broker, self._worker, self._clock = broker, worker, clock
        self._heard: dict[str, float] = {}
        self._places: dict[int, int] = {}
        self._changed = self._beaten = clock.monotonic()
        self._subscription: Subscription | None = None
        self._forget_link: Callable[[], None] | None = None
        self._timer: Timer | None = None
        self._tasks = Tasks()
        self._is_there = False

    def __repr__(self) -> str:
        return f"Company({self._worker!r}, others={len(self._heard)})"

    def __len__(self) -> int:
        return len(self._heard) + 1

    def priority(self, shard: int) -> int:
        """What to ask with: how many are before this worker."""
        place = self._places.get(shard)
        if place is None:
            own = weight(self._worker, shard)
            before = sum(weight(other, shard) > own for other in self._heard)
            place = self._places[shard] = min(before, PRIORITIES - 1)
        return place

    @property
    def is_settling(self) -> bool:
        """Whether somebody came or went just now: what is asked with is to count soon, and not for long."""
        return self._clock.monotonic() - self._changed < SETTLE_SECONDS

    async def join(self) -> None:
        """Tells the others, and listens to them. At the second time it does nothing."""
        if self._is_there:
            return
        self._is_there = True
        self._changed = self._beaten = self._clock.monotonic()
        link = self._broker.link
        self._subscription = await link.subscribe(self._broker.layout.worker_subject, self._told)
        self._forget_link = link.on_reconnect(lambda: self._tasks.start(self._say(_HERE)))
        await self._say(_HERE)
        self._timer = self._clock.call_later(BEAT_SECONDS, self._beat)

    async def leave(self) -> None:
        """Tells the others that this worker is gone."""
        if not self._is_there:
            return
        self._is_there = False
        if self._forget_link is not None:
            self._forget_link()
        if self._timer is not None:
            self._timer.cancel()
        if self._subscription is not None:
            await self._broker.link.unsubscribe(self._subscription)
        await self._tasks.finish()
        await self._say(_GONE)

    async def _say(self, what: bytes) -> None:
        await self._broker.link.publish(self._broker.layout.worker_subject, what + self._worker.encode())

    async def _told(self, msg: Msg) -> None:
        """Somebody is there, or is no more. Who is new is answered, for it knows nobody yet."""
        what, name = msg.data[:1], msg.data[1:].decode("utf-8", "replace")
        if name == self._worker:
            return
        is_known = name in self._heard
        if what == _GONE and is_known:
            del self._heard[name]
            self._change()
        elif what == _HERE and (is_known or len(self._heard) < MOST):
            self._heard[name] = self._clock.monotonic()
            if not is_known:
                self._change()
                await self._say(_HERE)

    def _change(self) -> None:
        self._places.clear()
        self._changed = self._clock.monotonic()

    def _beat(self) -> None:
        now, late = self._clock.monotonic(), self._clock.monotonic() - self._beaten >= 2 * BEAT_SECONDS
        self._beaten = now
        self._timer = self._clock.call_later(BEAT_SECONDS, self._beat)
        self._tasks.start(self._say(_HERE))
        gone = [name for name, heard in self._heard.items() if now - heard > GONE_BEATS * BEAT_SECONDS]
        if gone and not late:  # who stood still has not read yet what the others said
            for name in gone:
                del self._heard[name]
            self._change()
