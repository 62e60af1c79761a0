"""Listing notifications: chunks are read a page at a time, as far as the list goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw

from ...domain.notifications import Notification
from ...ports import Listed, NotificationFilter, Window
from ..sqlite import statements
from ..sqlite.base import id_cursor
from ..sqlite.listing import Candidate, Listing
from ..sqlite.operations import Operations
from .base import PostgresBase

_sql = statements.load("queueing", __package__)

AT_ONCE = 200
"""Chunks that are read together: a statement's rows come all at once."""


class _Pages(Listing):
    """One page of a list, over pages of chunks."""

    def _candidates(self, connection: apsw.Connection) -> Iterator[Candidate]:
        if self._wanted.user_id is not None:
            yield from super()._candidates(connection)
            return
        where: dict[str, Any] = {**self._where(), "first": -1, "limit": AT_ONCE}
        rows: list[Any] = []
        while not rows or len(rows) == AT_ONCE:
            found: Any = connection.execute(_sql.chunks_after, where)
            rows = found.fetchall()
            if not rows:
                return
            where |= {"high": rows[-1][0], "first": rows[-1][1]}
            for row in rows:
                candidate = Candidate(*row)
                if row[6] is not None and not self._is_before(candidate):
                    yield candidate


class Lists(PostgresBase, Operations):
    """The lists of `ports.OperationStore`."""

    async def list_notifications(
        self, account: bytes, window: Window, wanted: NotificationFilter
    ) -> Listed[Notification]:
        """Notifications, newest operation first, within it in the order of recipients."""
        if window.after is not None:
            id_cursor(window.after)
        return await self._list(_Pages(account, window, wanted).run)
