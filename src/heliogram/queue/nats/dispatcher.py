"""Dispatchers: they claim what is due and publish references to it, as many as the broker is to hold.

The claim is the store's, with its turns of accounts, so it is relay, scheduler and successor of dead workers in one:
what is new, what fell due and what a lease ran out of is claimed the same way. A dispatcher keeps nothing that matters:
after a crash between claim and publication the leases run out. Any number may run. A shard's token keeps two from doing
the same work twice (`tokens.py`), and claims keep it safe where it does not: each hands out a chunk once, as an attempt
of its own, whether rows are locked and skipped or there is one writer.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
import structlog
from nats.aio.msg import Msg

from ...domain.errors import Unavailable
from ...domain.operations import Lane
from ...ports import ChunkRef, Clock, ReferenceStore
from ..hands import any_unseen
from .broker import ALL, Broker
from .errors import ApiRefused, QueueError
from .publisher import Publisher
from .rooms import Room, Rooms
from .tasks import Tasks
from .tokens import Tokens

log = structlog.get_logger(__name__)

POLL_SECONDS = 5.0
"""How long what nobody told of may go unnoticed. All shards are looked at together, so that the store is asked once."""
IDLE_LOOK_SECONDS = 20.0
"""How often it is looked whether the consumers of a shard with nothing to do are still the same."""
ROOM_SECONDS = 0.25
"""When to look for room again in a full shard; workers tell before, as a rule."""
TROUBLE_SECONDS = 0.5
GRACE_SECONDS = 0.05
"""What falls due and has a reference at the broker is brought by it; what is left after so long is claimed."""
_LEAST_WAIT = 0.001


class _Sent(msgspec.Struct, frozen=True):
    """A reference of which is not known whether the broker has it; from `until` (ms) on its chunk is claimed again."""

    ref: ChunkRef
    until: int


class Dispatcher:
    """Dispatches the shards whose tokens it gets, of each lane `TX` before `BULK`."""

    def __init__(
        self, store: ReferenceStore, clock: Clock, broker: Broker, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._store, self._clock = store, clock
        self._broker, self._link, self._layout = broker, broker.link, broker.layout
        self._poll_seconds = poll_seconds
        self._tokens = Tokens(broker, clock, self._gained)
        self._events = {shard: asyncio.Event() for shard in range(self._layout.shards)}
        self._rooms = Rooms(broker, clock)
        self._publisher = Publisher(broker, clock)
        self._unsure: dict[int, deque[_Sent]] = {shard: deque() for shard in self._events}
        self._tending = Tasks()
        self._tended: set[int] = set()
        self._closing = asyncio.Event()
        self.recalled = 0

    def __repr__(self) -> str:
        counts = f"published={self.published}, recalled={self.recalled}"
        return f"Dispatcher({self._tokens!r}, {counts})"

    @property
    def shards(self) -> int:
        """How many shards it dispatches now."""
        return len(self._tokens)

    @property
    def published(self) -> int:
        """How many references the broker has taken."""
        return self._publisher.published

    async def run(self) -> None:
        """Works until `close`."""
        hints = await self._link.subscribe(self._layout.hint_subject("*"), self._hinted)
        forget = self._link.on_reconnect(self._look_again)
        await self._tokens.start()
        try:
            await self._closing.wait()
        finally:
            self._closing.set()
            forget()
            await self._link.unsubscribe(hints)
            self._look_again()
            await self._tending.finish()
            await self._publisher.close()
            await self._tokens.close()

    def close(self) -> None:
        """Claims nothing more; `run` returns when what was claimed is published, and others have the shards."""
        self._closing.set()

    # ---- when there is something to do

    async def _hinted(self, msg: Msg) -> None:
        shard = msg.subject.rpartition(".")[2]
        if shard == ALL:
            self._look_again()
        elif shard.isdecimal() and int(shard) in self._events:
            self._events[int(shard)].set()

    def _look_again(self) -> None:
        self._rooms.forget()
        for event in self._events.values():
            event.set()

    def _gained(self, shard: int) -> None:
        if shard not in self._tended:
            self._tended.add(shard)
            self._tending.start(self._tend(shard))

    def _has(self, shard: int) -> bool:
        return shard in self._tokens and not self._closing.is_set()

    async def _tend(self, shard: int) -> None:
        """Dispatches a shard as long as its token is here."""
        event, is_poll = self._events[shard], False
        try:
            while self._has(shard):
                event.clear()
                try:
                    wait = await self._idle(shard) if is_poll else None
                    if wait is None:
                        wait = await self._dispatch(shard)
                except Exception as error:
                    if not isinstance(
                        error, Unavailable | QueueError
                    ):  # the store and the link tell the log themselves
                        log.exception("queue.dispatch_failed", shard=shard)
                    wait = TROUBLE_SECONDS
                if self._has(shard):
                    is_poll = await self._pause(event, wait)
        finally:
            self._tended.discard(shard)
            if self._has(shard):
                self._gained(shard)

    async def _pause(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits for a hint, so long at most; whether there was none."""
        rang = False

        def ring() -> None:
            nonlocal rang
            rang = True
            event.set()

        timer = self._clock.call_later(seconds, ring)
        try:
            await event.wait()
        finally:
            timer.cancel()
        return rang

    # ---- what is done

    async def _idle(self, shard: int) -> float | None:
        """How long (s) there is nothing to do in a shard of which nobody told anything; None when there may be."""
        if self._unsure[shard] or not all(self._rooms.is_seen(lane, shard, IDLE_LOOK_SECONDS) for lane in Lane):
            return None
        soonest = await self._soonest(shard)
        return None if soonest is not None and soonest <= self._now() else self._wait_for(soonest)

    async def _dispatch(self, shard: int) -> float:
        """Publishes what is due; how long (s) there will be nothing to do."""
        if not self._link.is_connected:
            return TROUBLE_SECONDS
        await self._publish_again(shard)
        began, full, trouble = self._now(), False, False
        lanes = deque(sorted(Lane))
        while lanes and self._has(shard):
            lane = lanes[0]
            try:
                room = await self._room(lane, shard)
            except QueueError:  # nobody leads its consumer just now, and somebody may lead the other lane's
                trouble = True
                lanes.popleft()
                continue
            if room.left <= 0:
                full = True
                lanes.popleft()
                continue
            if not await self._fill(lane, shard, room):
                lanes.popleft()
            elif lane is not Lane.TX and self._events[shard].is_set():
                return 0.0  # there may be something for the fast lane
        if trouble or self._unsure[shard]:
            return TROUBLE_SECONDS
        return ROOM_SECONDS if full else await self._until_due(shard, began)

    async def _fill(self, lane: Lane, shard: int, room: Room) -> bool:
        """Claims and publishes as much as there is room for; whether there may be more to claim."""
        now = self._now()
        until = now + self._layout.lease_ms
        limit = room.left
        refs = await self._store.claim_refs(lane, shard, limit=limit, now=now, until=until)
        room.left -= len(refs)
        await self._publish([_Sent(ref, until) for ref in refs], shard)
        return len(refs) == limit or any_unseen([ref.lease(until) for ref in refs])

    async def _publish(self, sent: list[_Sent], shard: int) -> None:
        """What the broker did not confirm is published again until its lease has run out: it knows repeats."""
        gone = False
        for each, error in zip(sent, await self._publisher.send_all([each.ref for each in sent]), strict=True):
            if error is None:
                continue
            self._unsure[shard].append(each)
            gone = gone or (isinstance(error, ApiRefused) and error.code == 503)
        if gone:
            await self._broker.repair()

    async def _publish_again(self, shard: int) -> None:
        unsure = self._unsure[shard]
        again = [each for each in unsure if each.until > self._now()]
        unsure.clear()
        if again:
            await self._publish(again, shard)

    async def _room(self, lane: Lane, shard: int) -> Room:
        """How much room there is. Where a consumer was made anew, what was on the road is sent out again."""
        room = self._rooms.known(lane, shard) or await self._rooms.look(lane, shard)
        if room.is_new:
            recalled = await self._store.recall(lane, shard, self._now())
            room.is_new = False
            self.recalled += recalled
            log.warning("queue.recalled", lane=lane.name, shard=shard, chunks=recalled)
        return room

    async def _until_due(self, shard: int, after: int) -> float:
        """Until something of the shard falls due or did so after the look at it began (ms), at most as long as may go
        unnoticed."""
        return self._wait_for(await self._soonest(shard, after))

    async def _soonest(self, shard: int, after: int | None = None) -> int | None:
        due = await asyncio.gather(*[self._store.next_due(lane, shard, after=after) for lane in Lane])
        return min((moment for moment in due if moment is not None), default=None)

    def _wait_for(self, soonest: int | None) -> float:
        """Until then (ms), or until all shards are looked at."""
        wait = self._poll_seconds - self._clock.monotonic() % self._poll_seconds
        if soonest is not None:
            wait = min(wait, (soonest - self._now()) / 1000 + GRACE_SECONDS)
        return max(_LEAST_WAIT, wait)

    def _now(self) -> int:
        return int(self._clock.time() * 1000)
