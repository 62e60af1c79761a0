"""Who dispatches a shard: whoever has its token, a message that the broker gives to one at a time.

There is no election of ours: a token that nobody says is in progress is given to the next one who asks, ten seconds
later, and at once when it is given back. Each is given back after a minute, so that those who come later get some. Two
may believe for a while that they have one (a consumer was made anew, a process stood still): that is safe, for claims
hand out each chunk once.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...ports import Clock, Timer
from .broker import Broker
from .layout import DISPATCH
from .link import API, STATUS
from .pulls import DOUBT_SECONDS, LATE_SECONDS, PULL_SECONDS
from .tasks import Tasks
from .words import IN_PROGRESS, nak, pull_request

log = structlog.get_logger(__name__)

TURN_S = 60.0


class _Token(msgspec.Struct):
    """One that is held: what to answer to, since when, and when the broker last heard of us (s)."""

    reply: str
    since: float
    confirmed: float


class Tokens:
    """The shards that this process dispatches. `gained` is called with each that comes."""

    def __init__(self, broker: Broker, clock: Clock, gained: Callable[[int], object]) -> None:
        self._broker, self._link, self._layout = broker, broker.link, broker.layout
        self._clock, self._gained = clock, gained
        self._beat_s = broker.layout.token_s / 4
        self._held: dict[int, _Token] = {}
        self._inbox = self._link.new_inbox()
        self._subscription: Subscription | None = None
        self._elections: Subscription | None = None
        self._asked: float | None = None
        """Until when (s) a request waits at the broker."""
        self._in_doubt = False
        """Whether nobody has answered since the connection was lost."""
        self._number = 0
        self._timer: Timer | None = None
        self._forget_link = self._link.on_reconnect(self._reconnected)
        self._tasks = Tasks()
        self._closed = False

    def __repr__(self) -> str:
        return f"Tokens(held={len(self._held)}/{self._layout.shards})"

    def __contains__(self, shard: int) -> bool:
        return shard in self._held

    def __len__(self) -> int:
        return len(self._held)

    async def start(self) -> None:
        """Begins to ask for shards, one at a time: those who begin together get as many each."""
        self._subscription = await self._link.subscribe(f"{self._inbox}.*", self._received)
        elections = self._layout.elected_subject(self._layout.shard_stream, DISPATCH)
        self._elections = await self._link.subscribe(elections, self._elected)
        await self._ask()
        self._timer = self._clock.call_later(self._beat_s, self._tick)

    async def close(self) -> None:
        """Gives all back at once."""
        self._closed = True
        self._forget_link()
        if self._timer is not None:
            self._timer.cancel()
        if self._subscription is not None:
            await self._link.unsubscribe(self._subscription)
        if self._elections is not None:
            await self._link.unsubscribe(self._elections)
        await self._tasks.finish()
        for token in self._held.values():
            await self._link.publish(token.reply, nak())
        self._held.clear()

    async def _ask(self) -> None:
        if self._closed:
            return
        self._number += 1
        seconds, late = (DOUBT_SECONDS, DOUBT_SECONDS) if self._in_doubt else (PULL_SECONDS, LATE_SECONDS)
        self._asked = self._clock.monotonic() + seconds + late
        subject = f"{API}CONSUMER.MSG.NEXT.{self._layout.shard_stream}.{DISPATCH}"
        await self._link.publish(subject, pull_request(1, seconds), reply=f"{self._inbox}.{self._number}")

    async def _received(self, msg: Msg) -> None:
        if msg.headers is not None and STATUS in msg.headers:
            status, text = msg.headers[STATUS], msg.headers.get("Description", "")
            if int(msg.subject.rpartition(".")[2]) != self._number or status == "100":
                return
            self._in_doubt = status == "503"
            if status == "503" or (status == "409" and "Deleted" in text):
                self._tasks.start(self._repair())
            else:
                await self._ask()
            return
        self._in_doubt = False
        shard = int(msg.subject.rpartition(".")[2])
        now = self._clock.monotonic()
        if self._closed or shard >= self._layout.shards:
            await self._link.publish(msg.reply, nak())
            return
        was_held = shard in self._held
        self._held[shard] = _Token(msg.reply, now, now)
        if not was_held:
            self._gained(shard)
        await self._ask()

    async def _repair(self) -> None:
        await self._broker.repair()
        await self._ask()

    async def _elected(self, _: Msg) -> None:
        """There is another leader, which knows nothing of what the last one was asked."""
        await self._ask()

    def _reconnected(self) -> None:
        self._in_doubt = True
        self._tasks.start(self._ask())

    def _tick(self) -> None:
        self._timer = self._clock.call_later(self._beat_s, self._tick)
        self._tasks.start(self._beat())

    async def _beat(self) -> None:
        """Says that the shards are in good hands, and gives back those whose turn is over."""
        now = self._clock.monotonic()
        for shard, token in list(self._held.items()):
            if now - token.confirmed >= self._layout.token_s:  # the broker has given it to somebody else by now
                log.warning("queue.shard_lost", shard=shard)
                del self._held[shard]
            elif now - token.since >= TURN_S:
                del self._held[shard]
                await self._link.publish(token.reply, nak())
            else:
                await self._link.publish(token.reply, IN_PROGRESS)
        if self._link.is_connected and await self._link.flush():
            for token in self._held.values():
                token.confirmed = max(token.confirmed, now)
        if self._asked is not None and self._asked < now:
            await self._ask()
