"""Asking for work: a pull request for every shard of a lane, and the references that came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice, takewhile
from typing import Any

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...domain.operations import Lane
from ...ports import Clock, Timer
from ...ports.work import ACCOUNT_BYTES
from .affinity import Company
from .aside import Aside, Delivered, IsShort
from .broker import Broker
from .link import API, STATUS
from .references import BadReference, unpack
from .tasks import Tasks
from .words import TERM, delivered, nak, pending, pull_request

log = structlog.get_logger(__name__)

PULL_SECONDS = 10.0
"""How long a pull request waits at the broker."""
SETTLING_SECONDS = 1.0
"""The same while workers come and go: their places among each other are to count soon."""
LATE_SECONDS = 2.0
DOUBT_SECONDS = 1.0
"""How long a request waits of which is not known whether anybody has got it: the first one of a shard since the
connection was lost, or since nobody led its consumer."""
HOLD_SECONDS = {Lane.TX: 1.0, Lane.BULK: 2.0}
"""So long a reference may wait for a slot here before others get it: what comes while a worker is short of time, and
campaigns of two teams that come at one moment, are to leave from where they have their connections."""
ASIDE_SECONDS = {Lane.TX: 0.1, Lane.BULK: 2.0}
"""The same where slots are free, but not for its account or queue: a small one is over within that time, as a rule."""
AGAIN_SECONDS, MOST_AGAIN_SECONDS = 0.01, 0.16
"""After how long a reference comes again that found no slot a second time; twice as long each time after it."""
AHEAD = 2
"""So many times the slots there are may wait here, and be asked for of one shard."""
MOST_AT_FIRST = 12
"""What a shard is asked for to begin with, where slots are few: as much as a worker for campaigns does in the time that
a reference may wait."""
_LEAST_LATER = 0.01
SHUT_SECONDS = 1.0
"""So long nothing is asked of a shard of which something came that may have no slot."""


class _Pull:
    """One request: how many references it still may bring, of how many, and until when (s)."""

    def __init__(self, shard: int, batch: int, until: float) -> None:
        self.shard, self.batch, self.left, self.until = shard, batch, batch, until


class Pulls:
    """One lane's requests. `arrived` is called when a reference came, or when it is time to ask again."""

    def __init__(
        self, broker: Broker, lane: Lane, clock: Clock, company: Company, arrived: Callable[[], object]
    ) -> None:
        self._broker, self._link, self._layout = broker, broker.link, broker.layout
        self._lane, self._clock, self._company, self._arrived = lane, clock, company, arrived
        self._inbox = self._link.new_inbox()
        self._subscription: Subscription | None = None
        self._forget_link = self._link.on_reconnect(self._reconnected)
        self._pulls: dict[int, _Pull] = {}
        self._open: dict[int, list[int]] = {shard: [] for shard in range(self._layout.shards)}
        """The requests that are open for each shard, the oldest first."""
        self._idle = set(self._open)
        """Shards to ask for again: the last request has brought half of what it may. While it brings the rest nobody
        else is served."""
        self._sizes: dict[int, int] = {}
        self._numbers = 0
        self._closed = False
        self._doubted: set[int] = set()
        """Shards whose consumers have not answered since the connection was lost or nobody led them."""
        self._doubts: Timer | None = None
        self._elections: Subscription | None = None
        self._broken: set[int] = set()
        """Shards whose consumers are gone, or led by nobody, until it was looked what is missing."""
        self._shut: dict[int, tuple[bytes, float]] = {}
        self._most_here = 0
        self._hold_seconds, self._aside_seconds = HOLD_SECONDS[lane], ASIDE_SECONDS[lane]
        self._is_full = False
        """Nobody took what came: until somebody asks, what still comes goes to others at once."""
        self._sweeper: Timer | None = None
        self._sweep_at = 0.0
        self._tasks = Tasks()
        self._more: set[int] = set()
        """Shards that had more than was taken."""
        self.inbox: deque[Delivered] = deque()
        self.held = Aside()

    def __repr__(self) -> str:
        return f"Pulls({self._lane.name}, open={len(self._pulls)}, here={len(self.inbox)}, held={len(self.held)})"

    @property
    def is_dry(self) -> bool:
        """Whether the broker had nothing more, as far as it told."""
        return not (self.inbox or self.held or self._more)

    async def want(self, limit: int, total: int) -> None:
        """Asks for work of every shard that was not asked for, having so many free slots of so many in all. It is asked
        for more than there are slots: what comes may wait here a little, so that a burst of one team does not spread
        over all workers."""
        if self._closed:
            return
        if self._subscription is None:
            self._subscription = await self._link.subscribe(f"{self._inbox}.*", self._received)
            elections = self._layout.elected_subject(self._layout.stream(self._lane))
            self._elections = await self._link.subscribe(elections, self._elected)
        self._drop_late()
        if limit <= len(self.inbox):
            return
        self._is_full = False
        if not self._idle or not self._link.is_connected:
            return
        self._most_here = AHEAD * total
        most = min(self._layout.most(self._lane), AHEAD * total)
        base = min(most, max(MOST_AT_FIRST, AHEAD * total // self._layout.shards))
        for shard in self._idle - self._shut.keys():
            self._idle.discard(shard)
            await self._ask(shard, min(max(base, self._sizes.get(shard, 1)), most))

    async def _ask(self, shard: int, batch: int) -> None:
        """One raw request: nats-py knows nothing of priority groups."""
        self._numbers += 1
        number = self._numbers
        seconds = SETTLING_SECONDS if self._company.is_settling else PULL_SECONDS
        if shard in self._doubted:
            seconds = DOUBT_SECONDS
            if self._doubts is None:
                self._doubts = self._clock.call_later(2 * DOUBT_SECONDS + _LEAST_LATER, self._doubt_is_over)
        late = LATE_SECONDS if shard not in self._doubted else DOUBT_SECONDS
        self._pulls[number] = _Pull(shard, batch, self._clock.monotonic() + seconds + late)
        self._open[shard].append(number)
        self._sizes[shard] = batch
        body = pull_request(batch, seconds, self._company.priority(shard))
        subject = f"{API}CONSUMER.MSG.NEXT.{self._layout.stream(self._lane)}.{self._layout.consumer(shard)}"
        await self._link.publish(subject, body, reply=f"{self._inbox}.{number}")

    def take(self) -> Delivered:
        """The reference that came first. Raises `IndexError` when there is none."""
        return self.inbox.popleft()

    async def put_aside(self, message: Delivered, short: bytes) -> None:
        """A reference may have no slot here, because its account or queue, `short`, has all it may have. It waits for
        one a little, as far as there is room, but not again when it comes back."""
        if len(self.held) >= self._most_here or message.ref.shard in self._shut:
            await self._refuse(message, short)
            return
        self.held.add(message, short)
        self._sweep_later()

    async def _refuse(self, message: Delivered, short: bytes) -> None:
        """Its shard is left to others for a second, or until `reopen`. What is still asked for is used up by the
        reference coming again, until it goes to somebody else; where there is nobody else, it comes more and more
        slowly: else it would go to and fro as fast as the broker can."""
        self._shut[message.ref.shard] = short, self._clock.monotonic() + SHUT_SECONDS
        tries = delivered(message.reply)
        delay = 0.0 if tries < 2 else min(AGAIN_SECONDS * 2.0 ** min(tries - 2, 10), MOST_AGAIN_SECONDS)
        await self._link.publish(message.reply, nak(delay))

    def take_held(self, is_short: IsShort) -> Delivered | None:
        """The first of those put aside that may have a slot now."""
        return self.held.take(is_short)

    def reopen(self, flow: bytes) -> None:
        """Something of this queue of an account has its slot no more."""
        names = flow, flow[:ACCOUNT_BYTES]
        freed = [shard for shard, (short, _) in self._shut.items() if short in names]
        for shard in freed:
            del self._shut[shard]
        if freed or self.held.has(*names):
            self._arrived()

    async def answer(self, messages: Iterable[Delivered], what: bytes) -> None:
        """Answers references."""
        for message in messages:
            await self._link.publish(message.reply, what)

    async def close(self) -> None:
        """Asks no more; what is here goes to others."""
        self._closed = True
        self._forget_link()
        if self._subscription is not None:
            await self._link.unsubscribe(self._subscription)
        if self._elections is not None:
            await self._link.unsubscribe(self._elections)
        for timer in (self._sweeper, self._doubts):
            if timer is not None:
                timer.cancel()
        await self._tasks.finish()
        await self.answer(self._drain(), nak())

    def _drain(self) -> list[Delivered]:
        here = [*self.inbox, *self.held.clear()]
        self.inbox.clear()
        return here

    # ---- what comes

    async def _received(self, msg: Msg) -> None:
        headers = msg.headers
        if headers is not None and STATUS in headers:
            await self._ended(int(msg.subject.rpartition(".")[2]), headers)
            return
        try:
            ref = unpack(self._layout, msg.subject, msg.data)
        except BadReference as error:
            log.error("queue.bad_reference", error=str(error))
            await self._link.publish(msg.reply, TERM)
            return
        self._count(ref.shard, pending(msg.reply))
        if self._is_full or len(self.inbox) >= self._most_here:
            await self._link.publish(msg.reply, nak())
            return
        self.inbox.append(Delivered(ref, msg.reply, self._clock.monotonic()))
        self._sweep_later()
        self._arrived()

    def _count(self, shard: int, waiting: int) -> None:
        self._doubted.discard(shard)
        (self._more.add if waiting else self._more.discard)(shard)
        if waiting == self._layout.most(self._lane) // 2:
            self._broker.hint(shard)  # there is room for more
        numbers = self._open[shard]
        if not numbers:
            return
        pull = self._pulls[numbers[0]]
        pull.left -= 1
        if len(numbers) == 1 and pull.left == pull.batch // 2:
            self._sizes[shard] = 2 * pull.batch
            self._idle.add(shard)
        if pull.left <= 0:
            self._forget(numbers[0])

    async def _ended(self, number: int, headers: dict[str, Any]) -> None:
        """The broker says why a request brings nothing more."""
        pull = self._pulls.get(number)
        status, text = headers[STATUS], headers.get("Description", "")
        if pull is None or status == "100":
            return
        self._sizes.pop(pull.shard, None)
        self._more.discard(pull.shard)
        self._forget(number)
        if status == "503" or (status == "409" and "Deleted" in text):
            if not self._broken:
                log.warning("queue.consumer_lost", lane=self._lane.name, shard=pull.shard, status=status)
                self._tasks.start(self._repair())
            self._idle.discard(pull.shard)
            self._broken.add(pull.shard)
            self._doubted.add(pull.shard)
        else:
            self._doubted.discard(pull.shard)
            if status == "400":
                log.error("queue.pull_refused", lane=self._lane.name, shard=pull.shard, reason=text)
            self._arrived()

    async def _repair(self) -> None:
        """In a task of its own: what comes meanwhile is taken."""
        try:
            await self._broker.repair()
        finally:
            self._idle |= {shard for shard in self._broken if not self._open[shard]}
            self._broken.clear()
            self._arrived()  # if it failed, the answer to the next request tells

    async def _elected(self, msg: Msg) -> None:
        """A consumer has another leader, which knows nothing of what the last one was asked, or of what was asked of
        nobody."""
        shard = self._layout.shard_of(msg.subject.rpartition(".")[2])
        if shard is None:
            return
        for number in list(self._open[shard]):
            self._forget(number)
        self._broken.discard(shard)
        self._idle.add(shard)
        self._arrived()

    def _doubt_is_over(self) -> None:
        """What was asked in doubt has been answered by now, or is asked again."""
        self._doubts = None
        self._arrived()

    def _forget(self, number: int) -> None:
        pull = self._pulls.pop(number)
        self._open[pull.shard].remove(number)
        if not self._open[pull.shard]:
            self._idle.add(pull.shard)

    def _drop_late(self) -> None:
        """A request that the broker never answered to is made anew, and a shard does not stay shut."""
        now = self._clock.monotonic()
        if self._shut:
            self._shut = {shard: shut for shard, shut in self._shut.items() if shut[1] > now}
        for number in [number for number, pull in self._pulls.items() if pull.until < now]:
            self._forget(number)

    def _reconnected(self) -> None:
        for number in list(self._pulls):
            self._forget(number)
        self._doubted |= self._open.keys()
        self._arrived()

    def _sweep_later(self) -> None:
        ends = [message.at + self._hold_seconds for message in islice(self.inbox, 1)]
        aside = self.held.oldest()
        if aside is not None:
            ends.append(aside.at + self._aside_seconds)
        if not ends or (self._sweeper is not None and self._sweep_at <= min(ends)):
            return
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweep_at = min(ends)
        self._sweeper = self._clock.call_later(max(0.0, self._sweep_at - self._clock.monotonic()), self._sweep)

    def _sweep(self) -> None:
        """What nobody here had a slot for in time goes to others."""
        self._sweeper, now = None, self._clock.monotonic()
        late = list(takewhile(lambda message: message.at <= now - self._hold_seconds, self.inbox))
        for _ in late:
            self.inbox.popleft()
        while (aside := self.held.oldest()) is not None and aside.at <= now - self._aside_seconds:
            self._tasks.start(self._refuse(*self.held.pop()))
        self._sweep_later()
        if late:
            self._is_full = True
            self._tasks.start(self.answer(late, nak()))
            self._arrived()  # whoever has slots after all asks again
