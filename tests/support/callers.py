"""What the tests of channels and broadcasts speak of: an app, a channel, an answer, a way to close."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.apns_server import Peer, header
from support.manual_clock import ManualClock

from heliogram.apns import BroadcastClient, ChannelClient, ChannelError, MessageStoragePolicy, Notification
from heliogram.wire import Received

BUNDLE = "com.example.app"
CHANNEL = "dHN0LXNyY2gtY2hubA=="
UUID = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

# The table of 6.4.
REFUSALS = [
    (400, "FeatureNotEnabled"),
    (400, "MissingChannelId"),
    (400, "BadChannelId"),
    (400, "ChannelNotRegistered"),
    (400, "BadRequestParams"),
    (400, "BadRequestPayload"),
    (400, "PayloadEmpty"),
    (400, "BadMessageId"),
    (400, "MissingPushType"),
    (400, "InvalidPushType"),
    (400, "CannotCreateChannelConfig"),
    (400, "MissingChannelQueueSize"),
    (400, "BadExpirationDate"),
    (400, "TopicDisallowed"),
    (400, "BadPriority"),
    (403, "BadCertificate"),
    (403, "BadCertificateEnvironment"),
    (403, "TopicMismatch"),
    (403, "MissingProviderToken"),
    (403, "InvalidProviderToken"),
    (404, "BadPath"),
    (405, "MethodNotAllowed"),
    (413, "PayloadTooLarge"),
    (429, "TooManyRequests"),
    (429, "TooManyProviderTokenUpdates"),
    (500, "InternalServerError"),
    (503, "Service Unavailable"),
    (503, "ServiceUnavailable"),
    (503, "Shutdown"),
]

Handler = Callable[[Peer, Received], None]
MakeChannels = Callable[..., ChannelClient]
MakeBroadcasts = Callable[..., BroadcastClient]


def respond(peer: Peer, request: Received, status: int, body: bytes = b"", *more: tuple[bytes, bytes]) -> None:
    """An answer with the request's own id."""
    own = (b"apns-request-id", header(request, b"apns-request-id"))
    peer.session.respond(request.stream_id, status, (own, *more), body)
    peer.flush()


def answer(status: int, body: bytes = b"", *more: tuple[bytes, bytes]) -> Handler:
    """A server that always answers this."""
    return lambda peer, request: respond(peer, request, status, body, *more)


def refuse(status: int, reason: str) -> Handler:
    """A server that always says no."""
    return answer(status, json.dumps({"reason": reason}, separators=(",", ":")).encode())


def names(request: Received) -> list[bytes]:
    """The names of a request's headers, as they came."""
    return [name for name, _ in request.headers]


async def close_all(clients: list[ChannelClient] | list[BroadcastClient], clock: ManualClock) -> None:
    """Close; whatever a test left open ends by the drain's limit, which is the clock's business."""
    for client in clients:
        closing = asyncio.ensure_future(client.close())
        while not closing.done():
            await asyncio.sleep(0)
            clock.advance(1)


STORED = MessageStoragePolicy.MOST_RECENT_MESSAGE_STORED
CREATED = answer(201, b"", (b"apns-channel-id", CHANNEL.encode()))
DESCRIBED = b'{"message-storage-policy":1,"push-type":"LiveActivity"}'
CALLS: dict[str, Callable[[ChannelClient], Coroutine[Any, Any, object]]] = {
    "create": lambda channels: channels.create(STORED),
    "read": lambda channels: channels.read(CHANNEL),
    "delete": lambda channels: channels.delete(CHANNEL),
    "list": lambda channels: channels.list(),
}


async def failure(call: Coroutine[Any, Any, object]) -> ChannelError:
    """The error of a call that must fail."""
    with pytest.raises(ChannelError) as caught:
        await call
    return caught.value


def goal(**fields: Any) -> Notification:
    """An update of a Live Activity."""
    chosen = {"event": "update", "timestamp": 1_750_000_000, "content_state": {"home": 1}, "expiration": 0, **fields}
    return Notification(**chosen)
