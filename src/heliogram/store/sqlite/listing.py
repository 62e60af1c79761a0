"""Listing notifications over packed chunks: skip by counters and fingerprints, open only what may match."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from ...domain.apps import ProviderName
from ...domain.ids import floor_of, notification_id, split_notification_id
from ...domain.notifications import Notification, NotificationStatus
from ...domain.operations import OperationStatus
from ...ports import Listed, NotificationFilter, Window
from . import statements
from .base import MAX_ID, NO_ID
from .packed import StoredChunk, fingerprint, open_notifications, open_tags

_sql = statements.load("operations")

SCAN_BUDGET = 100_000
"""About how many recipients are opened for one page, so that a filter that matches nothing does not read for
minutes. A chunk that is opened counts as its recipients and `_CHUNK_COST` more, one that is skipped as `_SKIP_COST`."""
_CHUNK_COST = 20
_SKIP_COST = 5
USER_LOOKS = 20_000
"""The most chunks whose fingerprints are compared for one page of a user's notifications."""


class Candidate(NamedTuple):
    """A chunk that may hold what is wanted."""

    operation: bytes
    first: int
    size: int
    sent: int
    failed: int
    canceled: int
    status: str
    tags: str | None

    def has(self, tags: dict[str, str] | None) -> bool:
        """Whether its operation has all of these tags."""
        return not tags or (self.tags is not None and tags.items() <= (open_tags(self.tags) or {}).items())

    def may_hold(self, status: NotificationStatus | None) -> bool:
        """Whether the counters allow a recipient of this status."""
        waiting = self.size - self.sent - self.failed - self.canceled
        scheduled = self.status == OperationStatus.SCHEDULED
        match status:
            case None:
                return True
            case NotificationStatus.SENT:
                return self.sent > 0
            case NotificationStatus.FAILED:
                return self.failed > 0
            case NotificationStatus.CANCELED:
                return self.canceled > 0 or (waiting > 0 and self.status == OperationStatus.CANCELED)
            case NotificationStatus.SCHEDULED:
                return waiting > 0 and scheduled
            case NotificationStatus.QUEUED:
                return waiting > 0 and not scheduled


class Listing:
    """One page. The cursor is the id of the last notification that was looked at."""

    def __init__(self, account: bytes, window: Window, wanted: NotificationFilter) -> None:
        self._account = account
        self._window = window
        self._wanted = wanted
        self._after: tuple[bytes, int] | None = None
        if window.after is not None:
            operation, sequence, _ = split_notification_id(window.after)
            self._after = operation, sequence

    def run(self, connection: apsw.Connection) -> Listed[Notification]:
        """Reads the page."""
        found: list[Notification] = []
        budget = SCAN_BUDGET
        looked_at: bytes | None = None
        for candidate in self._candidates(connection):
            if budget <= 0:
                return Listed(items=tuple(found), next=looked_at)
            if candidate.may_hold(self._wanted.status) and candidate.has(self._wanted.tags):
                for notification in self._open(connection, candidate):
                    if len(found) == self._window.limit:
                        return Listed(items=tuple(found), next=found[-1].id)
                    found.append(notification)
                budget -= candidate.size + _CHUNK_COST
            else:
                budget -= _SKIP_COST
            looked_at = notification_id(candidate.operation, candidate.first + candidate.size - 1)
        return Listed(items=tuple(found), next=self._cut(connection))

    def _cut(self, connection: apsw.Connection) -> bytes | None:
        """Where a page goes on that ended because enough fingerprints were compared."""
        if self._wanted.user_id is None:
            return None
        row: Any = connection.execute(_sql.last_looked_at, self._where()).fetchone()
        return None if row is None else notification_id(row[0], row[1] + row[2] - 1)

    def _where(self) -> dict[str, Any]:
        low, high = self._range()
        return {"account": self._account, "low": low, "high": high, "looks": USER_LOOKS}

    def _candidates(self, connection: apsw.Connection) -> Iterator[Candidate]:
        where = self._where()
        sql = _sql.chunks_newest_first
        if self._wanted.user_id is not None:
            where["fingerprint"] = fingerprint(self._wanted.user_id)
            sql = _sql.chunks_of_user_newest_first
        rows: Any = connection.execute(sql, where)
        for row in rows:
            candidate = Candidate(*row)
            if not self._is_before(candidate):
                yield candidate

    def _range(self) -> tuple[bytes, bytes]:
        """The lowest and the highest operation id there may be."""
        window, low, high = self._window, NO_ID, MAX_ID
        if window.start is not None:
            low = floor_of(window.start)
        if window.end is not None:
            # No id is the floor itself: it would have no version bits.
            high = floor_of(window.end)
        if self._after is not None:
            high = min(high, self._after[0])
        wanted = self._wanted.operation_id
        if wanted is not None:
            low, high = (wanted, wanted) if low <= wanted <= high else (MAX_ID, NO_ID)
        return low, high

    def _is_before(self, candidate: Candidate) -> bool:
        """Whether earlier pages have shown all of it."""
        if self._after is None or candidate.operation != self._after[0]:
            return False
        return candidate.first + candidate.size <= self._after[1] + 1

    def _open(self, connection: apsw.Connection, candidate: Candidate) -> Iterator[Notification]:
        where = {"account": self._account, "operation": candidate.operation, "sequence": candidate.first}
        row: Any = connection.execute(_sql.chunk_of, where).fetchone()
        first, _, packed, *told = row
        parts: Any = connection.execute(_sql.parts, {**where, "first": first}).fetchall()
        stored = StoredChunk(self._account, candidate.operation, first, packed, [p for (p,) in parts], *told)
        for notification in open_notifications(stored):
            if self._is_new(notification) and self._matches(notification):
                yield notification

    def _is_new(self, notification: Notification) -> bool:
        if self._after is None or notification.operation_id != self._after[0]:
            return True
        return split_notification_id(notification.id)[1] > self._after[1]

    def _matches(self, notification: Notification) -> bool:
        wanted, recipient = self._wanted, notification.recipient
        if wanted.status is not None and notification.status is not wanted.status:
            return False
        if wanted.user_id is not None and recipient.user != wanted.user_id:
            return False
        if wanted.tokens is not None and wanted.tokens.isdisjoint(_tokens(notification)):
            return False
        if wanted.provider is None:
            return True
        if recipient.token:
            return recipient.provider is wanted.provider
        return any(delivery.provider is wanted.provider for delivery in notification.deliveries)


def _tokens(notification: Notification) -> Iterator[tuple[ProviderName, bytes]]:
    """The device tokens that a notification is about: the recipient's own, and those that were tried."""
    recipient = notification.recipient
    if recipient.token:
        yield recipient.provider, recipient.token
    for delivery in notification.deliveries:
        yield delivery.provider, delivery.token
