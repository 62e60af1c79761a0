"""One connection to PostgreSQL, with what was prepared on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from ..sqlite.statements import Statement
from .catalogue import Text, Values, text_of
from .growth import SIZES, Growth


class Link:
    """Runs statements by their keys; each is prepared once a connection."""

    def __init__(self, connection: Any) -> None:
        self.connection: asyncpg.Connection = connection
        self.changed = 0
        self.done = 0
        self._prepared: dict[str, tuple[Text, Any]] = {}
        self._growth = Growth()

    def __repr__(self) -> str:
        return f"Link(prepared={len(self._prepared)}, done={self.done}, closed={self.closed})"

    @property
    def closed(self) -> bool:
        """Whether the other side, or we, have closed it."""
        return bool(self.connection.is_closed())

    async def execute(self, statement: str, values: Values) -> Sequence[Any]:
        """The rows a statement answers; `changed` is then how many it wrote, if it writes."""
        key = statement.key if isinstance(statement, Statement) else statement
        known = self._prepared.get(key)
        if known is None:
            text = text_of(statement)
            known = self._prepared[key] = text, await self.connection.prepare(text.sql)
        text, prepared = known
        rows: Sequence[Any] = await prepared.fetch(*text.arguments(values))
        self.done += 1
        status: str = prepared.get_statusmsg()
        if not status.startswith("SELECT"):
            self.changed = int(status.rpartition(" ")[2])
        return rows

    async def refresh(self) -> None:
        """Lets go of plans that were made when there was less, if it is time to look for that. Not within a
        transaction."""
        if self._growth.is_due(self.done) and self._growth.has_grown(await self.connection.fetch(SIZES)):
            await self.command("DISCARD PLANS")

    async def command(self, text: str) -> None:
        """Runs what has no values and no rows, such as BEGIN."""
        await self.connection.execute(text)

    def cut(self) -> None:
        """Closes it at once, whatever it is doing."""
        self.connection.terminate()

    async def close(self) -> None:
        """Says goodbye to the server."""
        if not self.closed:
            await self.connection.close()
