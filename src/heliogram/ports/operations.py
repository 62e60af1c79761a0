"""Accepted sends, as callers see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..domain.apps import ProviderName
from ..domain.notifications import Notification, NotificationStatus
from ..domain.operations import NewChunk, Operation, OperationStatus
from .basics import Listed, Window


class NotificationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of notifications is narrowed to."""

    operation_id: bytes | None = None
    status: NotificationStatus | None = None
    user_id: bytes | None = None
    provider: ProviderName | None = None


class OperationStore(Protocol):
    """Accepted sends, as callers see them."""

    async def accept(self, account: bytes, operation: Operation, chunks: Sequence[NewChunk], *, shard: int = 0) -> None:
        """Makes an operation and its chunks durable, all or nothing: when this returns, they are on disk."""

    async def get_operation(self, account: bytes, operation_id: bytes) -> Operation | None:
        """An operation with its counters."""

    async def list_operations(
        self, account: bytes, window: Window, *, status: OperationStatus | None = None
    ) -> Listed[Operation]:
        """Operations, newest first."""

    async def get_notification(self, account: bytes, notification_id: bytes) -> Notification | None:
        """The notification with this id, whichever slot the id carries."""

    async def list_notifications(
        self, account: bytes, window: Window, wanted: NotificationFilter
    ) -> Listed[Notification]:
        """Notifications, newest operation first, within it in the order of recipients."""
