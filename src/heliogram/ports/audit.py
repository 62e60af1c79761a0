"""The record of who changed what."""

from __future__ import annotations

from typing import Protocol

from ..domain.accounts import AuditEvent
from .basics import Listed, Window


class AuditStore(Protocol):
    """The record of who changed accounts, keys and credentials. Never a secret."""

    async def record_audit(self, account: bytes, event: AuditEvent) -> None:
        """Keeps an event. Recording the same event again changes nothing."""

    async def list_audit(
        self,
        account: bytes,
        window: Window,
        *,
        action: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
    ) -> Listed[AuditEvent]:
        """Events, newest first; only of an action, by an actor, about a subject where these are given."""

    async def prune_audit(self, account: bytes, before: int, *, limit: int) -> int:
        """Removes at most `limit` events older than `before` (ms); how many it removed."""
