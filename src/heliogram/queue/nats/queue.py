"""The queue whose references come by NATS JetStream.

A dispatcher claims what is due, leased as on the road, and publishes a reference. A worker that has free slots asks
for references, loads their chunks from the store, which leases each attempt to one worker alone, and works as with any
other queue: leases are renewed, chunks finished and given back in the store, fenced by the attempt. The broker is told
beside that: in progress, done, again in so many seconds. What it forgets, repeats or brings late changes nothing but
when:

- a reference that is stale (its chunk is held, done or of a later attempt) finds nothing, and is dropped;
- a worker that dies leaves a lease that runs out: a dispatcher claims the chunk again, and without any dispatcher the
  broker brings the reference again when nobody said that it is in progress;
- streams that are gone are made anew, and what was on the road is sent out again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...domain.notifications import DeliveryRecord
from ...domain.operations import Counts, Lane, NewChunk, Operation, OperationStatus, flow_of
from ...pacing import first_of, pause
from ...ports import ON_THE_ROAD, ChunkRef, Clock, Hold, LeasedChunk, ReferenceStore
from ..db import CLAIM_MOST, POLL_SECONDS, DbQueue
from ..waiter import Waiter
from .affinity import Company
from .aside import Delivered
from .broker import ALL, Broker
from .errors import QueueDown, QueueError
from .publisher import Publisher
from .pulls import Pulls
from .rooms import LOOK_SECONDS, Rooms
from .tasks import Tasks
from .words import ACK, IN_PROGRESS, nak

log = structlog.get_logger(__name__)

NAK_MOST_MS = 60_000
"""The longest wait before another try that the broker keeps a reference for: what waits longer stays in the store
alone, so that streams are short."""
NAK_LATE_S = 0.005
"""The broker's clock and ours are not one: a reference that comes back too early would be stale."""
STORE_AWAY_S = 1.0
AGAIN_SECONDS = 0.5
IDLE_SHARE = 2
"""A shard of whose room more than one in so many is taken has a backlog, or may have: what is accepted waits its turn
in the store."""
LOOK_SHARE = 5
"""When one in so many of a shard's room was used, it is looked how much there is, while the rest is used on."""
FULL_SECONDS = 0.1
"""How long a shard without room is left alone."""


class NatsQueue(DbQueue):
    """`ports.WorkQueue` whose claims are made by dispatchers. `worker` must be another name in each process. What is
    accepted in a process that works, too, goes straight, as with `DbQueue`."""

    def __init__(
        self,
        store: ReferenceStore,
        clock: Clock,
        worker: str,
        broker: Broker,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        layout = broker.layout
        shards = range(layout.shards)
        super().__init__(store, clock, worker, shards=shards, lease_ms=layout.lease_ms, poll_seconds=poll_seconds)
        self._references = store
        self._broker = broker
        self._company = Company(broker, worker, clock)
        self._pulls: dict[Lane, Pulls] = {}
        self._rooms = Rooms(broker, clock)
        self._publisher = Publisher(broker, clock)
        self._looking: set[tuple[Lane, int]] = set()
        self._messages: dict[tuple[bytes, int], Delivered] = {}
        self._is_working = False
        self._hearing: Subscription | None = None
        self._tasks = Tasks()
        self._closing = asyncio.Event()
        self.loaded = self.stale = 0

    def __repr__(self) -> str:
        counts = f"loaded={self.loaded}, stale={self.stale}, held={len(self._messages)}, {self._publisher!r}"
        return f"NatsQueue({self._worker!r}, {counts}, {list(self._pulls.values())})"

    # ---- what is accepted

    async def put(
        self,
        operation: Operation,
        chunks: Sequence[NewChunk],
        accept: Callable[[Hold | None], Awaitable[None]],
        *,
        shard: int = 0,
    ) -> None:
        """Has `accept` make an operation durable, then has it worked on: here, where the straight way is open. One
        chunk of an idle shard is accepted as on the road, and its reference published; the rest is a dispatcher's."""
        way = self._straight.get(operation.lane)
        straight = way is not None and len(chunks) == 1 and way.is_open(operation, self._hands)
        if straight or not self._may_publish(operation, chunks, shard):
            await super().put(operation, chunks, accept, shard=shard)
            return
        now = self._now()
        await accept(Hold(worker=ON_THE_ROAD, until=now + self._lease_ms, since=now))
        flow = flow_of(operation.account_id, operation.spec)
        ref = ChunkRef(id=chunks[0].id, lane=operation.lane, shard=shard, flow=flow, attempt=1)
        await self._publish(ref, now + self._lease_ms)

    def _may_publish(self, operation: Operation, chunks: Sequence[NewChunk], shard: int) -> bool:
        """Whether little waits in the shard, as far as is known: what is not, or was long ago, is found out for the
        next one."""
        if len(chunks) != 1 or operation.status is not OperationStatus.PROCESSING or not self._is_open():
            return False
        outstanding, room = self._broker.layout.most(operation.lane), self._rooms.last(operation.lane, shard)
        if room is None:
            self._look_soon(operation.lane, shard)
            return False
        is_idle = room.left * IDLE_SHARE > outstanding * (IDLE_SHARE - 1)
        age = self._rooms.age(room)
        if age >= LOOK_SECONDS or (room.used * LOOK_SHARE >= outstanding if is_idle else age >= FULL_SECONDS):
            self._look_soon(operation.lane, shard)
        link = self._broker.link
        if not is_idle or not link.is_connected or link.is_stuck:
            return False
        room.left -= 1
        room.used += 1
        return True

    def _look_soon(self, lane: Lane, shard: int) -> None:
        place = lane, shard
        if place not in self._looking:
            self._looking.add(place)
            self._tasks.start(self._look(place))

    async def _look(self, place: tuple[Lane, int]) -> None:
        try:
            with contextlib.suppress(QueueError):
                await self._rooms.look(*place)
        finally:
            self._looking.discard(place)

    async def _publish(self, ref: ChunkRef, until: int) -> None:
        def told(error: QueueError | None) -> None:
            if error is not None:
                self._tasks.start(self._publish_again(ref, until, error))

        await self._publisher.send(ref, told)

    async def _publish_again(self, ref: ChunkRef, until: int, error: QueueError) -> None:
        """What the broker refuses is a dispatcher's at once; where it did not say, nobody may take it from whoever has
        it by now: it is published again, for the broker knows repeats, until the lease runs out."""
        log.warning("queue.not_published", chunk=ref.id.hex(), error=str(error))
        if not isinstance(error, QueueDown):
            await self._store.release(ref.lease(until), self._now(), self._now())
            self._broker.hint(ref.shard)
            return
        said: QueueError | None = error
        while said is not None and self._is_open() and self._now() < until:
            await first_of(pause(self._clock, AGAIN_SECONDS), self._closing.wait())
            (said,) = await self._publisher.send_all([ref])

    # ---- hints

    def wake(self, lane: Lane, shard: int | None = None) -> None:
        """A hint that something was put into the lane: dispatchers hear it."""
        if self._is_open():
            self._broker.hint(ALL if shard is None else shard)

    def canceled(self, operation_id: bytes) -> None:
        """A hint that an operation was cancelled; all processes hear it."""
        super().canceled(operation_id)
        self._tasks.start(self._broker.link.publish(self._broker.layout.canceled_subject, operation_id))

    async def let_go(self, account: bytes, credential_id: bytes, *, most: int | None = None) -> int:
        """What waits for a credential is due now; how many chunks that were."""
        chunks = await super().let_go(account, credential_id, most=most)
        if chunks:
            self._broker.hint(ALL)
        return chunks

    # ---- what a worker says of a chunk

    async def extend(self, chunk: LeasedChunk) -> bool:
        """Renews the lease; False when another attempt holds the chunk."""
        extended = await super().extend(chunk)
        await self._say([chunk], IN_PROGRESS)
        return extended

    async def extend_all(self, chunks: Sequence[LeasedChunk]) -> int:
        """Renews leases, in one write; how many of them were still there."""
        extended = await super().extend_all(chunks)
        await self._say(chunks, IN_PROGRESS)
        return extended

    async def done(
        self, chunk: LeasedChunk, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """The chunk is finished, with a last result part if there is one; False when another attempt holds it."""
        done = await self._store.finish(chunk, self._now(), records, counts)
        await self._say([chunk], ACK)
        self._put_down(chunk)
        return done

    async def retry(self, chunk: LeasedChunk, due: int, *, held: bytes | None = None) -> bool:
        """The chunk goes back until `due` (ms), or until the credential `held` works again; False when another attempt
        holds it. The broker brings it again if that is soon, a dispatcher else."""
        given_back = await self._store.release(chunk, due, self._now(), held=held)
        wait = due - self._now()
        soon = given_back and held is None and wait <= NAK_MOST_MS
        if soon and (chunk.id, chunk.attempt) in self._messages:
            await self._say([chunk], nak(max(0, wait) / 1000 + NAK_LATE_S))
        else:
            await self._say([chunk], ACK)
        if given_back:
            self._broker.hint(chunk.shard)
        self._put_down(chunk)
        return given_back

    async def _say(self, chunks: Sequence[LeasedChunk], what: bytes) -> None:
        for chunk in chunks:
            message = self._messages.get((chunk.id, chunk.attempt))
            if message is not None:
                await self._broker.link.publish(message.reply, what)

    def _put_down(self, chunk: LeasedChunk) -> None:
        self._messages.pop((chunk.id, chunk.attempt), None)
        super()._put_down(chunk)
        pulls = self._pulls.get(chunk.lane)
        if pulls is not None:
            pulls.reopen(chunk.flow)

    # ---- leasing

    async def _claim_lanes(self, waiter: Waiter, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        """Loads what came, and asks for more. What came and may not be begun here goes to others."""
        waiter.passed_over = None
        if waiter.slots is not None:
            hand = self._hands.of(lanes, waiter.slots)
            limit = min(limit, hand.free)
            if hand.is_short:
                waiter.passed_over = self._now()
        total = limit if waiter.slots is None else waiter.slots.total
        most = min(limit, CLAIM_MOST)
        if not self._is_working:
            self._is_working = True
            subject = self._broker.layout.canceled_subject
            self._hearing = await self._broker.link.subscribe(subject, self._heard)
            await self._company.join()
        came, short = list[Delivered](), False
        for lane in lanes:
            short = await self._take(waiter, self._pulls_of(lane), came, most) or short
            await self._pulls_of(lane).want(limit - len(came), total)
        chunks = await self._load(waiter, came) if came else []
        if came and not chunks:
            waiter.event.set()  # none of it took a slot: there is as much room as before, and nobody else would say so
        self._note(waiter, lanes, all_due=limit > 0 and not short and all(self._pulls[lane].is_dry for lane in lanes))
        return chunks

    async def _take(self, waiter: Waiter, pulls: Pulls, came: list[Delivered], most: int) -> bool:
        """What may be begun of what came: first what was put aside for want of a slot and has one now. Whether more
        was put aside."""
        short = False
        while len(came) < most:
            message = pulls.take_held(lambda each: self._short_of(waiter, each.ref))
            if message is None:
                if not pulls.inbox:
                    break
                message = pulls.take()
                name = self._short_of(waiter, message.ref)
                if name is not None:
                    await pulls.put_aside(message, name)
                    short = True
                    continue
            came.append(message)
            if waiter.slots is not None:  # one until it is known how many it takes
                self._hands.take(message.ref.lease(0), 1, waiter.slots)
        return short

    def _pulls_of(self, lane: Lane) -> Pulls:
        pulls = self._pulls.get(lane)
        if pulls is None:

            def arrived() -> None:
                for waiter in self._waiters:
                    if lane in waiter.lanes:
                        waiter.event.set()

            pulls = self._pulls[lane] = Pulls(self._broker, lane, self._clock, self._company, arrived)
        return pulls

    def _short_of(self, waiter: Waiter, ref: ChunkRef) -> bytes | None:
        return None if waiter.slots is None else self._hands.short_of(ref.lane, ref.flow, waiter.slots)

    async def _load(self, waiter: Waiter, came: Sequence[Delivered]) -> list[LeasedChunk]:
        now = self._now()
        try:
            chunks = await self._references.load(
                [message.ref for message in came], now=now, until=now + self._lease_ms, worker=self._worker
            )
        except BaseException:
            for message in came:
                self._hands.put_down(message.ref.lease(0))
                await self._broker.link.publish(message.reply, nak(STORE_AWAY_S))
            raise
        found = {chunk.id: chunk for chunk in chunks}
        for message in came:
            self._hands.put_down(message.ref.lease(0))
            chunk = found.pop(message.ref.id, None)
            if chunk is None:
                self.stale += 1
                self._pulls_of(message.ref.lane).reopen(message.ref.flow)
                await self._broker.link.publish(message.reply, ACK)
                continue
            self.loaded += 1
            self._messages[chunk.id, chunk.attempt] = message
            if waiter.slots is not None:
                self._hands.take(chunk, len(chunk.recipients), waiter.slots)
        return chunks

    async def _wait(self, waiter: Waiter, lanes: Sequence[Lane]) -> None:
        """Until something came, or it is time to look whether requests still wait at the broker."""
        timer = self._clock.call_later(self._poll_seconds, waiter.event.set)
        try:
            await waiter.event.wait()
        finally:
            timer.cancel()

    async def _heard(self, msg: Msg) -> None:
        super().canceled(msg.data)

    async def close(self) -> None:
        """No more leases; waiting `lease` calls return. What came and was not begun goes to others."""
        await super().close()
        self._closing.set()
        await self._company.leave()
        if self._hearing is not None:
            await self._broker.link.unsubscribe(self._hearing)
        for pulls in self._pulls.values():
            await pulls.close()
        await self._publisher.close()
        await self._tasks.finish()
