"""Idempotency keys and the answers they stand for."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ...ports import KeptAnswer, KeyTaken, Reserved
from . import statements
from .base import Base

_sql = statements.load("idempotency")

KEPT_MS = 24 * 3600 * 1000
"""How long a key stands for its first request."""
PRUNED = 50
"""The most keys that one reservation forgets: more than it adds, so that the table follows the last day's keys."""

_headers = msgspec.json.Decoder(list[tuple[str, str]])


def let_go_of_keys(connection: apsw.Connection) -> None:
    """Takes every request for abandoned: only for a process that knows it is alone on the store."""
    connection.execute(_sql.let_go)


def _reserve(connection: apsw.Connection, values: dict[str, Any]) -> Reserved | KeptAnswer | KeyTaken:
    expired = values["now"] - KEPT_MS
    connection.execute(_sql.prune, {"before": expired, "most": PRUNED})
    row: Any = connection.execute(_sql.find_key, values).fetchone()
    if row is None or row[2] <= expired:
        return _put(connection, values)
    fingerprint, ident, _, held, status, headers, sealed = row
    if fingerprint != values["fingerprint"]:
        return _put(connection, values) if held is None else KeyTaken.REUSED
    if status is not None:
        return KeptAnswer(ident=ident, status=status, headers=_headers.decode(headers), sealed=sealed)
    if held is not None and held > values["now"]:
        return KeyTaken.IN_USE
    owner = values["ident"].hex()
    connection.execute(_sql.hold_key, {**values, "owner": owner})
    return Reserved(ident=ident, again=True, owner=owner)


def _put(connection: apsw.Connection, values: dict[str, Any]) -> Reserved:
    connection.execute(_sql.put_key, values)
    return Reserved(ident=values["ident"])


class Idempotency(Base):
    """`ports.IdempotencyStore`."""

    async def reserve_key(
        self, account: bytes, key: str, fingerprint: bytes, *, ident: bytes, now: int, until: int
    ) -> Reserved | KeptAnswer | KeyTaken:
        """Takes a key for a request, or tells what is known of the key. Forgets some old keys on the way."""
        values = {
            "account": account,
            "key": key,
            "fingerprint": fingerprint,
            "ident": ident,
            "now": now,
            "until": until,
        }
        return await self._write(lambda c: _reserve(c, values))

    async def keep_answer(self, account: bytes, key: str, answer: KeptAnswer, *, owner: str = "") -> bool:
        """Keeps the answer to the request that holds the key, unless another has taken it over."""
        values = {
            "account": account,
            "key": key,
            "ident": answer.ident,
            "status": answer.status,
            "headers": msgspec.json.encode(answer.headers).decode(),
            "sealed": answer.sealed,
            "owner": owner,
        }

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.keep_answer, values)
            return connection.changes() > 0

        return await self._write(job)

    async def free_key(self, account: bytes, key: str, ident: bytes, *, owner: str = "") -> None:
        """The request was not done: any other may use the key."""
        values = {"account": account, "key": key, "ident": ident, "owner": owner}
        await self._write(lambda c: c.execute(_sql.free_key, values))

    async def forget_idempotency(self, now: int) -> int:
        """Forgets at most `PRUNED` keys that are older than 24 hours."""
        values = {"before": now - KEPT_MS, "most": PRUNED}

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.prune, values)
            return connection.changes()

        return await self._write(job)
