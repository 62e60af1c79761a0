"""How credentials do: what processes that send write down of it, and what becomes of it together."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ...ports import Failing, LastAnswer, Standing
from ...ports.health import SILENT_MS, Answers, Troubles, merged_failing
from . import statements
from .base import Base

_sql = statements.load("standing")


def _standings(connection: apsw.Connection, account: bytes, alive: int, but: bytes) -> dict[bytes, Standing]:
    found: dict[bytes, Standing] = {}
    answers: Any = connection.execute(_sql.answers, {"account": account}).fetchall()
    for ident, at, status, reason, succeeded in answers:
        found[bytes(ident)] = Standing(answer=LastAnswer(at=at, status=status, reason=reason, succeeded=succeeded))
    troubles: Any = connection.execute(_sql.troubles, {"account": account, "alive": alive, "but": but}).fetchall()
    for ident, reason, since, probe_at in troubles:
        known = found.get(bytes(ident), Standing())
        failing = merged_failing(known.failing, Failing(reason=reason, since=since, probe_at=probe_at))
        found[bytes(ident)] = msgspec.structs.replace(known, failing=failing)
    return found


class Standings(Base):
    """`ports.StandingStore`."""

    async def tell_answers(self, answers: Answers) -> None:
        """Keeps the last answers."""
        rows = [
            {
                "account": account.hex(),
                "credential": ident.hex(),
                "answered": each.at,
                "status": each.status,
                "reason": each.reason.replace("\0", ""),
                "succeeded": each.succeeded,
            }
            for (account, ident), each in answers.items()
        ]
        values = {"rows": msgspec.json.encode(rows).decode()}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.tell_answers, values)

        await self._write(job)

    async def tell_troubles(self, node: bytes, troubles: Troubles, at: int) -> None:
        """What fails, as this process knows it, in place of what it said before."""
        rows = [
            {
                "account": account.hex(),
                "credential": ident.hex(),
                "reason": each.reason.replace("\0", ""),
                "since": each.since,
                "probeAt": each.probe_at,
            }
            for (account, ident), each in troubles.items()
        ]
        values = {"node": node, "at": at, "rows": msgspec.json.encode(rows).decode()}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.trouble_over, {"node": node})
            if rows:
                connection.execute(_sql.tell_troubles, values)

        await self._write(job)

    async def credential_standings(self, account: bytes, now: int, *, but: bytes = b"") -> dict[bytes, Standing]:
        """How the account's credentials do."""
        return await self._read(lambda c: _standings(c, account, now - SILENT_MS, but))

    async def forget_troubles(self, before: int) -> int:
        """Removes what processes said that are gone."""

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.forget_troubles, {"before": before})
            return connection.changes()

        return await self._write(job)
