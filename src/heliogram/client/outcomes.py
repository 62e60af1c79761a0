"""What becomes of sends: pointers, operations, notifications and why they failed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .content import Content, Schedule
from .enums import Environment, NotificationStatus, OperationStatus, Outcome, Priority, Provider
from .structs import Told


class Pagination(Told, frozen=True, kw_only=True):
    """`next` is null on the last page; `self` repeats this page."""

    next: str | None
    self: str


class OperationAccepted(Told, frozen=True, kw_only=True):
    """A send was accepted and is durable. The same two values stand in the headers Operation-Id and
    Operation-Location."""

    operation_id: str
    operation_location: str


class ResourceAccepted(Told, frozen=True, kw_only=True):
    """A write was done; where its resource is."""

    resource_id: str
    resource_location: str


class Stats(Told, frozen=True, kw_only=True):
    """The eight counters: total = recipients = scheduled + queued + sent + failed + canceled + unaddressable."""

    total: int
    recipients: int
    unaddressable: int
    scheduled: int
    queued: int
    sent: int
    failed: int
    canceled: int


class Operation(Told, frozen=True, kw_only=True):
    """An operation. In `stats`, total = recipients = scheduled + queued + sent + failed + canceled + unaddressable.

    `schedule` is as it was given, null for what was sent at once. `expiresAt` is when the last attempt is over, null
    without an end of its own. `canceledAt` is when it was asked to stop."""

    id: str
    status: OperationStatus
    stats: Stats
    schedule: Schedule | None
    tags: dict[str, str]
    expires_at: datetime | None
    canceled_at: datetime | None
    created_at: datetime
    updated_at: datetime


class OperationPage(Told, frozen=True, kw_only=True):
    """A page of operations, newest first."""

    operations: list[Operation]
    pagination: Pagination


class Addressee(Told, frozen=True, kw_only=True):
    """A token and its provider, a user, or the channel of a broadcast."""

    token: str | None = None
    provider: Provider | None = None
    user_id: str | None = None
    channel_id: str | None = None


class SenderUsed(Told, frozen=True, kw_only=True):
    """The credential used; as long as none was, the app whose defaults will serve."""

    apn: str | None = None
    fcm: str | None = None
    app_name: str | None = None


class Delivery(Told, frozen=True, kw_only=True):
    """The last attempt at one device. `outcome` ACCEPTED means that the provider took it, which is not delivery.

    A broadcast has no `token`. `apnsId` is the same on every attempt. `reason` is the provider's word. `timestamp` is
    when APNs says the token died (410). `queuedMs` and `wireMs` are milliseconds before and on the wire."""

    token: str | None
    provider: Provider
    environment: Environment | None
    credential_id: str | None
    apns_id: str | None
    apns_unique_id: str | None
    attempt: int
    outcome: Outcome
    final: bool
    status: int | None
    reason: str | None
    timestamp: datetime | None
    at: datetime
    retry_at: datetime | None
    queued_ms: int
    wire_ms: int


class Cause(Told, frozen=True, kw_only=True):
    """Why a notification failed, as in the list of an operation's errors."""

    code: int
    reason: str
    cure: str
    rule: str | None


class Notification(Told, frozen=True, kw_only=True):
    """A notification. Lists leave `content` out, and `deliveries` unless asked for. `unaddressable`: there was no
    device to try. `failure` is there when one notification is asked for that is FAILED."""

    id: str
    operation_id: str
    to: Addressee
    sender: SenderUsed = msgspec.field(name="from")
    status: NotificationStatus
    unaddressable: bool
    priority: Priority
    sound: str | None
    tags: dict[str, str]
    schedule: Schedule | None
    created_at: datetime
    updated_at: datetime
    content: Content | UnsetType = UNSET
    deliveries: list[Delivery] | UnsetType = UNSET
    failure: Cause | UnsetType = UNSET


class NotificationPage(Told, frozen=True, kw_only=True):
    """A page of notifications: newest operation first, within it in the order of recipients."""

    push_notifications: list[Notification]
    pagination: Pagination


class Failure(Told, frozen=True, kw_only=True):
    """Why a notification failed. `reason` is the provider's word, or the cause of no answer; `cure` what to do; `rule`
    names the rule in docs/reference/apns-rules.md that tells more, None when none does."""

    notification_id: str
    code: int
    reason: str
    cure: str
    rule: str | None


class FailurePage(Told, frozen=True, kw_only=True):
    """A page of failures, in the order of recipients."""

    errors: list[Failure]
    pagination: Pagination


class PayloadSizes(Told, frozen=True, kw_only=True):
    """Bytes of the payloads after rendering, and the most they may have."""

    smallest: int
    largest: int
    limit: int


class Sample(Told, frozen=True, kw_only=True):
    """What the first recipient that renders would get: payload and headers, as APNs gets them. `apns-topic` is there
    where it is known for sure: the one that the send names, else the bundle id of the credentials that may carry it, if
    they agree, with the push type's suffix."""

    context: str
    headers: dict[str, str]
    payload: dict[str, Any]


class Payload(Told, frozen=True, kw_only=True):
    """What APNs gets for a notification. It is not kept: this is made anew, by the same rules, from the content and the
    recipient's variables, which are. `headers` are those that all the recipient's devices have in common: each attempt
    adds its `apns-id` and its authorization. `apns-topic` is there where it is known for sure: the one that the send
    names, else the bundle id of the credentials that carried it or will, if they agree, with the push type's suffix.
    `payload` and `size` (bytes) are None when it cannot be made, and `problem` says why; it also does when the payload
    is over `limit`."""

    headers: dict[str, str]
    payload: dict[str, Any] | None
    size: int | None
    limit: int
    problem: str | None


class TrialProblem(Told, frozen=True, kw_only=True):
    """A recipient whose notification would be FAILED. `context` is its place in the request."""

    context: str
    code: int
    reason: str
    cure: str


class Trial(Told, frozen=True, kw_only=True):
    """The send would be accepted. `unaddressable` recipients have no device that could be tried; `failing` ones would
    be FAILED before anything is sent, and `problems` has the first 20 of them. `rendered` recipients were looked
    at: all, unless templates take so long that 10 seconds end before; then sizes and `failing` are of the first."""

    valid: bool
    recipients: int
    rendered: int
    unaddressable: int
    failing: int
    payload_bytes: PayloadSizes | None
    sample: Sample | None
    problems: list[TrialProblem]
