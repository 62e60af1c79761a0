"""What APNs gets for one notification: made anew from what is kept of the send."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import ProviderName
from ..domain.notifications import Notification
from ..domain.pushtypes import PushType
from ..domain.render import Renderer
from ..rest import Call, endpoint, not_found
from .answers import account_of, path_id
from .send import payload_limit
from .state import ApiState
from .topics import topic_of_notification
from .trial import headers_of

NO_FCM = "FCM is not supported yet"
_aside = ThreadPoolExecutor(1, thread_name_prefix="heliogram-payload")
"""Templates may take a while: they take turns here, and nothing else waits for them."""


class PayloadOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What APNs gets for a notification. It is not kept: this is made anew, by the same rules, from the content and the
    recipient's variables, which are. `headers` are those that all the recipient's devices have in common: each attempt
    adds its `apns-id` and its authorization. `apns-topic` is there where it is known for sure: the one that the send
    names, else the bundle id of the credentials that carried it or will, if they agree, with the push type's suffix.
    `payload` and `size` (bytes) are null when it cannot be made, and `problem` says why; it also does when the payload
    is over `limit`."""

    headers: dict[str, str]
    payload: dict[str, Any] | None
    size: int | None
    limit: int
    problem: str | None


@endpoint(
    "GET",
    "/PushNotifications/{pushNotificationId}/Payload",
    summary="Get the payload of a push notification",
    tag="PushNotifications",
    returns=PayloadOut,
    scope=Scope.READ,
    errors=(404,),
    basis="ours",
)
async def get_push_notification_payload(call: Call[ApiState]) -> PayloadOut:
    """The payload and headers that APNs gets, or got, for a notification, made anew from what is kept of it."""
    ident = path_id(call, "pushNotificationId", ids.NOTIFICATION, "PushNotification")
    state, account = call.state, account_of(call)
    notification = await state.store.get_notification(account, ident)
    if notification is None:
        raise not_found("PushNotification", call.path["pushNotificationId"])
    limit, topic = payload_limit(state, notification.spec), await topic_of_notification(state, account, notification)
    return await asyncio.get_running_loop().run_in_executor(_aside, _made, notification, limit, topic)


def _made(notification: Notification, limit: int, topic: str | None) -> PayloadOut:
    spec, recipient = notification.spec, notification.recipient
    if recipient.provider is ProviderName.APN:
        payload, problem = Renderer(spec).attempt(recipient.variables, limit)
    else:
        payload, problem = b"", NO_FCM
    headers = headers_of(spec, topic)
    if spec.push_type == PushType.ALERT and not recipient.channel:
        headers.setdefault("apns-collapse-id", ids.uuid_text(notification.id))
    return PayloadOut(
        headers=headers,
        payload=msgspec.json.decode(payload) if payload else None,
        size=len(payload) or None,
        limit=limit,
        problem=problem,
    )
