"""Taking what references of a broker name: one round trip for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.ids import split_notification_id
from ...ports import ON_THE_ROAD, ChunkRef, PackedLease
from ..sqlite import statements
from ..sqlite.canceling import Where
from ..sqlite.packed import packed_lease
from ..sqlite.references import References
from .claims import Claimed, Key, arrays_of
from .link import Link
from .queueing import Queueing

_sql = statements.load("queueing", __package__)


class NodeReferences(Queueing, References):
    """`ports.ReferenceStore`."""

    async def load_packed(self, refs: Sequence[ChunkRef], *, now: int, until: int, worker: str) -> list[PackedLease]:
        """As `load`, for whoever hands them on: nothing is opened."""
        if worker == ON_THE_ROAD:
            raise ValueError(f"worker: {ON_THE_ROAD!r} stands for nobody, give another name")
        if not refs:
            return []
        wanted: Where = {"worker": worker, "road": ON_THE_ROAD, **await self._lease_times(worker, now, until)}
        keys = {(ref.account_id, *split_notification_id(ref.id)[:2]): ref for ref in refs}
        locked = sorted(keys)  # by their keys, as all who take several: nobody waits for another in a circle
        attempts = [keys[key].attempt for key in locked]

        async def body(link: Link) -> tuple[Any, dict[Key, list[bytes]]]:
            rows = await link.execute(_sql.load, {**wanted, **arrays_of(locked), "attempts": attempts})
            told = [(row[0], row[1], row[2]) for row in rows if row[7]]
            parts: dict[Key, list[bytes]] = {}
            for account, operation, first, packed in await link.execute(_sql.parts_of, arrays_of(told)) if told else ():
                parts.setdefault((account, operation, first), []).append(packed)
            return rows, parts

        rows, parts = await self._jobs.transact(body, None)
        claimed, order = Claimed([], []), {key: place for place, key in enumerate(keys)}
        for row in sorted(rows, key=lambda row: order[row[0], row[1], row[2]]):
            lease = _lease(row, parts.get((row[0], row[1], row[2]), []), wanted)
            (claimed.leases if row[12] is None else claimed.stopped).append(lease)
        return await self._hand_out(claimed, wanted["now"])


def _lease(row: Any, parts: list[bytes], wanted: Where) -> PackedLease:
    account, operation, first, lane, shard, flow, attempt, _, packed, spec, created, send_at, _ = row
    return packed_lease(
        (account, operation, first),
        lane=lane,
        shard=shard,
        flow=flow,
        attempt=attempt,
        row=(packed, spec, created, send_at),
        parts=parts,
        wanted=wanted,
    )
