"""Claiming in few round trips: the queues of both kinds are found by one statement, what is claimed is leased by one,
and what was recorded of it read by one. Whose turn it is is decided as in the embedded store.

What another node is claiming at the same moment is locked and skipped: nobody waits for a claim, and no chunk is handed
out twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

from ...domain.operations import OperationStatus
from ...domain.webhooks import EventType
from ...ports import InHand, PackedLease
from ...ports.work import ACCOUNT_BYTES
from ..sqlite import statements
from ..sqlite.canceling import Where
from ..sqlite.claims import Claim, Kind
from ..sqlite.events import emit_operation
from ..sqlite.packed import packed_lease
from ..sqlite.turns import Turns

_sql = statements.load("claims")
_own = statements.load("queueing", __package__)

FLOWS = 64
"""So many queues of a kind are found at once."""

Key = tuple[bytes, bytes, int]
"""Account, operation and first sequence of a chunk."""


class Claimed(NamedTuple):
    """What one claim leased: chunks to be worked on, and chunks of operations that were asked to stop while a worker
    that is gone held them."""

    leases: list[PackedLease]
    stopped: list[PackedLease]


class Flows(NamedTuple):
    """The queues with something to claim, by kind: ordered, and all of them if there are less than `FLOWS`."""

    kinds: dict[str, list[bytes]]
    weights: dict[bytes, int]

    @classmethod
    def of(cls, rows: Any) -> Flows:
        """From the rows of `flows`."""
        kinds: dict[str, list[bytes]] = {"due": [], "starting": []}
        for starts, flow, _ in rows:
            kinds["starting" if starts else "due"].append(flow)
        weights = {flow[:ACCOUNT_BYTES]: weight for _, flow, weight in rows}
        return cls({kind: sorted(flows) for kind, flows in kinds.items()}, weights)


def claim(connection: apsw.Connection, wanted: Where, turns: Turns, hand: InHand | None, flows: Flows) -> Claimed:
    """At most `limit` chunks of one lane and shard, leased, in a READ COMMITTED transaction."""
    return _Claim(connection, wanted, turns, hand, flows).take_all()


def arrays_of(keys: list[Key]) -> dict[str, Any]:
    """Keys as a statement takes many."""
    accounts, operations, firsts = zip(*keys, strict=True)
    return {"accounts": accounts, "operations": operations, "firsts": firsts}


class _Claim(Claim):
    """One claim. What is found of a queue is locked, and leased together before anything else is looked for."""

    def __init__(
        self, connection: apsw.Connection, wanted: Where, turns: Turns, hand: InHand | None, flows: Flows
    ) -> None:
        super().__init__(connection, wanted, turns, hand)
        self._known = flows.kinds
        turns.weights.update(flows.weights)
        self._found: list[tuple[bytes, Any]] = []
        self._stopped: list[PackedLease] = []

    def take_all(self) -> Claimed:
        """Chooses and leases."""
        self.run()
        self._hand_out()
        return Claimed(self._claimed, self._stopped)

    def _find(self, kind: Kind, after: bytes, below: bytes, limit: int) -> list[bytes]:
        known = self._known[kind.name]
        if len(known) == FLOWS:
            return super()._find(kind, after, below, limit)
        return [flow for flow in known if after < flow < below][:limit]

    def _chunks(self, kind: Kind, values: Where) -> list[Any]:
        self._hand_out()  # what was found before must not be found again
        return super()._chunks(kind, values)

    def _lease(self, flow: bytes, row: Any) -> None:
        self._found.append((flow, row))
        if row[10] is None:
            taken = 1 if self._slots is None else self._slots.taken_by(row[11])
            self._taken += taken
            self._flows[flow] += taken
            self._accounts[flow[:ACCOUNT_BYTES]] += taken
            self._left -= 1

    def _hand_out(self) -> None:
        found, self._found = self._found, []
        if not found:
            return
        self._connection.execute(
            _own.take, {**self._wanted, **arrays_of([(row[0], row[1], row[2]) for _, row in found])}
        )
        begin = [(row[0], row[1]) for _, row in found if row[9] == OperationStatus.SCHEDULED and row[10] is None]
        for account, operation in dict.fromkeys(begin):
            self._begin(account, operation)
        parts = self._parts([(row[0], row[1], row[2]) for _, row in found if row[4]])
        for flow, row in found:
            lease = self._leased(flow, row, parts.get((row[0], row[1], row[2]), []))
            (self._claimed if row[10] is None else self._stopped).append(lease)

    def _leased(self, flow: bytes, row: Any, parts: list[bytes]) -> PackedLease:
        wanted = self._wanted
        account, operation, first, attempt, _, packed, spec, created, send_at, _, _, _ = row
        return packed_lease(
            (account, operation, first),
            lane=wanted["lane"],
            shard=wanted["shard"],
            flow=flow,
            attempt=attempt + 1,
            row=(packed, spec, created, send_at),
            parts=parts,
            wanted=wanted,
        )

    def _begin(self, account: bytes, operation: bytes) -> None:
        where = {**self._wanted, "account": account, "operation": operation}
        self._connection.execute(_sql.begin_operation, where)
        if self._connection.changes():
            emit_operation(self._connection, account, EventType.OPERATION_PROCESSING, operation, self._wanted["now"])

    def _parts(self, keys: list[Key]) -> dict[Key, list[bytes]]:
        found: dict[Key, list[bytes]] = {}
        rows: Any = self._connection.execute(_own.parts_of, arrays_of(keys)).fetchall() if keys else ()
        for account, operation, first, packed in rows:
            found.setdefault((account, operation, first), []).append(packed)
        return found
