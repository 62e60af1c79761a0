"""How much there is to do, by account and lane."""

from __future__ import annotations

from typing import Any

from ...domain.operations import Lane
from ...ports import LaneDepth
from . import statements
from .base import Base

_sql = statements.load("depth")


class Lanes(Base):
    """`ports.LaneStore`."""

    async def lane_depths(self, now: int) -> list[LaneDepth]:
        """See the port."""
        rows: list[Any] = await self._list(lambda c: c.execute(_sql.lanes, {"now": now}).fetchall())
        return [
            LaneDepth(account_id=bytes(account), lane=Lane(lane), waiting=waiting, later=later, oldest_due=oldest)
            for account, lane, waiting, later, oldest in rows
        ]
