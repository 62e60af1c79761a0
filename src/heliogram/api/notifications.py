"""Notifications as callers see them: one per recipient, with what became of each device."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import Environment, ProviderName
from ..domain.content import Content, Sound
from ..domain.devices import MAX_EXTERNAL_ID, token_text
from ..domain.errors import Code
from ..domain.notifications import DeliveryRecord, Notification, NotificationStatus, Outcome, Priority, SendSpec
from ..ports import NotificationFilter
from ..rest import Call, FieldError, Pagination, endpoint, invalid, not_found
from .answers import DatedQuery, account_of, listing, moment, path_id, precise_moment, query_id, window_of
from .failures import failure_of
from .registering import MAX_TOKEN_TEXT
from .registrations import tokens_asked
from .schedule import ScheduleOut, schedule_out
from .state import ApiState
from .tags import TagFilter, read_tag_filter

NOBODY = b"\0" * 16
"""An id that no user has."""


class RecipientOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A token and its provider, a user, or the channel of a broadcast."""

    token: str | None = None
    provider: ProviderName | None = None
    user_id: str | None = None
    channel_id: str | None = None


class SenderOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The credential used; as long as none was, the app whose defaults will serve."""

    apn: str | None = None
    fcm: str | None = None
    app_name: str | None = None


class DeliveryOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last attempt at one device. `outcome` ACCEPTED means that the provider took it, which is not delivery.

    A broadcast has no `token`. `apnsId` is the same on every attempt. `reason` is the provider's word. `timestamp` is
    when APNs says the token died (410). `queuedMs` and `wireMs` are milliseconds before and on the wire.
    """

    token: str | None
    provider: ProviderName
    environment: Environment | None
    credential_id: str | None
    apns_id: str | None
    apns_unique_id: str | None
    attempt: int
    outcome: Literal["ACCEPTED", "REJECTED", "NOT_SENT", "UNKNOWN", "UNADDRESSABLE", "CANCELED"]
    final: bool
    status: int | None
    reason: str | None
    timestamp: str | None
    at: str
    retry_at: str | None
    queued_ms: int
    wire_ms: int


class CauseOut(msgspec.Struct, frozen=True, kw_only=True):
    """Why a notification failed, as in the list of an operation's errors."""

    code: int
    reason: str
    cure: str
    rule: str | None


class NotificationOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A notification. Lists leave `content` out, and `deliveries` unless asked for. `unaddressable`: there was no
    device to try. `failure` is there when one notification is asked for that is FAILED."""

    id: str
    operation_id: str
    to: RecipientOut
    sender: SenderOut = msgspec.field(name="from")
    status: NotificationStatus
    unaddressable: bool
    priority: Priority
    sound: str | None
    tags: dict[str, str]
    schedule: ScheduleOut | None
    created_at: str
    updated_at: str
    content: Content | msgspec.UnsetType = msgspec.UNSET
    deliveries: list[DeliveryOut] | msgspec.UnsetType = msgspec.UNSET
    failure: CauseOut | msgspec.UnsetType = msgspec.UNSET


class NotificationPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of notifications: newest operation first, within it in the order of recipients."""

    push_notifications: list[NotificationOut]
    pagination: Pagination


class NotificationQuery(DatedQuery, kw_only=True):
    """Filters of the list of notifications."""

    operation_id: Annotated[str | None, msgspec.Meta(description="Only of this operation.")] = None
    status: NotificationStatus | None = None
    user: Annotated[str | None, msgspec.Meta(description="Only to this user id.")] = None
    tags: TagFilter | None = None
    external_id: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=MAX_EXTERNAL_ID, description="Only to the user with this externalId. Not beside `user`."
            ),
        ]
        | None
    ) = None
    provider: ProviderName | None = None
    token: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=MAX_TOKEN_TEXT,
                description="Only what was sent to this device token, or tried at it. The newest are looked through"
                " first: a page may be empty and still have a `next`.",
            ),
        ]
        | None
    ) = None
    include: Literal["deliveries"] | None = None


@endpoint(
    "GET",
    "/PushNotifications",
    summary="List push notifications",
    tag="PushNotifications",
    query=NotificationQuery,
    returns=NotificationPage,
    scope=Scope.READ,
)
async def list_push_notifications(call: Call[ApiState]) -> dict[str, Any]:
    """Notifications without their content; `include=deliveries` adds what became of each device."""
    query, cursor, window = window_of(call.query)
    user = await _user(call, query)
    wanted = NotificationFilter(
        operation_id=query_id(query.operation_id, "operationId", ids.OPERATION),
        status=query.status,
        user_id=user,
        provider=query.provider,
        tags=read_tag_filter(query.tags),
        tokens=None if query.token is None else frozenset(tokens_asked(query.token)),
    )
    listed = await call.state.store.list_notifications(account_of(call), window, wanted)
    items = [notification_out(each, deliveries=query.include == "deliveries") for each in listed.items]
    return listing("pushNotifications", items, listed, query, cursor)


@endpoint(
    "GET",
    "/PushNotifications/{pushNotificationId}",
    summary="Get a push notification",
    tag="PushNotifications",
    returns=NotificationOut,
    scope=Scope.READ,
    errors=(404,),
)
async def get_push_notification(call: Call[ApiState]) -> NotificationOut:
    """A notification with its content and what became of each of the recipient's devices.

    The id of a single delivery (an `apns-id` in this API's form) finds its notification too.
    """
    ident = path_id(call, "pushNotificationId", ids.NOTIFICATION, "PushNotification")
    notification = await call.state.store.get_notification(account_of(call), ident)
    if notification is None:
        raise not_found("PushNotification", call.path["pushNotificationId"])
    return notification_out(notification, content=True, deliveries=True)


async def _user(call: Call[ApiState], query: NotificationQuery) -> bytes | None:
    """The user whose notifications are wanted. An externalId that nobody has is a user without any."""
    user = query_id(query.user, "user", ids.USER)
    if query.external_id is None:
        return user
    if user is not None:
        message = "Give either user or externalId, not both."
        raise invalid([FieldError("query.externalId", message, Code.INVALID_VALUE)])
    found = await call.state.store.users_by_external_id(account_of(call), [query.external_id])
    return found.get(query.external_id, NOBODY)


def notification_out(notification: Notification, *, content: bool = False, deliveries: bool = False) -> NotificationOut:
    """The notification as an answer."""
    spec = notification.spec
    records = notification.deliveries
    return NotificationOut(
        id=ids.encode(ids.NOTIFICATION, notification.id),
        operation_id=ids.encode(ids.OPERATION, notification.operation_id),
        to=_recipient(notification),
        sender=_sender(spec, records),
        status=notification.status,
        unaddressable=notification.unaddressable,
        priority=spec.priority,
        sound=_sound(spec),
        tags=notification.tags or {},
        schedule=schedule_out(notification.send_at_text),
        created_at=moment(notification.created),
        updated_at=moment(notification.updated),
        content=spec.content if content else msgspec.UNSET,
        deliveries=[_delivery(notification, each) for each in records if each.token] if deliveries else msgspec.UNSET,
        failure=_failure(notification) if content else msgspec.UNSET,
    )


def _failure(notification: Notification) -> CauseOut | msgspec.UnsetType:
    if notification.status is not NotificationStatus.FAILED:
        return msgspec.UNSET
    failure = failure_of(notification)
    return CauseOut(code=failure.code, reason=failure.reason, cure=failure.cure, rule=failure.rule)


def _sound(spec: SendSpec) -> str | None:
    """The name of the sound that is played: the content's own goes before the send's."""
    sound = spec.content.sound
    return sound.name if isinstance(sound, Sound) else sound or spec.sound


def _recipient(notification: Notification) -> RecipientOut:
    recipient = notification.recipient
    if recipient.channel:
        return RecipientOut(channel_id=recipient.channel)
    if recipient.user:
        return RecipientOut(user_id=ids.encode(ids.USER, recipient.user))
    return RecipientOut(token=token_text(recipient.provider, recipient.token), provider=recipient.provider)


def _sender(spec: SendSpec, records: tuple[DeliveryRecord, ...]) -> SenderOut:
    """The credential that was used, an accepted one first; else the one named; else the app."""
    used: dict[ProviderName, bytes] = {}
    for record in sorted(records, key=lambda each: each.outcome is not Outcome.ACCEPTED):
        if record.credential:
            used.setdefault(record.provider, record.credential)
    apn, fcm = used.get(ProviderName.APN) or spec.apn, used.get(ProviderName.FCM) or spec.fcm
    return SenderOut(
        apn=ids.encode(ids.CREDENTIAL, apn) if apn else None,
        fcm=ids.encode(ids.CREDENTIAL, fcm) if fcm else None,
        app_name=spec.app_name if not apn and not fcm else None,
    )


def _delivery(notification: Notification, record: DeliveryRecord) -> DeliveryOut:
    by_apns = record.provider is ProviderName.APN
    apns_id = ids.uuid_text(ids.notification_id(notification.operation_id, record.sequence, record.slot))
    return DeliveryOut(
        token=None if notification.recipient.channel else token_text(record.provider, record.token),
        provider=record.provider,
        environment=record.environment,
        credential_id=ids.encode(ids.CREDENTIAL, record.credential) if record.credential else None,
        apns_id=apns_id if by_apns else None,
        apns_unique_id=record.unique_id or None,
        attempt=record.attempt,
        outcome=record.outcome.name,  # type: ignore[arg-type]
        final=record.final,
        status=record.status or None,
        reason=record.reason or None,
        timestamp=precise_moment(record.timestamp) if record.timestamp is not None else None,
        at=precise_moment(record.at),
        retry_at=precise_moment(record.retry_at) if record.retry_at is not None else None,
        queued_ms=record.queued_ms,
        wire_ms=record.wire_ms,
    )
