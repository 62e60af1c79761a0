"""The queue's side of the store: chunks are claimed, written to and finished, every write fenced by its attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import apsw
import structlog

from ...domain.errors import Unreadable
from ...domain.ids import notification_id
from ...domain.notifications import DeliveryRecord
from ...domain.operations import Counts, Lane
from ...domain.packing import pack_records
from ...ports import InHand, Lease, LeasedChunk, PackedLease
from ..errors import StoreDamaged
from . import statements
from .base import OFFLOAD_BYTES, Base, offload
from .canceling import Where, end_operation, end_rest
from .claims import claim
from .depth import recount
from .idempotency import let_go_of_keys
from .packed import is_sound, open_leases
from .steps import settle_start
from .thinning import MOST_PARTS, count_parts, read_parts, replace_parts, thin
from .unreadable import Key, count_unreadable, due_keys, fail_unreadable, put_off, read_chunk

log = structlog.get_logger(__name__)
_sql = statements.load("work")

HELD_SLICE = 500
"""The most waiting chunks that one job makes due."""


def _fence(chunk: Lease) -> Where:
    return {
        "account": chunk.account_id,
        "operation": chunk.operation_id,
        "first": chunk.first,
        "attempt": chunk.attempt,
    }


def _part(chunk: Lease, packed: bytes, counts: Counts, at: int) -> Where:
    return {
        **_fence(chunk),
        "sent": counts.sent,
        "failed": counts.failed,
        "unaddressable": counts.unaddressable,
        "packed": packed,
        "at": at,
    }


def append(connection: apsw.Connection, values: Where) -> bool:
    """Appends a result part, unless another attempt holds the chunk."""
    parts: Any = connection.execute(_sql.count_part, values).fetchall()
    if parts:
        connection.execute(_sql.insert_part, {**values, "part": parts[0][0]})
    return bool(parts)


def finish_whole(connection: apsw.Connection, values: Where) -> bool:
    """Appends the last result part and ends the chunk, as `append` and `let_go` do, in one go; False, and nothing
    written, for one that another attempt holds or whose operation was asked to stop."""
    parts: Any = connection.execute(_sql.finish_with_part, values).fetchall()
    if not parts:
        return False
    connection.execute(_sql.insert_part, {**values, "part": parts[0][0]})
    end_operation(connection, {**values, "at": values["ended"]})
    return True


def let_go(connection: apsw.Connection, sql: str, values: Where) -> bool:
    """Ends or gives back a chunk; of an operation that was asked to stop, the rest of it ends here and now."""
    if connection.execute(_sql.stopped, values).fetchone() is not None:
        end_rest(connection, values)
    elif not _changed(connection, sql, values):
        return False
    end_operation(connection, values)
    return True


def _changed(connection: apsw.Connection, sql: str, values: Where) -> bool:
    return _count_changed(connection, sql, values) > 0


def _count_changed(connection: apsw.Connection, sql: str, values: Where) -> int:
    connection.execute(sql, values)
    return connection.changes()


class Work(Base):
    """`ports.WorkStore`."""

    async def claim(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[LeasedChunk]:
        """Takes due chunks of one shard: of the accounts in turn, by their weights, of each the longest due first."""
        claimed = await self.claim_packed(lane, shard, limit=limit, now=now, until=until, worker=worker, hand=hand)
        return await open_leases(claimed)

    async def claim_packed(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[PackedLease]:
        """As `claim`, for whoever hands them on: nothing is opened."""
        wanted = {
            "lane": int(lane),
            "shard": shard,
            "limit": limit,
            "now": now,
            "until": until,
            "worker": worker,
        }

        def job(connection: apsw.Connection, step: int) -> list[PackedLease]:
            return claim(connection, {**wanted, "now": now + step, "until": until + step}, self._turns, hand)

        try:
            claimed = await self._write_times(job)
        except StoreDamaged:
            if not await self._put_damaged_aside(int(lane), shard, now):
                raise
            claimed = await self._write_times(job)
        broken = [chunk for chunk in claimed if not is_sound(chunk)]
        if not broken:
            return claimed
        for chunk in broken:
            await self._put_aside((chunk.account_id, chunk.operation_id, chunk.first), now)
        return [chunk for chunk in claimed if chunk not in broken]

    async def _put_damaged_aside(self, lane: int, shard: int, now: int) -> int:
        """Puts aside what is due and cannot be read, so that the rest can go; how many chunks that were."""
        put = 0
        for key in await self._list(lambda c: due_keys(c, lane, shard, now)):
            try:
                await self._list(partial(read_chunk, key=key))
            except Unreadable:
                put += await self._put_aside(key, now)
        return put

    async def _put_aside(self, key: Key, now: int) -> bool:
        """Ends a chunk that cannot be read, or lets it wait when not even that can be written; False for neither."""
        error: Exception | None = None
        for attempt in (fail_unreadable, count_unreadable, put_off):
            try:
                return await self._end_unreadable(attempt, key, now)
            except StoreDamaged as caught:
                error = caught
        log.error("chunk.unreadable", chunk=notification_id(key[1], key[2]).hex(), error=str(error))
        return False

    async def _end_unreadable(self, attempt: Callable[..., bool], key: Key, now: int) -> bool:
        return await self._write(partial(attempt, key=key, now=now))

    async def next_due(self, lane: Lane, shard: int, *, after: int | None = None) -> int | None:
        """When the next chunk falls due (or its lease expires), None when none waits. `after` leaves out what was due
        by then."""
        values = {"lane": int(lane), "shard": shard, "after": -1 if after is None else after}
        due: Any = await self._read(lambda c: c.execute(_sql.next_due, values).get)
        return due if due is None else int(due)

    async def extend(self, chunk: Lease, until: int) -> bool:
        """Keeps a lease alive; False when another attempt holds the chunk."""
        values = _fence(chunk)
        return await self._write_times(
            lambda c, step: _changed(c, _sql.extend_lease, {**values, "until": until + step})
        )

    async def extend_all(self, chunks: Sequence[Lease], until: int) -> int:
        """Keeps leases alive, in one write; how many of them were still there."""
        fences = [_fence(chunk) for chunk in chunks]

        def job(connection: apsw.Connection, step: int) -> int:
            where = {"until": until + step}
            return sum(_count_changed(connection, _sql.extend_lease, {**fence, **where}) for fence in fences)

        return await self._write_times(job)

    async def append_records(self, chunk: Lease, records: Sequence[DeliveryRecord], counts: Counts) -> bool:
        """Appends a result part. `counts` are the chunk's counters with it, in whole, but for those canceled. False
        when fenced off."""
        at = max((record.at for record in records), default=0)
        return await self.append_packed(chunk, pack_records(records), counts, at)

    async def append_packed(self, chunk: Lease, packed: bytes, counts: Counts, at: int) -> bool:
        """As `append_records`, with records that are packed already, the latest of `at` (ms)."""
        values = _part(chunk, packed, counts, at)
        return await self._write(lambda c: append(c, values))

    async def finish(
        self, chunk: Lease, at: int, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """The chunk is done, with a last result part if there is one; the operation ends with its last chunk. False
        when fenced off."""
        values = {**_fence(chunk), "at": at}
        if not records or counts is None:
            return await self._write(lambda c: let_go(c, _sql.finish_chunk, values))
        last = _part(chunk, pack_records(records), counts, max([record.at for record in records]))

        def job(connection: apsw.Connection) -> bool:
            if finish_whole(connection, {**last, "ended": at}):
                return True
            return append(connection, last) and let_go(connection, _sql.finish_chunk, values)

        return await self._write(job, bare=True)

    async def release(self, chunk: Lease, due: int, at: int, *, held: bytes | None = None) -> bool:
        """Gives the chunk back, to be claimed again from `due` on. False when fenced off."""
        mark = self._steps.mark()  # before anything is waited for: `due` is of now
        await self._thin(chunk)
        values = {**_fence(chunk), "at": at, "held": held}
        return await self._write_times(
            lambda c, step: let_go(c, _sql.release_chunk, {**values, "due": due + step}), mark=mark
        )

    async def _thin(self, chunk: Lease) -> None:
        """Takes out of a chunk's results what later ones superseded, if there are many."""
        where = _fence(chunk)
        if await self._read(lambda c: count_parts(c, where)) <= MOST_PARTS:
            return
        try:
            parts = await self._list(lambda c: read_parts(c, where))
            thinned = await offload(parts.bytes >= OFFLOAD_BYTES, thin, parts)
        except Unreadable as error:  # the next claim deals with it
            log.error("chunk.not_thinned", chunk=chunk.id.hex(), error=str(error))
            return
        if any(part.packed is not None for part in thinned):
            await self._write(lambda c: replace_parts(c, where, thinned))

    async def let_go_held(self, account: bytes, credential_id: bytes, now: int, *, most: int | None = None) -> int:
        """Makes what waits for a credential due, in slices; how many chunks that were."""
        size = HELD_SLICE if most is None else most
        values: Where = {"account": account, "credential": credential_id, "now": now, "limit": size}
        total, more = 0, size
        while more == size and total != most:
            more = await self._write(lambda c: _count_changed(c, _sql.let_go, values))
            total += more
        return total

    async def count_held(self, account: bytes, credential_id: bytes) -> int:
        """How many recipients wait for a credential."""
        values: Where = {"account": account, "credential": credential_id}
        count: Any = await self._read(lambda c: c.execute(_sql.count_held, values).get)
        return int(count)

    async def release_all(self, now: int) -> int:
        """Makes every leased chunk due now and tells how many, and lets go of the requests that were being handled."""

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.release_all, {"now": now})
            released = connection.changes()
            connection.execute(_sql.let_all_go, {"now": now})
            let_go_of_keys(connection)
            settle_start(connection, now)
            recount(connection)
            return released

        return await self._write(job)
