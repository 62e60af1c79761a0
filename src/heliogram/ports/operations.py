"""Accepted sends, as callers see them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ..domain.apps import ProviderName
from ..domain.backlog import QueueBounds
from ..domain.notifications import Notification, NotificationStatus
from ..domain.operations import NewChunk, Operation, OperationStatus
from .basics import Listed, Window
from .work import Hold


class NotificationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of notifications is narrowed to. Of `tags` all must be there; of `tokens` (with their providers) one
    is the recipient's, or that of a device of the recipient's that was tried."""

    operation_id: bytes | None = None
    status: NotificationStatus | None = None
    user_id: bytes | None = None
    provider: ProviderName | None = None
    tags: dict[str, str] | None = None
    tokens: frozenset[tuple[ProviderName, bytes]] | None = None


class Cancellation(enum.Enum):
    """What became of a wish to cancel."""

    DONE = enum.auto()
    """What had not left is stopped; what a worker holds of an operation stops within a second."""
    ALREADY = enum.auto()
    """It was cancelled before."""
    TOO_LATE = enum.auto()
    """It has left, or is leaving just now."""
    UNKNOWN = enum.auto()
    """There is no such thing in the account."""


class OperationStore(Protocol):
    """Accepted sends, as callers see them."""

    async def accept(
        self,
        account: bytes,
        operation: Operation,
        chunks: Sequence[NewChunk],
        *,
        shard: int = 0,
        bounds: QueueBounds | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Makes an operation and its chunks durable, all or nothing: when this returns, they are on disk. The chunks of
        a scheduled one fall due at its `send_at`. Raises `QueueFull` when more would wait than `bounds` allow (None:
        any number may); nothing of it is kept then. With a `hold` its chunk, which must be the only one and due now, is
        leased from the beginning, as its first attempt. Raises `ValueError` for any other."""

    async def get_operation(self, account: bytes, operation_id: bytes) -> Operation | None:
        """An operation with its counters."""

    async def list_operations(
        self,
        account: bytes,
        window: Window,
        *,
        status: OperationStatus | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Listed[Operation]:
        """Operations, newest first, with all of these tags. A page may be short, even empty, and have a `next`."""

    async def cancel_operation(self, account: bytes, operation_id: bytes, at: int) -> Cancellation:
        """Stops whatever of an operation has not left; `at` in ms. It ends as CANCELED, once no worker holds any of it,
        unless all of it had left."""

    async def cancel_notification(self, account: bytes, notification_id: bytes, at: int) -> Cancellation:
        """Stops one notification that has not left: scheduled, queued and not taken by a worker, or waiting to be tried
        again. The id may carry any slot; `at` is in ms."""

    async def get_notification(self, account: bytes, notification_id: bytes) -> Notification | None:
        """The notification with this id, whichever slot the id carries."""

    async def list_notifications(
        self, account: bytes, window: Window, wanted: NotificationFilter
    ) -> Listed[Notification]:
        """Notifications, newest operation first, within it in the order of recipients."""
