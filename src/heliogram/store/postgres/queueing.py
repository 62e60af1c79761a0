"""What happens for every push and every chunk, by statements of its own: one round trip where the embedded store's job
would make a dozen, and no SERIALIZABLE transactions that get in each other's way. `migrations/0003_one_trip.sql` says
why these are safe beside each other and beside the rest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from ...domain.ids import split_notification_id
from ...domain.notifications import DeliveryRecord
from ...domain.operations import Counts, Lane
from ...domain.packing import pack_records
from ...ports import Cancellation, InHand, Lease, PackedLease
from ..sqlite import statements
from ..sqlite.canceling import Where, cancel_all, cancel_one
from ..sqlite.packed import is_sound
from ..sqlite.thinning import MOST_PARTS
from ..sqlite.unreadable import Key
from ..sqlite.work import append, let_go
from .accepting import Accepting
from .claims import FLOWS, Claimed, Flows, claim
from .facade import Job, run_job
from .gathering import Gathering
from .jobs import READ_COMMITTED
from .link import Link

T = TypeVar("T")
_sql = statements.load("queueing", __package__)
_work = statements.load("work")

_FENCED, _DONE, _MORE, _THIN = range(4)
_ANY_PARTS = 2**31 - 1
LOOK_MOST = 256
"""Shards that are looked at by one statement."""
FINISH_MOST = 64
"""Small sends that are ended in one transaction."""


def _fence(chunk: Lease) -> dict[str, Any]:
    return {
        "account": chunk.account_id,
        "operation": chunk.operation_id,
        "first": chunk.first,
        "attempt": chunk.attempt,
    }


def _part(packed: bytes | None, counts: Counts) -> dict[str, Any]:
    return {
        "packed": packed,
        "sent": counts.sent,
        "failed": counts.failed,
        "unaddressable": counts.unaddressable,
    }


def _after_others(job: Job[T], where: Where) -> Job[T]:
    """The job, after whoever else ends, gives back or cancels chunks of this operation."""

    def run(connection: apsw.Connection) -> T:
        connection.execute(_sql.lock_operation, where)
        return job(connection)

    return run


class Queueing(Accepting):
    """The hot paths of `ports.OperationStore` and `ports.WorkStore`."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._looking: Gathering[Where, int | None] = Gathering(self._next_of_several, LOOK_MOST)
        self._finishing: Gathering[dict[str, Any], int] = Gathering(self._finish_several, FINISH_MOST)

    # --- claiming

    async def next_due(self, lane: Lane, shard: int, *, after: int | None = None) -> int | None:
        """When the next chunk falls due (or its lease expires), None when none waits. `after` leaves out what was due
        by then."""
        return await self._looking({"lanes": int(lane), "shards": shard, "afters": -1 if after is None else after})

    async def _next_of_several(self, every: Sequence[Where]) -> Sequence[int | None]:
        """For all shards at once whose dispatcher asks at the same moment."""
        values = {name: [each[name] for each in every] for name in every[0]}
        rows = await self._jobs.look(lambda link: link.execute(_sql.next_of_several, values))
        return [row[0] for row in rows]

    async def claim_packed(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[PackedLease]:
        """As `claim`, for whoever hands them on: nothing is opened."""
        wanted: Where = {"lane": int(lane), "shard": shard, "limit": limit, "worker": worker}
        wanted |= await self._lease_times(worker, now, until)
        look = {"lane": wanted["lane"], "shard": wanted["shard"], "now": wanted["now"], "limit": FLOWS}
        rows = await self._jobs.look(lambda link: link.execute(_sql.flows, look))
        if not rows:
            return []
        flows = Flows.of(rows)
        claimed = await self._locking(lambda c: claim(c, wanted, self._turns, hand, flows))
        return await self._hand_out(claimed, wanted["now"])

    async def _lease_times(self, worker: str, now: int, until: int) -> dict[str, int]:
        """From when until when leases of a worker are, whatever step of the clock comes while they wait their turn."""
        since = self._steps.mark()
        self._steps.workers |= {worker}
        await self._settle()
        step = self._steps.since(since)
        return {"now": now + step, "until": until + step}

    async def _hand_out(self, claimed: Claimed, now: int) -> list[PackedLease]:
        """What is to be worked on; of what was asked to stop the rest ends here, and what is damaged is put aside."""
        for chunk in claimed.stopped:
            await self._finish_slowly(chunk, now, None)
        broken = [chunk for chunk in claimed.leases if not is_sound(chunk)]
        for chunk in broken:
            await self._put_aside((chunk.account_id, chunk.operation_id, chunk.first), now)
        return [chunk for chunk in claimed.leases if chunk not in broken] if broken else claimed.leases

    # --- what becomes of a chunk

    async def append_packed(self, chunk: Lease, packed: bytes, counts: Counts, at: int) -> bool:
        """As `append_records`, with records that are packed already, the latest of `at` (ms)."""
        return bool(await self._one(_sql.append, {**_fence(chunk), **_part(packed, counts), "at": at}))

    async def finish(
        self, chunk: Lease, at: int, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """The chunk is done, with a last result part if there is one; the operation ends with its last chunk. False
        when fenced off."""
        last = _part(None, Counts()) | {"part_at": at}
        if records and counts is not None:
            last = _part(pack_records(records), counts) | {"part_at": max(record.at for record in records)}
        values = {**_fence(chunk), **last, "at": at}
        # Of campaigns several chunks are one operation's: nobody is to hold it while waiting for another's.
        outcome = await (self._finishing(values) if chunk.lane is Lane.TX else self._one(_sql.finish, values))
        return await self._finish_slowly(chunk, at, last) if outcome == _MORE else outcome == _DONE

    async def _finish_several(self, every: Sequence[dict[str, Any]]) -> Sequence[int]:
        """As `finish` says of each, in the order of their keys: two who end the same never wait in a circle."""
        if len(every) == 1:
            return [await self._one(_sql.finish, every[0])]
        order = sorted(range(len(every)), key=lambda n: (every[n]["account"], every[n]["operation"], every[n]["first"]))
        values = {name: [every[n][name] for n in order] for name in every[0]}
        rows = await self._jobs.transact(lambda link: link.execute(_sql.finish_several, values), None)
        found = dict(zip(order, (row[0] for row in rows), strict=True))
        return [found[n] for n in range(len(every))]

    async def _finish_slowly(self, chunk: Lease, at: int, last: Where | None) -> bool:
        """Where the rest has to be canceled, or webhooks are to be told."""
        values = {**_fence(chunk), "at": at}

        def job(connection: apsw.Connection) -> bool:
            if last is not None and last["packed"] is not None:
                part = {**values, **last, "at": last["part_at"]}
                if not append(connection, part):
                    return False
            return let_go(connection, _work.finish_chunk, values)

        return await self._locking(_after_others(job, values))

    async def release(self, chunk: Lease, due: int, at: int, *, held: bytes | None = None) -> bool:
        """Gives the chunk back, to be claimed again from `due` on. False when fenced off."""
        since = self._steps.mark()  # before anything is waited for: `due` is of now
        values = {**_fence(chunk), "at": at, "held": held, "due": due, "parts": MOST_PARTS}

        async def give_back() -> Any:
            await self._settle()
            values["due"] = due + self._steps.since(since)
            return await self._one(_sql.release, values)

        outcome = await give_back()
        if outcome == _THIN:
            await self._thin(chunk)
            values["parts"] = _ANY_PARTS
            outcome = await give_back()
        if outcome == _MORE:
            return await self._locking(_after_others(lambda c: let_go(c, _work.release_chunk, values), values))
        return bool(outcome == _DONE)

    async def extend(self, chunk: Lease, until: int) -> bool:
        """Keeps a lease alive; False when another attempt holds the chunk."""
        return await self.extend_all([chunk], until) == 1

    async def extend_all(self, chunks: Sequence[Lease], until: int) -> int:
        """Keeps leases alive, in one write; how many of them were still there."""
        if not chunks:
            return 0
        since = self._steps.mark()
        await self._settle()
        # In the order of their keys: two who extend the same never wait for each other in a circle.
        fences = sorted((c.account_id, c.operation_id, c.first, c.attempt) for c in chunks)
        values = dict(zip(("accounts", "operations", "firsts", "attempts"), zip(*fences, strict=True), strict=True))

        async def body(link: Link) -> int:
            await link.execute(_sql.extend, {**values, "until": until + self._steps.since(since)})
            return link.changed

        return await self._jobs.transact(body, None)

    # --- what locks its operation first

    async def cancel_operation(self, account: bytes, operation_id: bytes, at: int) -> Cancellation:
        """Stops whatever of an operation has not left; `at` in ms."""
        where = {"account": account, "operation": operation_id, "at": at}
        return await self._locking(lambda c: cancel_all(c, where))

    async def cancel_notification(self, account: bytes, notification_id: bytes, at: int) -> Cancellation:
        """Stops one notification that has not left; the id may carry any slot, `at` is in ms."""
        operation, sequence, _ = split_notification_id(notification_id)
        where = {"account": account, "operation": operation, "sequence": sequence, "at": at}
        return await self._locking(_after_others(lambda c: cancel_one(c, where), where))

    async def _end_unreadable(self, attempt: Callable[..., bool], key: Key, now: int) -> bool:
        where = {"account": key[0], "operation": key[1]}
        return await self._locking(_after_others(functools.partial(attempt, key=key, now=now), where))

    # --- ways to run it

    async def _locking(self, job: Job[T]) -> T:
        """What a job returns that locks what it looks at."""
        return await self._jobs.transact(functools.partial(run_job, job), READ_COMMITTED)

    async def _one(self, statement: str, values: Where) -> Any:
        """The only value of a statement that is a transaction of its own. When a connection was lost it may be run
        twice: its fence, or that what it writes is written already, makes the second time harmless."""

        async def body(link: Link) -> Any:
            return (await link.execute(statement, values))[0][0]

        return await self._jobs.transact(body, None)
