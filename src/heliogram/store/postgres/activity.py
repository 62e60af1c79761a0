"""What nodes tell each other of the last minutes: rows of a table that no log is kept of."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...ports import ToldActivity, Wanted
from ...ports.activity import MAX_TOLD, OUTCOMES_KEPT, WINDOW_SECONDS
from ..sqlite import statements
from .base import PostgresBase
from .link import Link

_sql = statements.load("activity", __package__)

MAX_WANTED = 200
"""Accounts that are looked at, and told of, at once."""
SENDER_SILENCE_MS = 40_000
"""A node that sends is waited for when it was heard of within this time: it says every 15 s that it is there."""
WINDOW_MS = (WINDOW_SECONDS + 30) * 1000
"""Rows stay for so long, a little longer than what is in them is shown."""
DAY_MS = 86_400_000
"""The newest outcomes of an account stay for so long."""


class SharedActivity(PostgresBase):
    """`ports.ActivityStore`. Each statement is a transaction, and does no harm when it is run again."""

    async def want_activity(self, account: bytes, for_ms: int) -> Wanted:
        """Somebody looks at an account."""
        ((fresh, turn),) = await self._run(_sql.want, account=account, for_ms=for_ms)
        senders = await self._run(_sql.senders, silence=SENDER_SILENCE_MS) if fresh else []
        return Wanted(fresh=fresh, turn=turn, senders=frozenset(bytes(each) for (each,) in senders))

    async def wanted_activity(self) -> list[bytes]:
        """Accounts that somebody looks at."""
        return [bytes(account) for (account,) in await self._run(_sql.wanted, limit=MAX_WANTED)]

    async def tell_activity(
        self, account: bytes, node: bytes, number: int, name: str, outcomes: int, body: bytes
    ) -> bool:
        """What a node knows of an account that nobody was told."""
        values = {"account": account, "node": node, "number": number, "name": name, "outcomes": outcomes, "body": body}
        ((heard,),) = await self._run(_sql.tell, **values)
        return bool(heard)

    async def told_activity(self, account: bytes, after: int) -> list[ToldActivity]:
        """What was told after a turn."""
        rows = await self._run(_sql.told, account=account, turn=after, limit=MAX_TOLD)
        return [ToldActivity(*row) for row in rows]

    async def forget_activity(self) -> int:
        """Removes what is too old."""
        values = {"window": WINDOW_MS, "kept": OUTCOMES_KEPT, "day": DAY_MS}

        async def body(link: Link) -> int:
            await link.execute(_sql.forget, values)
            return link.changed

        return await self._jobs.look(body)

    async def _run(self, statement: str, **values: Any) -> Any:
        return await self._jobs.look(partial(_execute, statement, values))


async def _execute(statement: str, values: dict[str, Any], link: Link) -> Any:
    return await link.execute(statement, values)
