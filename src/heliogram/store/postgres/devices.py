"""What the API asks most, in one round trip each where nothing about it is out of the ordinary; else the job does it.

These are single statements under READ COMMITTED. They are safe beside the jobs since they only write rows, or make
keys, that the jobs for the same things write or make: the device's own, and the idempotency key's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...domain.devices import NewDevice, Registered
from ...ports import KeptAnswer, KeyTaken, Reserved
from ..sqlite import idempotency, statements
from ..sqlite.devices import values_of
from ..sqlite.idempotency import KEPT_MS, Idempotency
from ..sqlite.registrations import Registrations
from .base import PostgresBase
from .link import Link

_sql = statements.load("devices", __package__)


class Devices(PostgresBase, Registrations, Idempotency):
    """Registering anew, and keys of requests that are no repetition."""

    async def register_device(self, account: bytes, device: NewDevice, at: int) -> Registered:
        """As the port says."""
        values = {**values_of(account, device, at), "user": device.user_id, "external": device.external_id}
        found = await self._first_row(_sql.renew, values)
        if found is None:
            return await super().register_device(account, device, at)
        registration, user, slot = found
        return Registered(
            registration_id=registration, user_id=user, slot=slot, created_user=False, displaced=None, replaced=None
        )

    async def reserve_key(
        self, account: bytes, key: str, fingerprint: bytes, *, ident: bytes, now: int, until: int
    ) -> Reserved | KeptAnswer | KeyTaken:
        """As the port says."""
        values = {
            "account": account,
            "key": key,
            "fingerprint": fingerprint,
            "ident": ident,
            "now": now,
            "until": until,
            "before": now - KEPT_MS,
            "most": idempotency.PRUNED,
        }
        if await self._first_row(_sql.reserve_new_key, values) is not None:
            return Reserved(ident=ident)
        return await super().reserve_key(account, key, fingerprint, ident=ident, now=now, until=until)

    async def _first_row(self, statement: str, values: dict[str, Any]) -> Any:
        """The only row of a statement that is a transaction by itself, and may be run twice."""
        rows = await self._jobs.transact(partial(_execute, statement=statement, values=values), None)
        return rows[0] if rows else None


async def _execute(link: Link, statement: str, values: dict[str, Any]) -> Any:
    return await link.execute(statement, values)
