"""Webhooks: where events are sent to, which events there are, and what may be subscribed to."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

MAX_WEBHOOKS = 10
"""An account's webhooks."""
MAX_URL = 2_048
MAX_DESCRIPTION = 256

DAY_MS = 24 * 3600 * 1000
KEPT_MS = 3 * DAY_MS
"""How long a batch is tried, and how long an event waits to be tried at all."""
DOWN_AFTER = 3
"""So many attempts that fail one after another mean that the receiver is down."""
MAX_KEPT = 100
"""Batches that wait to be tried again; at the bound no new one is begun."""
MAX_DEAD = 100
"""Dead letters of a webhook; past it the oldest go."""
DEAD_MS = 30 * DAY_MS
"""How long a dead letter is kept."""
MAX_EVENTS = 100_000
"""Events of an account that wait for a webhook; past it the oldest go."""

EVENT = "event"
"""Prefix of an event's id."""
MESSAGE = "msg"
"""Prefix of a batch's id: the header `webhook-id`."""
WEBHOOK = "webhook"


class EventType(enum.StrEnum):
    """What a webhook can be told. Three names are Twilio's (push-api.md 10), the rest are ours."""

    OPERATION_SCHEDULED = "com.twilio.comms-api.operation.scheduled"
    OPERATION_PROCESSING = "com.twilio.comms-api.operation.processing"
    OPERATION_COMPLETED = "com.twilio.comms-api.operation.completed"
    OPERATION_CANCELED = "com.heliogram.operation.canceled"
    NOTIFICATION_SENT = "com.heliogram.notification.sent"
    NOTIFICATION_FAILED = "com.heliogram.notification.failed"
    NOTIFICATION_CANCELED = "com.heliogram.notification.canceled"
    DEVICE_REMOVED = "com.heliogram.device.removed"
    DEVICE_QUARANTINED = "com.heliogram.device.quarantined"
    DEVICE_DISPLACED = "com.heliogram.device.displaced"
    CREDENTIAL_FAILING = "com.heliogram.credential.failing"
    CREDENTIAL_EXPIRING = "com.heliogram.credential.expiring"
    APP_DELETED = "com.heliogram.app.deleted"

    @property
    def group(self) -> str:
        """`operation`, `notification`, `device`, `credential` or `app`."""
        return self.value.rsplit(".", 2)[1]


TEST = "com.heliogram.webhook.test"
"""The event of a test: never subscribed to, sent when asked for."""

ALL = "*"
GROUPS = tuple(dict.fromkeys(f"{each.group}.*" for each in EventType))
"""What stands for every event of a group, those that later versions add too."""
SUBSCRIPTIONS = (ALL, *GROUPS, *EventType)
"""What may stand in a webhook's `types`."""

OF_NOTIFICATIONS = frozenset(each for each in EventType if each.group == "notification")
"""The events that are read from result parts and have no row of their own."""

BY_GROUP = {
    group: frozenset(each for each in EventType if f"{each.group}.*" == group)
    | (frozenset({EventType.APP_DELETED}) if group == "device.*" else frozenset())
    for group in GROUPS
}
"""What a group stands for: its own events. `device.*` takes in the end of an app, which is that of all its devices."""


_SUBJECTS = ("notificationId", "operation_id", "registrationId", "credentialId", "webhookId", "appName")


@functools.lru_cache(maxsize=1_024)
def wanted_types(types: tuple[str, ...]) -> frozenset[EventType]:
    """The event types that a webhook's `types` stand for; unknown names stand for none."""
    if ALL in types:
        return frozenset(EventType)
    known = frozenset(each for each in EventType if each.value in types)
    return known.union(*(BY_GROUP.get(each, frozenset()) for each in types))


class WebhookState(enum.StrEnum):
    """Whether a webhook is told anything."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Nothing is sent; it keeps its place, within the bounds of the backlog."""
    DISABLED = "disabled"
    """The receiver answered 410 (gone): nothing is sent and nothing is kept."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook without its secrets. Times are ms since 1970.

    `disabled_reason` says why it was disabled; `last_error` what went wrong at the last attempt that failed;
    `skipped` counts the events that were given up because the backlog was at its bound.
    """

    account_id: bytes
    id: bytes
    url: str
    types: tuple[str, ...]
    description: str = ""
    state: WebhookState = WebhookState.ACTIVE
    disabled_reason: str = ""
    created: int
    updated: int
    last_success: int | None = None
    last_error: str = ""
    last_error_at: int | None = None
    skipped: int = 0

    @property
    def wanted(self) -> frozenset[EventType]:
        """The events it is told."""
        return wanted_types(self.types)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `subject` is the id, as text, of what it happened to."""

    id: bytes
    type: str
    at: int
    subject: str
    data: dict[str, Any]


def subject_of(data: Mapping[str, Any]) -> str:
    """What an event's data is about."""
    return str(next((data[name] for name in _SUBJECTS if name in data), ""))


def ordered_types(types: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order of `SUBSCRIPTIONS`."""
    given = frozenset(types)
    return tuple(str(each) for each in SUBSCRIPTIONS if each in given)
