"""Events as CloudEvents 1.0 in JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ..domain import ids
from ..domain.apps import ProviderName
from ..domain.devices import token_text
from ..domain.notifications import DeliveryRecord, NotificationStatus, Recipient
from ..domain.webhooks import EVENT, Event, EventType
from ..ports import Ended

CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"
ACCOUNT_SOURCE = "/accounts/"

_TYPES = {
    NotificationStatus.SENT: EventType.NOTIFICATION_SENT,
    NotificationStatus.FAILED: EventType.NOTIFICATION_FAILED,
    NotificationStatus.CANCELED: EventType.NOTIFICATION_CANCELED,
}
_encode = msgspec.json.Encoder().encode


def source_of(public_url: str | None, account: bytes) -> str:
    """Who tells: the instance's own address, or the account within it."""
    return public_url.rstrip("/") if public_url else ACCOUNT_SOURCE + ids.encode(ids.ACCOUNT, account)


def envelope(event: Event, source: str) -> bytes:
    """An event as a CloudEvent."""
    return _encode(
        {
            "specversion": "1.0",
            "id": ids.encode(EVENT, event.id),
            "source": source,
            "type": event.type,
            "subject": event.subject,
            "time": moment(event.at),
            "datacontenttype": "application/json",
            "data": event.data,
        }
    )


def type_of(ended: Ended) -> str:
    """The type of the event that a notification's end is."""
    return _TYPES[ended.ending.status].value


def event_of(ended: Ended) -> Event:
    """A notification that ended, as an event. Its id is made of the notification's: however often it is read, it is the
    same."""
    ending = ended.ending
    ident = ids.notification_id(ended.operation_id, ending.sequence)
    subject = ids.encode(ids.NOTIFICATION, ident)
    data: dict[str, Any] = {
        "notificationId": subject,
        "operationId": ids.encode(ids.OPERATION, ended.operation_id),
        "appName": ended.app_name,
        "to": _to(ended),
        "status": ending.status.value,
        "unaddressable": ending.unaddressable,
        "deliveries": [_delivery(ended, each) for each in ending.deliveries if each.token],
    }
    if ended.tags is not None:
        data["tags"] = ended.tags
    if ending.status is NotificationStatus.FAILED:
        data["reason"] = _reason(ended)
    return Event(id=ident, type=type_of(ended), at=ending.at, subject=subject, data=data)


def batch_body(envelopes: list[bytes]) -> bytes:
    """CloudEvents in JSON batch mode."""
    return b"[" + b",".join(envelopes) + b"]"


def moment(ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _to(ended: Ended) -> dict[str, str]:
    recipient: Recipient = ended.recipient
    if recipient.channel:
        return {"channelId": recipient.channel}
    if recipient.user:
        return {"userId": ids.encode(ids.USER, recipient.user)}
    return {"token": token_text(recipient.provider, recipient.token), "provider": recipient.provider.value}


def _reason(ended: Ended) -> str:
    if ended.ending.unaddressable:
        return "NoDevice"
    reasons = [record.reason or record.outcome.name for record in ended.ending.deliveries]
    return reasons[-1] if reasons else ""


def _delivery(ended: Ended, record: DeliveryRecord) -> dict[str, Any]:
    apns = record.provider is ProviderName.APN
    ident = ids.notification_id(ended.operation_id, record.sequence, record.slot)
    return {
        "token": None if ended.recipient.channel else token_text(record.provider, record.token),
        "provider": record.provider.value,
        "environment": record.environment,
        "credentialId": ids.encode(ids.CREDENTIAL, record.credential) if record.credential else None,
        "apnsId": ids.uuid_text(ident) if apns else None,
        "apnsUniqueId": record.unique_id or None,
        "attempt": record.attempt,
        "outcome": record.outcome.name,
        "status": record.status or None,
        "reason": record.reason or None,
        "at": moment(record.at),
    }
