"""Operations: one accepted send, its counters, and the chunks that carry its recipients."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from . import ids
from .lookups import Known
from .notifications import NotificationStatus, Recipient, SendSpec

CHUNK_SIZE = 500
SMALL_SEND = 100
"""A send of at most this many recipients travels in the fast lane."""


class Lane(enum.IntEnum):
    """`TX` (small sends) goes before `BULK`."""

    TX = 0
    BULK = 1

    @classmethod
    def of(cls, recipients: int) -> Lane:
        """The lane of a send of that many recipients."""
        return cls.TX if recipients <= SMALL_SEND else cls.BULK


class OperationStatus(enum.StrEnum):
    """Where an operation stands."""

    SCHEDULED = "SCHEDULED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """How many recipients ended how. What is in none of these is still queued."""

    sent: int = 0
    failed: int = 0
    unaddressable: int = 0
    canceled: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.sent + other.sent,
            self.failed + other.failed,
            self.unaddressable + other.unaddressable,
            self.canceled + other.canceled,
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.sent - other.sent,
            self.failed - other.failed,
            self.unaddressable - other.unaddressable,
            self.canceled - other.canceled,
        )

    @property
    def ended(self) -> int:
        """Recipients that will not change any more."""
        return self.sent + self.failed + self.unaddressable + self.canceled


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The eight counters: total = recipients = scheduled + queued + sent + failed + canceled + unaddressable."""

    total: int
    recipients: int
    unaddressable: int
    scheduled: int
    queued: int
    sent: int
    failed: int
    canceled: int

    @classmethod
    def of(cls, recipients: int, counts: Counts, *, scheduled: bool = False) -> Stats:
        """The counters of an operation with that many recipients, of which `counts` have ended."""
        waiting = recipients - counts.ended
        return cls(
            total=recipients,
            recipients=recipients,
            unaddressable=counts.unaddressable,
            scheduled=waiting if scheduled else 0,
            queued=0 if scheduled else waiting,
            sent=counts.sent,
            failed=counts.failed,
            canceled=counts.canceled,
        )


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted send.

    `send_at` (ms) is when a scheduled one is to leave and `send_at_text` that moment as the caller wrote it, offset and
    all. `tags` are the caller's own. `canceled` (ms) is when it was asked to stop; it ends as CANCELED only if that
    came in time for at least one recipient.
    """

    account_id: bytes
    id: bytes
    spec: SendSpec
    lane: Lane
    recipients: int
    status: OperationStatus
    created: int
    updated: int
    finished: int | None = None
    counts: Counts = Counts()
    send_at: int | None = None
    send_at_text: str | None = None
    tags: dict[str, str] | None = None
    canceled: int | None = None

    @property
    def start(self) -> int:
        """When it leaves or left (ms): what its expiry and its waiting are counted from."""
        return self.created if self.send_at is None else self.send_at

    @property
    def stats(self) -> Stats:
        """The eight counters."""
        return Stats.of(self.recipients, self.counts, scheduled=self.status is OperationStatus.SCHEDULED)


class NewChunk(msgspec.Struct, frozen=True, kw_only=True):
    """At most 500 recipients of one operation, `first` being the sequence of the first of them."""

    id: bytes
    first: int
    recipients: list[Recipient]
    known: Known | None = None
    """What was looked up of them to accept the send."""


def flow_of(account: bytes, spec: SendSpec) -> bytes:
    """The queue of its account in which a send waits: each app has one, and each credential that callers name."""
    named = b"" if spec.apn is None else b"\0" + spec.apn
    return account + spec.app_name.encode() + named


def cut(
    operation_id: bytes, recipients: list[Recipient], size: int = CHUNK_SIZE, *, known: Known | None = None
) -> list[NewChunk]:
    """The chunks of an operation; a chunk's id is the notification id of its first recipient. `known` is what was
    looked up of all of them."""
    return [
        NewChunk(
            id=ids.notification_id(operation_id, first),
            first=first,
            recipients=recipients[first : first + size],
            known=known,
        )
        for first in range(0, len(recipients), size)
    ]


def counts_of(verdicts: Iterable[tuple[NotificationStatus, bool]]) -> Counts:
    """How recipients ended, each told by `status_of`; those not ended count nowhere."""
    sent = failed = unaddressable = canceled = 0
    for status, nowhere in verdicts:
        if status is NotificationStatus.SENT:
            sent += 1
        elif status is NotificationStatus.CANCELED:
            canceled += 1
        elif status is NotificationStatus.FAILED:
            if nowhere:
                unaddressable += 1
            else:
                failed += 1
    return Counts(sent, failed, unaddressable, canceled)
