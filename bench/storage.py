"""What PostgreSQL keeps of each thing, and what it writes to its log for it: the growth of the whole database, in bytes
each, old row versions that nobody has removed yet included."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import asyncpg

from bench.api import load, registrations, sends
from bench.fleet import PUSH, Fleet

CONNECTIONS = 64
_SIZES = "SELECT pg_database_size(current_database()), pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


def storage(place: tuple[int, str], campaign: Callable[[str, Fleet], bytes], seconds: float, operations: int) -> None:
    """Devices, single sends, and campaigns of each kind."""
    print("\nPostgreSQL: bytes of the database, and of its log, for each")
    with ExitStack() as stack:
        fleet = Fleet(stack, "postgres", *place)
        fleet.app()
        path, one = f"{PUSH}/DeviceRegistrations", sends({"token": secrets.token_hex(32), "provider": "APN"})

        def registered() -> int:
            return len(asyncio.run(load(fleet.target, _unique(), path, CONNECTIONS, seconds)))

        def sent() -> int:
            count = len(asyncio.run(load(fleet.target, one, PUSH, CONNECTIONS, seconds)))
            fleet.until_all_ended()
            return count

        _told("device, its user and its registration", fleet, registered)
        _told("send to one token", fleet, sent)
        for case in ("direct", "personal", "users"):
            body = campaign(case, fleet)
            recipients = len(json.loads(body)["to"])

            def campaigns(body: bytes = body, recipients: int = recipients) -> int:
                fleet.until_ended([fleet.send(body) for _ in range(operations)], recipients)
                return operations * recipients

            _told(f"recipient of a campaign ({case})", fleet, campaigns)


def _unique() -> Any:
    first = secrets.randbelow(1 << 200)
    return registrations(itertools.count(first))


def _told(what: str, fleet: Fleet, work: Callable[[], int]) -> None:
    before = asyncio.run(_sizes(fleet))
    count = work()
    kept, logged = (now - then for now, then in zip(asyncio.run(_sizes(fleet)), before, strict=True))
    print(f"  {what:40} {kept / count:8,.0f} kept {logged / count:8,.0f} logged   ({count:,})", flush=True)


async def _sizes(fleet: Fleet) -> tuple[int, int]:
    connection: Any = await asyncpg.connect(fleet.database)
    try:
        kept, logged = await connection.fetchrow(_SIZES)
        return int(kept), int(logged)
    finally:
        await connection.close()
