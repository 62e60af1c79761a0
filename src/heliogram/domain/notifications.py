"""Notifications: one per recipient, with a delivery per device tried."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from .apps import Environment, ProviderName
from .content import Content as Content
from .devices import TokenKind

MIN_RECIPIENTS = 1
MAX_RECIPIENTS = 10_000
NOT_STORED = 0
"""As the end of a notification's time: one attempt, and the provider keeps it for nobody (`apns-expiration: 0`)."""


class Priority(enum.StrEnum):
    """HIGH is delivered at once, LOW when it suits the device's battery."""

    HIGH = "HIGH"
    LOW = "LOW"

    @property
    def apns(self) -> int:
        """`apns-priority`: 10 or 5."""
        return 10 if self is Priority.HIGH else 5

    @classmethod
    def of(cls, apns: int) -> Priority:
        """HIGH for an `apns-priority` of 10, else LOW."""
        return cls.HIGH if apns == 10 else cls.LOW


class SendSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operation sends and through what: kept once, beside its recipients.

    `apn` and `fcm` are the credentials the caller named; without them the app's defaults serve.
    `expires_at` (ms) ends all attempts; `NOT_STORED` allows a single one. `kind` says which of a user's device tokens
    are meant, `activity_id` which Live Activity's; `channel` (base64, as APNs gives it) makes it a broadcast in
    `environment`.
    `apns_priority` stands where HIGH and LOW do not say it; `topic` is instead of the credential's; `timestamp` (s) is
    a Live Activity push's.

    Rows of every version must stay readable: fields may be added with a default, never taken away.
    """

    app_name: str
    content: Content
    priority: Priority = Priority.HIGH
    sound: str | None = None
    apn: bytes | None = None
    fcm: bytes | None = None
    expires_at: int | None = None
    push_type: str = "alert"
    kind: TokenKind = TokenKind.ALERT
    activity_id: str | None = None
    collapse_id: str | None = None
    channel: str | None = None
    environment: Environment | None = None
    apns_priority: int | None = None
    topic: str | None = None
    timestamp: int | None = None

    @property
    def measured_as(self) -> str:
        """What the payload's limit goes by: the push type, or `broadcast` (SIZE-1)."""
        return self.push_type if self.channel is None else "broadcast"

    @property
    def apns(self) -> int:
        """`apns-priority`."""
        return self.priority.apns if self.apns_priority is None else self.apns_priority


class Recipient(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """One recipient as packed into a chunk: a `token` (raw) of a provider, a `user`, or a broadcast `channel` (its id,
    base64)."""

    token: bytes = b""
    user: bytes = b""
    provider: ProviderName = ProviderName.APN
    variables: dict[str, Any] | None = None
    channel: str = ""


class Outcome(enum.IntEnum):
    """How one attempt to reach one device ended."""

    ACCEPTED = 1
    """The provider accepted it. That is not delivery."""
    REJECTED = 2
    """The provider refused it, with a reason."""
    NOT_SENT = 3
    """It provably never reached the provider."""
    UNKNOWN = 4
    """It may have reached the provider: no answer came."""
    UNADDRESSABLE = 5
    """There was no device to try."""
    CANCELED = 6


class DeliveryRecord(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """One attempt at one device, as packed into a result part.

    `sequence` is the recipient's place in the operation, `slot` the device's in its registration (0 for a direct
    token). A record that is not `final` will be tried again, not before `retry_at` (ms). Times are ms since 1970;
    `timestamp` is the provider's (when a 410 says the token died). `attempt` counts from 1; it is 0 for one that was
    not tried yet. `of` is how many devices the recipient had when it was resolved: it has ended when that many of its
    devices have a final record. One that is `held` waits for its credential: it is tried again when that works, which
    may be before `retry_at`.
    """

    sequence: int
    slot: int
    outcome: Outcome
    final: bool
    at: int
    token: bytes = b""
    provider: ProviderName = ProviderName.APN
    environment: Environment | None = None
    credential: bytes = b""
    status: int = 0
    reason: str = ""
    timestamp: int | None = None
    unique_id: str = ""
    attempt: int = 1
    queued_ms: int = 0
    wire_ms: int = 0
    retry_at: int | None = None
    of: int = 1
    held: bool = False

    def waits(self, now: int) -> bool:
        """Whether it is put off until later than now (ms). Once the clock was set back to before it was made, nobody
        can tell, and it waits no longer."""
        return self.at <= now < (self.retry_at or 0)

    def due(self, now: int) -> int:
        """When it is to be tried again (ms): the wait is what counts, should the clock have been set back since."""
        wanted = self.at if self.retry_at is None else self.retry_at
        return wanted if self.at <= now else now + max(0, wanted - self.at)


class NotificationStatus(enum.StrEnum):
    """Where one notification stands."""

    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    SENT = "SENT"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient of an operation and what became of it."""

    account_id: bytes
    id: bytes
    operation_id: bytes
    recipient: Recipient
    spec: SendSpec
    status: NotificationStatus
    unaddressable: bool
    deliveries: tuple[DeliveryRecord, ...]
    created: int
    updated: int
    send_at_text: str | None = None
    tags: dict[str, str] | None = None


def latest(records: list[DeliveryRecord]) -> list[DeliveryRecord]:
    """The last record of each slot, in the order of slots: what is true now."""
    by_slot: dict[int, DeliveryRecord] = {}
    for record in records:
        known = by_slot.get(record.slot)
        if known is None or record.attempt >= known.attempt:
            by_slot[record.slot] = record
    return [by_slot[slot] for slot in sorted(by_slot)]


def has_ended(records: list[DeliveryRecord]) -> bool:
    """Whether a recipient with these latest records will not be tried any more.

    How many devices it has is what the newest record says: devices come and go between two attempts. Cancelling ends
    it whatever devices there are.
    """
    if not records or not all(record.final for record in records):
        return False
    if any(record.outcome is Outcome.CANCELED for record in records):
        return True
    newest = max(records, key=lambda record: (record.at, record.attempt))
    return len(records) >= newest.of


def status_of(records: list[DeliveryRecord]) -> tuple[NotificationStatus, bool]:
    """A recipient's status and whether it was unaddressable, from the latest record of each of its devices.

    SENT as soon as one device was accepted, FAILED when all ended without, CANCELED when it was stopped while one was
    still to be tried, QUEUED until then.
    """
    outcomes = {record.outcome for record in records}
    if Outcome.ACCEPTED in outcomes:
        return NotificationStatus.SENT, False
    if not has_ended(records):
        return NotificationStatus.QUEUED, False
    if Outcome.CANCELED in outcomes:
        return NotificationStatus.CANCELED, False
    return NotificationStatus.FAILED, outcomes == {Outcome.UNADDRESSABLE}
