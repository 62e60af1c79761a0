"""What a broker that carries references asks of the store: see `ports.ReferenceStore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from ...domain.ids import split_notification_id
from ...domain.operations import Lane
from ...ports import ON_THE_ROAD, ChunkRef, LeasedChunk, PackedLease
from . import statements
from .canceling import Where, end_operation, end_rest
from .packed import is_sound, open_leases, packed_lease
from .work import Work

_sql = statements.load("references")


def take(connection: apsw.Connection, refs: Sequence[ChunkRef], values: Where) -> list[PackedLease]:
    """The chunks of those references that are not stale, leased by `worker` from `now` `until`."""
    taken = [_take(connection, ref, values) for ref in refs]
    return [chunk for chunk in taken if chunk is not None]


def _take(connection: apsw.Connection, ref: ChunkRef, values: Where) -> PackedLease | None:
    operation, first, _ = split_notification_id(ref.id)
    where = {
        **values,
        "account": ref.account_id,
        "operation": operation,
        "first": first,
        "attempt": ref.attempt,
        "road": ON_THE_ROAD,
        "at": values["now"],
    }
    rows: Any = connection.execute(_sql.take_chunk, where).fetchall()
    if not rows:
        return None
    ((lane, shard, flow, attempt, written),) = rows
    row: Any = connection.execute(_sql.taken_chunk, where).fetchone()
    packed, spec, created, send_at, canceled = row
    if canceled is not None:  # it was asked to stop while nobody held it who could have heard
        end_rest(connection, where)
        end_operation(connection, where)
        return None
    parts: Any = connection.execute(_sql.parts, where).fetchall() if written else ()
    return packed_lease(
        (ref.account_id, operation, first),
        lane=lane,
        shard=shard,
        flow=flow,
        attempt=attempt,
        row=(packed, spec, created, send_at),
        parts=[part for (part,) in parts],
        wanted=values,
    )


class References(Work):
    """`ports.ReferenceStore`."""

    async def claim_refs(self, lane: Lane, shard: int, *, limit: int, now: int, until: int) -> list[ChunkRef]:
        """As `claim`, for nobody yet."""
        claimed = await self.claim_packed(lane, shard, limit=limit, now=now, until=until, worker=ON_THE_ROAD)
        return [
            ChunkRef(id=chunk.id, lane=chunk.lane, shard=chunk.shard, flow=chunk.flow, attempt=chunk.attempt)
            for chunk in claimed
        ]

    async def load(self, refs: Sequence[ChunkRef], *, now: int, until: int, worker: str) -> list[LeasedChunk]:
        """Takes the chunks that references name, but for stale ones. A row that is not what was written is put aside.
        Raises `ValueError` for a worker that is named as the road is."""
        return await open_leases(await self.load_packed(refs, now=now, until=until, worker=worker))

    async def load_packed(self, refs: Sequence[ChunkRef], *, now: int, until: int, worker: str) -> list[PackedLease]:
        """As `load`, for whoever hands them on: nothing is opened."""
        if worker == ON_THE_ROAD:
            raise ValueError(f"worker: {ON_THE_ROAD!r} stands for nobody, give another name")

        def job(connection: apsw.Connection, step: int) -> list[PackedLease]:
            return take(connection, refs, {"now": now + step, "until": until + step, "worker": worker})

        taken = await self._write_times(job)
        broken = [chunk for chunk in taken if not is_sound(chunk)]
        for chunk in broken:
            await self._put_aside((chunk.account_id, chunk.operation_id, chunk.first), now)
        return [chunk for chunk in taken if chunk not in broken] if broken else taken

    async def recall(self, lane: Lane, shard: int, now: int) -> int:
        """Makes due what is on the road in a shard; how many chunks that were."""
        values: Where = {"lane": int(lane), "shard": shard, "road": ON_THE_ROAD}

        def job(connection: apsw.Connection, step: int) -> int:
            connection.execute(_sql.recall, {**values, "now": now + step})
            return connection.changes()

        return await self._write_times(job)
