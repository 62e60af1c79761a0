"""What PostgreSQL says of pushes and of who has them in hand: the other half of what the oracle needs at a failure."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

import asyncpg
from support.oracle import Received
from support.waiting import HANG_SECONDS

from heliogram.domain import ids
from heliogram.domain.notifications import Outcome
from heliogram.store.sqlite.packed import open_records

T = TypeVar("T")
WAITING, LEASED, DONE = 0, 1, 2


class Ledger:
    """Reads one database anew each time it is asked; `worker` is what a node writes beside its leases: HOST:PID."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.unrecorded: Counter[str] = Counter()
        """Pushes that were taken while nothing said so and the one that had sent them was gone: they may come again."""
        self._counted: dict[str, int] = {}
        self._known = 0
        self._sent: dict[bytes, list[tuple[int, str]]] = {}
        """Of the first `_known` ids that were received: sequence and `apns-id`, by operation."""

    def __repr__(self) -> str:
        return f"Ledger(unrecorded={self.unrecorded.total()})"

    def in_hand(self, pid: int) -> int:
        """For how many recipients a node holds chunks and has not said how they ended."""
        return int(self._value(_IN_HAND, f"%:{pid}"))

    def in_state(self, state: int) -> int:
        """How many chunks are in a state."""
        return int(self._value("SELECT count(*) FROM chunk WHERE state = $1", state))

    def depth(self) -> dict[str, int]:
        """Recipients that wait, as the counters that bound the queue have it: of all, by account, and counted anew."""
        rows = self._rows("SELECT encode(account_id, 'hex'), sum(waiting)::bigint FROM queue_depth GROUP BY 1")
        found = {str(account) or "all": int(waiting) for account, waiting in rows}
        return found | {"counted": int(self._value(_WAITING))}

    def locked(self) -> int:
        """How many wait for a lock."""
        return int(self._value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

    def office(self) -> set[tuple[str, int]]:
        """Addresses and ports of those who have an office."""
        rows = self._rows(
            "SELECT host(client_addr), client_port FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted"
        )
        return {(str(host), int(port)) for host, port in rows if host is not None}

    def lost(self, pid: int, read: Callable[[], Received]) -> int:
        """How many pushes of what a node holds were taken while nothing in the database says so; each may come once
        more. For a node that can write no more: it is dead, or cut off.

        The database is asked first, then what was received: of what the node held at that moment nothing is missed. A
        look costs what has come since the last one, for the node's leases end while others look."""
        held, recorded = self._run(lambda link: _held_by(link, f"%:{pid}"))
        received = read()
        for apns_id in islice(received.accepted, self._known, None):
            operation, sequence, _ = ids.split_notification_id(bytes.fromhex(apns_id.replace("-", "")))
            self._sent.setdefault(operation, []).append((sequence, apns_id))
        self._known = len(received.accepted)
        found = 0
        for operation, parts in held.items():
            for sequence, apns_id in self._sent.get(operation, ()):
                ours = any(first <= sequence < first + size for first, size in parts)
                times = received.accepted[apns_id]
                if ours and apns_id not in recorded and times > self._counted.get(apns_id, 0):
                    self._counted[apns_id] = times
                    self.unrecorded[apns_id] += 1
                    found += 1
        return found

    def _value(self, text: str, *values: object) -> Any:
        return self._rows(text, *values)[0][0]

    def _rows(self, text: str, *values: object) -> list[Any]:
        async def fetch(link: asyncpg.Connection) -> list[Any]:
            return list(await link.fetch(text, *values))

        return self._run(fetch)

    def _run(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def connected() -> T:
            link = await asyncpg.connect(self.url, timeout=HANG_SECONDS)
            try:
                async with link.transaction(isolation="repeatable_read", readonly=True):
                    return await work(link)
            finally:
                await link.close()

        return asyncio.run(connected())


_WAITING = "SELECT coalesce(sum(size - sent - failed - unaddressable - canceled), 0) FROM chunk WHERE state < 2"
_IN_HAND = _WAITING.replace("state < 2", "state = 1 AND worker LIKE $1")

Held = dict[bytes, list[tuple[int, int]]]


async def _held_by(link: asyncpg.Connection, worker: str) -> tuple[Held, set[str]]:
    """The chunks that a worker holds, and which pushes of their operations are on record as taken."""
    held: Held = {}
    asked = "SELECT operation_id, first, size FROM chunk WHERE state = 1 AND worker LIKE $1"
    for operation, first, size in await link.fetch(asked, worker):
        held.setdefault(operation, []).append((first, size))
    recorded = set[str]()
    for operation, packed in await link.fetch(
        "SELECT operation_id, packed FROM chunk_result WHERE operation_id = ANY($1)", list(held)
    ):
        for record in open_records([packed]):
            if record.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                recorded.add(ids.uuid_text(ids.notification_id(operation, record.sequence, record.slot)))
    return held, recorded
