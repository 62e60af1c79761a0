"""Broadcasts: one update of a Live Activity to everybody who follows a channel (apns-rules 6.3)."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Unpack

import msgspec

from .calls import Caller, CallTemplate, Options, check_channel_id
from .certificates import Certificate
from .channels import MessageStoragePolicy, check_policy
from .checks import epoch
from .environment import Environment
from .errors import InvalidNotification, PayloadTooLarge
from .keys import SigningKey
from .notification import Notification, check_notification, encode_raw
from .outcomes import Outcome
from .pushtypes import Priority, PushType
from .typed import encode_typed

BROADCAST_LIMIT = 5120
"""Bytes of a broadcast's payload (6.3)."""

_NOT_STORED = MessageStoragePolicy.NO_MESSAGE_STORED


class _Aps(msgspec.Struct):
    event: str | None = None


class _Payload(msgspec.Struct):
    aps: _Aps


class PreparedBroadcast(msgspec.Struct, frozen=True, gc=False):
    """A notification checked and encoded once as a broadcast."""

    body: bytes
    priority: Priority
    expiration: int | None


class BroadcastClient(Caller):
    """Sends broadcasts to the channels of one app in one environment.

    `bundle_id` has no suffix. `endpoint` ("host:port") chooses another host than the one of device
    pushes, such as `api-broadcast.push.apple.com` (CONN-4); `cafile` trusts another server than
    Apple's. The other options are those of `Client`.
    """

    def __init__(
        self,
        credential: SigningKey | Certificate,
        *,
        bundle_id: str,
        environment: Environment | str = Environment.PRODUCTION,
        endpoint: str | None = None,
        cafile: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        if endpoint is None:
            endpoint = Environment(environment).broadcast_endpoint.authority
        super().__init__(credential, bundle_id, environment, endpoint, cafile, options)
        self._path = f"/4/broadcasts/apps/{bundle_id}".encode("ascii")
        self._templates = {
            priority: CallTemplate(
                bundle_id, b"POST", ((b"apns-push-type", b"liveactivity"), (b"apns-priority", b"%d" % priority))
            )
            for priority in Priority
        }

    def send(
        self,
        channel_id: str,
        notification: Notification,
        *,
        policy: MessageStoragePolicy | int | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        tag: Any = None,
    ) -> asyncio.Future[Outcome]:
        """Send to one channel; await the result for its outcome.

        In the outcome `device_token` is the channel id and `apns_id` the request id. The notification
        is a Live Activity's `update` or `end` (LA-3) with an `expiration`. `policy` is the
        channel's, if you know it: one that stores nothing takes the expiration 0 alone, which is then
        checked, and filled in when missing. Raises `InvalidChannelRequest`, `InvalidNotification` or
        `PayloadTooLarge` at once. Cancelling the future gives up the wait, not the broadcast.
        """
        check_channel_id(channel_id)
        prepared = prepare_broadcast(notification)
        expiration = _expiration(prepared.expiration, None if policy is None else check_policy(policy))
        fields = ((b"apns-channel-id", channel_id.encode("ascii")), (b"apns-expiration", b"%d" % expiration))
        _, future = self._client.call(
            self._templates[prepared.priority],
            self._path,
            channel_id=channel_id,
            fields=fields,
            body=prepared.body,
            request_id=request_id,
            timeout=timeout,
            tag=tag,
        )
        return future


def prepare_broadcast(notification: Notification) -> PreparedBroadcast:
    """Check and encode a broadcast, once per notification. Raises `InvalidNotification` or `PayloadTooLarge`."""
    check_notification(notification)
    ready: PreparedBroadcast | None = notification.__dict__.get("_broadcast")
    if ready is None:
        ready = notification.__dict__["_broadcast"] = _prepare(notification)
    return ready


def _prepare(it: Notification) -> PreparedBroadcast:
    if it.push_type not in (None, PushType.LIVEACTIVITY):
        raise InvalidNotification("push_type", f"{it.push_type!r} cannot be broadcast", "use liveactivity")
    for field in ("topic", "collapse_id"):
        if getattr(it, field) is not None:
            raise InvalidNotification(field, "does not belong to a broadcast", "leave it out")
    if it.event == "start":
        _check_event(it.event)  # before what else a start would need
    body = encode_typed(it, PushType.LIVEACTIVITY) if it.payload is None else encode_raw(it)
    if len(body) > BROADCAST_LIMIT:
        raise PayloadTooLarge(BROADCAST_LIMIT, len(body))
    _check_event(_event(body))
    expiration = None if it.expiration is None else epoch("expiration", it.expiration)
    return PreparedBroadcast(body, _priority(it.priority), expiration)


def _event(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Payload).aps.event
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fix = "give the JSON of a Live Activity's update or end"
        raise InvalidNotification("payload", f"cannot be read ({error})", fix) from None


def _check_event(event: str | None) -> None:
    if event not in ("update", "end"):
        problem = "missing" if event is None else f"{event!r:.40} cannot be broadcast"
        raise InvalidNotification("event", problem, "use update or end; an activity is started device by device")


def _priority(given: object) -> Priority:
    if given is None:
        return Priority.HIGH
    if isinstance(given, int) and not isinstance(given, bool) and given in (1, 5, 10):
        return Priority(given)
    raise InvalidNotification("priority", f"{given!r} is not allowed for broadcasts", "use 1 or 5 or 10")


def _expiration(given: int | None, policy: MessageStoragePolicy | None) -> int:
    if given is None:
        if policy is _NOT_STORED:
            return 0
        fix = "give when APNs may give up, or 0 for a channel that stores no message"
        raise InvalidNotification("expiration", "missing, a broadcast needs one", fix)
    if given and policy is _NOT_STORED:
        raise InvalidNotification("expiration", f"{given}, but the channel stores no message", "give 0")
    return given
