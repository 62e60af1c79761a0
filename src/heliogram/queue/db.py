"""The queue that is the store's own chunk table: claims are leases, and nothing is kept in memory.

A waiting `lease` wakes when something was put into one of its lanes, when the next chunk falls due or its lease
expires, and every second to find what another process has put, or what a step of the clock has made due: times to
send at are on the wall, timers are not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from ..domain.operations import Lane
from ..ports import Clock, InHand, LeasedChunk, LeaseStore, Slots
from .watch import Watch

LEASE_MS = 60_000
POLL_SECONDS = 1.0
_LEAST_WAIT = 0.001
"""A timer that rings a little early must not turn waiting into spinning."""


class _Waiter:
    """One waiting `lease` and the lanes it waits for."""

    def __init__(self, lanes: Sequence[Lane], slots: Slots | None = None) -> None:
        self.lanes = frozenset(lanes)
        self.slots = slots
        self.event = asyncio.Event()
        self.passed_over: int | None = None
        """Until when (ms) what is due was passed over, because an account or a queue has all the slots it may have."""


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
        self._waiters: set[_Waiter] = set()
        self._watch = Watch(store, clock)
        self._giving_back: set[asyncio.Task[None]] = set()
        self._in_hand: dict[tuple[bytes, int], tuple[Lane, bytes]] = {}

    def __repr__(self) -> str:
        counts = f"shards={len(self._shards)}, waiting={len(self._waiters)}, held={len(self._in_hand)}"
        return f"DbQueue({self._worker!r}, {counts})"

    async def lease(self, lanes: Sequence[Lane], limit: int, *, slots: Slots | None = None) -> list[LeasedChunk]:
        """Waits until at least one chunk of these lanes is due and leases up to `limit`, earlier lanes first.
        Returns an empty list when the queue is closed. A cancelled call leaves no lease behind. With `slots` no account
        and no queue of one gets more of them than it may have."""
        if limit < 1 or not lanes:
            raise ValueError("lease: expected a lane and a limit of at least 1")
        waiter = _Waiter(lanes, slots)
        self._waiters.add(waiter)  # before the claim: a wake in the meantime is not lost
        try:
            while self._is_open():
                waiter.event.clear()
                chunks = await self._claim(waiter, lanes, limit)
                if not self._is_open():
                    await self._give_back(chunks)
                elif chunks:
                    return chunks
                else:
                    await self._wait(waiter, lanes)
        finally:
            self._waiters.discard(waiter)
        return []

    def wake(self, lane: Lane) -> None:
        """A hint that something was put into the lane."""
        for waiter in self._waiters:
            if lane in waiter.lanes:
                waiter.event.set()

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

    async def done(self, chunk: LeasedChunk) -> bool:
        """The chunk is finished; False when another attempt holds it."""
        done = await self._store.finish(chunk, self._now())
        self._put_down(chunk)
        return done

    async def retry(self, chunk: LeasedChunk, due: int, *, held: bytes | None = None) -> bool:
        """The chunk goes back until `due` (ms), or until the credential `held` works again; False when another attempt
        holds it."""
        given_back = await self._store.release(chunk, due, self._now(), held=held)
        self._put_down(chunk)
        if given_back:
            self.wake(chunk.lane)  # it may fall due before what a waiter set its timer for
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
        if self._giving_back:
            await asyncio.gather(*self._giving_back)

    def _is_open(self) -> bool:
        return not self._closed

    def _now(self) -> int:
        return int(self._clock.time() * 1000)

    def _hand(self, waiter: _Waiter) -> InHand | None:
        """What is worked on of the waiter's lanes."""
        if waiter.slots is None:
            return None
        hand = InHand(slots=waiter.slots)
        for lane, flow in self._in_hand.values():
            if lane in waiter.lanes:
                hand.flows[flow] = hand.flows.get(flow, 0) + 1
        return hand

    def _put_down(self, chunk: LeasedChunk) -> None:
        """The chunk has its slot no more: whoever was passed over may have it."""
        if self._in_hand.pop((chunk.id, chunk.attempt), None) is not None:
            for waiter in self._waiters:
                if waiter.passed_over is not None and chunk.lane in waiter.lanes:
                    waiter.event.set()

    async def _claim(self, waiter: _Waiter, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        """Claims in a task of its own: it finishes even if the caller is cancelled, and then gives back."""
        task = asyncio.ensure_future(self._claim_lanes(waiter, lanes, limit))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            giving = asyncio.ensure_future(self._abandon(task))
            self._giving_back.add(giving)
            giving.add_done_callback(self._giving_back.discard)
            raise

    async def _claim_lanes(self, waiter: _Waiter, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        claimed: list[LeasedChunk] = []
        self._turn += 1  # every shard comes first in its turn
        first = self._turn % len(self._shards)
        waiter.passed_over = None
        for lane in lanes:
            for shard in self._shards[first:] + self._shards[:first]:
                try:
                    claimed += await self._claim_shard(waiter, lane, shard, limit - len(claimed))
                except Exception:
                    if not claimed:
                        raise
                    return claimed  # these are leased; trouble that lasts shows at the next call
                if len(claimed) >= limit:
                    return claimed
        return claimed

    async def _claim_shard(self, waiter: _Waiter, lane: Lane, shard: int, limit: int) -> list[LeasedChunk]:
        now, hand = self._now(), self._hand(waiter)
        if hand is not None and hand.is_short:
            waiter.passed_over = now if waiter.passed_over is None else min(now, waiter.passed_over)
        chunks = await self._store.claim(
            lane, shard, limit=limit, now=now, until=now + self._lease_ms, worker=self._worker, hand=hand
        )
        if hand is not None:
            self._in_hand |= {(chunk.id, chunk.attempt): (lane, chunk.flow) for chunk in chunks}
        return chunks

    async def _abandon(self, claim: asyncio.Task[list[LeasedChunk]]) -> None:
        """Releases what is being claimed for a caller who is gone."""
        with contextlib.suppress(Exception):  # nobody is left to tell; the leases expire by themselves
            await self._give_back(await claim)

    async def _give_back(self, chunks: list[LeasedChunk]) -> None:
        for chunk in chunks:
            await self.retry(chunk, self._now())

    async def _wait(self, waiter: _Waiter, lanes: Sequence[Lane]) -> None:
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
