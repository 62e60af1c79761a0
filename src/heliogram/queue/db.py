"""The queue that is the store's own chunk table: claims are leases, and nothing is kept in memory.

A waiting `lease` wakes when something was put into one of its lanes, when the next chunk falls due or its lease
expires, and every second to find what another process has put, or what a step of the clock has made due: times to
send at are on the wall, timers are not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from ..domain.errors import Unavailable
from ..domain.notifications import DeliveryRecord
from ..domain.operations import Counts, Lane, NewChunk, Operation, flow_of
from ..ports import Clock, Hold, InHand, LeasedChunk, LeaseStore, Slots
from .filling import Accept, Filling
from .hands import Hands, Straight, any_unseen
from .waiter import Waiter
from .watch import Watch

log = structlog.get_logger(__name__)

LEASE_MS = 60_000
POLL_SECONDS = 1.0
CLAIM_MOST = 64
"""The most chunks of one claim with slots: it holds the store's writer up, and its first chunk goes when it ends."""
LEAST_LEFT = 0.5
"""The part of its lease that a chunk must have left when it is begun: it is renewed after a third of a lease."""
_LEAST_WAIT = 0.001
"""A timer that rings a little early must not turn waiting into spinning."""


class DbQueue:
    """`ports.WorkQueue` over a store that this process and others share.

    `worker` is the name written beside a lease. `lease_ms` is how long a chunk is kept without being extended,
    `poll_seconds` how long work of another process may go unnoticed.
    """

    def __init__(
        self,
        store: LeaseStore,
        clock: Clock,
        worker: str,
        *,
        shards: Sequence[int] = (0,),
        lease_ms: int = LEASE_MS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        if not shards:
            raise ValueError("shards: expected at least one shard to work on")
        if lease_ms < 1 or poll_seconds <= 0:
            raise ValueError("lease_ms and poll_seconds: expected more than 0")
        self._store = store
        self._clock = clock
        self._worker = worker
        self._shards = tuple(shards)
        self._lease_ms = lease_ms
        self._poll_seconds = poll_seconds
        self._closed = False
        self._turn = 0
        self._waiters: set[Waiter] = set()
        self._watch = Watch(store, clock)
        self._settling: set[asyncio.Task[None]] = set()
        self._filling = Filling(self._hand_over)
        self._hands = Hands()
        self._straight: dict[Lane, Straight] = {}

    def __repr__(self) -> str:
        counts = f"shards={len(self._shards)}, waiting={len(self._waiters)}, held={len(self._hands)}"
        return f"DbQueue({self._worker!r}, {counts})"

    async def lease(self, lanes: Sequence[Lane], limit: int, *, slots: Slots | None = None) -> list[LeasedChunk]:
        """Waits until at least one chunk of these lanes is due and leases up to `limit`, earlier lanes first.
        Returns an empty list when the queue is closed. A cancelled call leaves no lease behind. With `slots` no account
        and no queue of one gets more of them than it may have."""
        if limit < 1 or not lanes:
            raise ValueError("lease: expected a lane and a limit of at least 1")
        waiter = Waiter(lanes, slots)
        self._waiters.add(waiter)  # before the claim: a wake in the meantime is not lost
        try:
            while self._is_open():
                waiter.event.clear()
                chunks = await self._claim(waiter, lanes, limit)
                if not self._is_open():
                    await self._give_back(chunks)
                elif chunks:
                    in_time = await self._in_time(chunks)
                    if in_time:
                        return in_time
                else:
                    await self._wait(waiter, lanes)
        finally:
            self._waiters.discard(waiter)
        return []

    def wake(self, lane: Lane, shard: int | None = None) -> None:
        """A hint that something was put into the lane."""
        for waiter in self._waiters:
            if lane in waiter.lanes:
                waiter.event.set()

    def straight(
        self,
        lane: Lane,
        slots: Slots,
        *,
        may: Callable[[], bool],
        take: Callable[[LeasedChunk], bool],
        work: Callable[[LeasedChunk], Awaitable[None]] | None = None,
    ) -> Callable[[], None]:
        """Whoever leases of a lane with these slots takes what `put` can hand over, too, as long as what this returns
        is not called. There is one for a lane: the last."""
        way = self._straight[lane] = Straight(slots, may, take, work)

        def end() -> None:
            if self._straight.get(lane) is way:
                del self._straight[lane]

        return end

    async def put(
        self,
        operation: Operation,
        chunks: Sequence[NewChunk],
        accept: Accept,
        *,
        shard: int = 0,
    ) -> None:
        """Has `accept` make an operation durable, then has it worked on: at once, where the straight way is open."""
        way = self._straight.get(operation.lane)
        if way is None or len(chunks) != 1 or not self._is_open() or not way.is_open(operation, self._hands):
            await accept(None)
            self.wake(operation.lane, shard)
            return
        chunk = self._held(operation, chunks[0], shard)
        self._hands.take(chunk, operation.recipients, way.slots)
        await self._filling.run(chunk, way, accept)

    def watch(self, chunk: LeasedChunk, stop: Callable[[], object]) -> Callable[[], None]:
        """Calls `stop` once, within a second of its operation's being cancelled, by whichever process. What it returns
        ends the watching."""
        remove = self._watch.add(chunk, stop)

        def end() -> None:
            remove()
            self._put_down(chunk)

        return end

    def canceled(self, operation_id: bytes) -> None:
        """A hint that an operation was cancelled."""
        self._watch.canceled(operation_id)

    async def extend(self, chunk: LeasedChunk) -> bool:
        """Renews the lease; False when another attempt holds the chunk."""
        return await self._store.extend(chunk, self._now() + self._lease_ms)

    async def extend_all(self, chunks: Sequence[LeasedChunk]) -> int:
        """Renews leases, in one write; how many of them were still there."""
        return await self._store.extend_all(chunks, self._now() + self._lease_ms)

    async def done(
        self, chunk: LeasedChunk, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """The chunk is finished, with a last result part if there is one; False when another attempt holds it."""
        done = await self._store.finish(chunk, self._now(), records, counts)
        self._put_down(chunk)
        return done

    async def retry(self, chunk: LeasedChunk, due: int, *, held: bytes | None = None) -> bool:
        """The chunk goes back until `due` (ms), or until the credential `held` works again; False when another attempt
        holds it."""
        given_back = await self._store.release(chunk, due, self._now(), held=held)
        self._put_down(chunk)
        if given_back:
            self.wake(chunk.lane, chunk.shard)  # it may fall due before what a waiter set its timer for
        return given_back

    async def let_go(self, account: bytes, credential_id: bytes, *, most: int | None = None) -> int:
        """What waits for a credential is due now; how many chunks that were."""
        chunks = await self._store.let_go_held(account, credential_id, self._now(), most=most)
        for waiter in self._waiters if chunks else ():
            waiter.event.set()
        return chunks

    async def close(self) -> None:
        """No more leases; waiting `lease` calls return."""
        self._closed = True
        for waiter in self._waiters:
            waiter.event.set()
        if self._settling:
            await asyncio.wait(self._settling)
        await self._filling.over()

    def _is_open(self) -> bool:
        return not self._closed

    def _now(self) -> int:
        return int(self._clock.time() * 1000)

    def _held(self, operation: Operation, chunk: NewChunk, shard: int) -> LeasedChunk:
        """A chunk as a claim will have leased it, once it is accepted."""
        now = self._now()
        return LeasedChunk(
            account_id=operation.account_id,
            id=chunk.id,
            operation_id=operation.id,
            lane=operation.lane,
            shard=shard,
            flow=flow_of(operation.account_id, operation.spec),
            attempt=1,
            until=now + self._lease_ms,
            first=chunk.first,
            recipients=chunk.recipients,
            records=[],
            spec=operation.spec,
            created=operation.created,
            start=operation.start,
            claimed=now,
            known=chunk.known,
        )

    async def _hand_over(self, chunk: LeasedChunk, way: Straight, accept: Accept) -> bool:
        """Whether what was accepted was taken by whom it was meant for; else it is given back."""
        try:
            await accept(Hold(worker=self._worker, until=chunk.until, since=chunk.claimed))
        except BaseException:
            self._put_down(chunk)
            raise
        open_ = self._is_open() and self._straight.get(chunk.lane) is way and not self._is_late(chunk)
        if open_ and way.take(chunk):
            return True
        await self._give_back([chunk])
        return False

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller, if there still is one

    def _put_down(self, chunk: LeasedChunk) -> None:
        """The chunk has its slots no more: whoever was passed over may have them."""
        if self._hands.put_down(chunk):
            for waiter in self._waiters:
                if waiter.passed_over is not None and chunk.lane in waiter.lanes:
                    waiter.event.set()

    async def _claim(self, waiter: Waiter, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        """Claims in a task of its own: it finishes even if the caller is cancelled, and then gives back."""
        task = asyncio.ensure_future(self._claim_lanes(waiter, lanes, limit))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            giving = asyncio.ensure_future(self._abandon(task))
            self._settling.add(giving)
            giving.add_done_callback(self._settled)
            raise

    async def _claim_lanes(self, waiter: Waiter, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        claimed: list[LeasedChunk] = []
        waiter.passed_over = None
        if waiter.slots is not None:
            hand = self._hands.of(lanes, waiter.slots)
            limit = min(limit, CLAIM_MOST, hand.free)
            if hand.is_short:
                waiter.passed_over = self._now()
        all_due = False
        try:
            self._turn += 1  # every shard comes first in its turn
            first = self._turn % len(self._shards)
            for lane in lanes if limit > 0 else ():
                for shard in self._shards[first:] + self._shards[:first]:
                    claimed += await self._claim_shard(waiter, lane, shard, limit - len(claimed))
                    if len(claimed) >= limit:
                        return claimed
            all_due = limit > 0 and not any_unseen(claimed)
        except Exception:
            if not claimed:
                raise
            # these are leased; trouble that lasts shows at the next call
        finally:
            self._note(waiter, lanes, all_due=all_due)
        return claimed

    async def _claim_shard(self, waiter: Waiter, lane: Lane, shard: int, limit: int) -> list[LeasedChunk]:
        now, slots = self._now(), waiter.slots
        hand: InHand | None = None if slots is None else self._hands.of(waiter.lanes, slots)
        chunks = await self._store.claim(
            lane, shard, limit=limit, now=now, until=now + self._lease_ms, worker=self._worker, hand=hand
        )
        if slots is not None:
            for chunk in chunks:
                self._hands.take(chunk, len(chunk.recipients), slots)
        return chunks

    def _note(self, waiter: Waiter, lanes: Sequence[Lane], *, all_due: bool) -> None:
        """What this claim says of the straight ways."""
        for lane in lanes:
            way = self._straight.get(lane)
            if way is not None and waiter.slots is not None:
                way.claimed(all_due=all_due, hand=self._hands.of(lanes, waiter.slots))

    async def _abandon(self, claim: asyncio.Task[list[LeasedChunk]]) -> None:
        """Releases what is being claimed for a caller who is gone."""
        with contextlib.suppress(Exception):  # nobody is left to tell; the leases expire by themselves
            await self._give_back(await claim)

    def _is_late(self, chunk: LeasedChunk) -> bool:
        """Whether so much of its lease has passed before it is begun that it may end before it is renewed."""
        return chunk.until - self._now() < self._lease_ms * LEAST_LEFT

    async def _in_time(self, chunks: list[LeasedChunk]) -> list[LeasedChunk]:
        """Without those whose lease the store was late to give, as when the network kept the claim back: somebody else
        may have claimed them since."""
        late = [chunk for chunk in chunks if self._is_late(chunk)]
        if not late:
            return chunks
        log.warning("queue.claimed_late", chunks=len(late))
        with contextlib.suppress(Unavailable):  # what is not given back is free when its lease ends
            await self._give_back(late)
        return [chunk for chunk in chunks if chunk not in late]

    async def _give_back(self, chunks: list[LeasedChunk]) -> None:
        for chunk in chunks:
            await self.retry(chunk, self._now())

    async def _wait(self, waiter: Waiter, lanes: Sequence[Lane]) -> None:
        """Until something may be due."""
        # What was passed over is due, and yet there is nothing to do about it before a slot is free.
        after = waiter.passed_over
        due = [await self._store.next_due(lane, shard, after=after) for lane in lanes for shard in self._shards]
        if not self._is_open():
            return
        soonest = min((moment for moment in due if moment is not None), default=None)
        delay = self._poll_seconds
        if soonest is not None:
            delay = min(delay, max(_LEAST_WAIT, (soonest - self._now()) / 1000))
        timer = self._clock.call_later(delay, waiter.event.set)
        try:
            await waiter.event.wait()
        finally:
            timer.cancel()
