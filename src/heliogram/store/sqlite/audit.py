"""The record of who changed what."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ...domain.accounts import AuditEvent
from ...domain.ids import floor_of
from ...ports import Listed, Window
from . import statements
from .base import Base, cut_window, nobodys, page_of

_sql = statements.load("audit")


def write_audit(connection: apsw.Connection, account: bytes, event: AuditEvent | None) -> None:
    """Keeps an event in the transaction of the change it tells of; nothing without one."""
    if event is None:
        return
    values = {
        "account": account,
        "id": event.id,
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "detail": msgspec.json.encode(event.detail).decode(),
    }
    connection.execute(_sql.insert_event, values)


def _event(row: Any) -> AuditEvent:
    ident, at, actor, action, subject, detail = row
    return AuditEvent(
        id=ident, at=at, actor=actor, action=action, subject=subject, detail=msgspec.json.decode(detail, type=dict)
    )


class Audit(Base):
    """`ports.AuditStore`."""

    async def record_audit(self, account: bytes, event: AuditEvent) -> None:
        """Keeps an event."""
        await self._write(lambda c: write_audit(c, account, event))

    async def list_audit(
        self,
        account: bytes,
        window: Window,
        *,
        action: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
    ) -> Listed[AuditEvent]:
        """Events, newest first."""
        if nobodys(action) or nobodys(actor) or nobodys(subject):
            return Listed(items=(), next=None)
        values = {"account": account, "action": action, "actor": actor, "subject": subject, **cut_window(window)}
        rows = await self._list(lambda c: c.execute(_sql.list_events, values).fetchall())
        return page_of([_event(row) for row in rows], window, lambda event: event.id)

    async def prune_audit(self, account: bytes, before: int, *, limit: int) -> int:
        """Removes at most `limit` events older than `before` (ms); how many it removed."""
        values = {"account": account, "before": floor_of(before), "limit": limit}

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.prune_events, values)
            return connection.changes()

        return await self._write(job)
