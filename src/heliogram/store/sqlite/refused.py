"""Device tokens that the provider refused, as the store remembers them for whoever sends to tokens directly."""

from __future__ import annotations

from typing import Any

import apsw

from ...domain.apps import Environment
from ...domain.devices import TokenKind
from ...domain.lookups import RefusedToken
from . import statements
from .base import Base

_sql = statements.load("refused")

REMEMBERED_MS = 24 * 3600 * 1000
"""How long a refusal of a token that nobody registered is believed: it may have been for a wrong topic or environment
that is put right since, and one push a day to a dead token does no harm (LIFE-9)."""
SLICE = 1_000


def refuse(connection: apsw.Connection, where: dict[str, Any]) -> None:
    """Keeps a refusal of a token that is not registered: `account`, `app`, `token`, `kind`, `environment`, `reason`,
    `credential`, `at`."""
    connection.execute(_sql.refuse, where)


def forget_token(connection: apsw.Connection, where: dict[str, Any]) -> None:
    """Believes no refusal of a token any more: its app has registered it."""
    connection.execute(_sql.forget_token, where)


def refused_of(
    connection: apsw.Connection, where: dict[str, Any], kind: TokenKind, now: int
) -> dict[bytes, list[RefusedToken]]:
    """What was said of the `tokens` of an `account` and `app`, and is believed at `now`."""
    values = {**where, "kind": kind.value, "since": now - REMEMBERED_MS}
    found: dict[bytes, list[RefusedToken]] = {}
    rows: Any = connection.execute(_sql.refused, values).fetchall()
    for token, environment, reason, credential in rows:
        place = Environment(environment) if environment else None
        found.setdefault(token, []).append(RefusedToken(place, reason, credential or None))
    return found


class RefusedTokens(Base):
    """That part of `ports.DeviceStore`."""

    async def forget_refused(self, now: int) -> int:
        """Removes some of what is no longer believed; how many that were."""
        values = {"before": now - REMEMBERED_MS, "limit": SLICE}

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.forget_refused, values)
            return connection.changes()

        return await self._write(job)
