"""Broadcasts over TLS: what is sent, and what is refused before the wire (apns-rules 6.3)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from cryptography.x509.oid import NameOID
from support.apns_server import ApnsServer, header, hold
from support.callers import (
    BUNDLE,
    CHANNEL,
    UUID,
    MakeBroadcasts,
    answer,
    goal,
    names,
    respond,
)
from support.tls import Authority

from heliogram.apns import (
    Accepted,
    Certificate,
    InvalidChannelRequest,
    InvalidNotification,
    MessageStoragePolicy,
    Notification,
    PayloadTooLarge,
    PushType,
)

pytestmark = pytest.mark.anyio


def raw(payload: bytes | dict[str, Any], **fields: Any) -> Notification:
    return Notification(payload=payload, expiration=0, **fields)


# ---- what is sent


async def test_request_and_outcome(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """POST to the bundle's path, without a topic; 200 is `Accepted` with channel, request id and unique id."""
    server.on_request = answer(200, b"", (b"apns-unique-id", b"4084a6e4"))
    outcome = await make_broadcasts().send(CHANNEL, goal(expiration=1_750_003_600), request_id=UUID.upper(), tag="mine")
    assert outcome == Accepted(CHANNEL, UUID, "4084a6e4", "mine", outcome.wire_ms)
    [request] = server.requests
    assert header(request, b"authorization").startswith(b"bearer ")
    assert dict(request.headers) == {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": server.endpoint.encode(),
        b":path": b"/4/broadcasts/apps/com.example.app",
        b"authorization": header(request, b"authorization"),
        b"apns-push-type": b"liveactivity",
        b"apns-priority": b"10",
        b"apns-request-id": UUID.encode(),
        b"apns-channel-id": CHANNEL.encode(),
        b"apns-expiration": b"1750003600",
    }
    assert len(names(request)) == 10
    assert msgspec.json.decode(request.body) == {
        "aps": {"timestamp": 1_750_000_000, "event": "update", "content-state": {"home": 1}}
    }


async def test_request_id_of_our_own(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """Without an id given each broadcast gets another one, a UUID in lower case."""
    client = make_broadcasts()
    outcomes = [await client.send(CHANNEL, goal()) for _ in range(2)]
    ids = [header(one, b"apns-request-id").decode() for one in server.requests]
    assert [one.apns_id for one in outcomes] == ids
    assert len(set(ids)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids)


async def test_certificate_in_place_of_a_key(
    server: ApnsServer, make_broadcasts: MakeBroadcasts, authority: Authority
) -> None:
    """With a certificate there is no `authorization`, and no wait for the first answer."""
    pair = authority.issue([(NameOID.COMMON_NAME, "Apple Push Services"), (NameOID.USER_ID, BUNDLE)], [])
    server.on_request = hold
    client = make_broadcasts(credential=Certificate.from_pem(*pair))
    sent = [client.send(CHANNEL, goal()) for _ in range(3)]
    await server.received(3)
    assert all(b"authorization" not in names(one) for one in server.requests)
    for request in server.requests:
        respond(server.peers[0], request, 200)
    assert all(one.ok for one in await asyncio.gather(*sent))


@pytest.mark.parametrize(("given", "sent"), [(None, b"10"), (1, b"1"), (5, b"5"), (10, b"10")])
async def test_priorities(server: ApnsServer, make_broadcasts: MakeBroadcasts, given: int | None, sent: bytes) -> None:
    """A broadcast may have priority 1 too, which a Live Activity push to a device may not."""
    await make_broadcasts().send(CHANNEL, goal(priority=given))
    assert header(server.requests[0], b"apns-priority") == sent


@pytest.mark.parametrize("event", ["update", "end"])
@pytest.mark.parametrize("form", ["typed", "dict", "bytes"])
async def test_events(server: ApnsServer, make_broadcasts: MakeBroadcasts, event: str, form: str) -> None:
    """Update and end are broadcast, from typed fields, a dict, or bytes that stay untouched (LA-3)."""
    text = b'{ "aps" : {"event": "%b", "more": [1, {"x": null}]}, "own": 1 }' % event.encode()
    made = {"typed": goal(event=event), "dict": raw(msgspec.json.decode(text)), "bytes": raw(text)}
    await make_broadcasts().send(CHANNEL, made[form])
    [request] = server.requests
    assert msgspec.json.decode(request.body)["aps"]["event"] == event
    assert (request.body == text) == (form == "bytes")


@pytest.mark.parametrize("push_type", [None, "liveactivity", PushType.LIVEACTIVITY])
async def test_push_type(server: ApnsServer, make_broadcasts: MakeBroadcasts, push_type: str | None) -> None:
    """The push type need not be said."""
    await make_broadcasts().send(CHANNEL, goal(push_type=push_type))
    assert header(server.requests[0], b"apns-push-type") == b"liveactivity"


@pytest.mark.parametrize(
    ("policy", "expiration", "sent"),
    [(None, 0, b"0"), (None, 9, b"9"), (0, None, b"0"), (0, 0, b"0"), (1, 0, b"0"), (1, 9, b"9")],
)
async def test_expirations(
    server: ApnsServer, make_broadcasts: MakeBroadcasts, policy: int | None, expiration: int | None, sent: bytes
) -> None:
    """`apns-expiration` always goes out; for a channel that stores nothing it is 0 by itself."""
    await make_broadcasts().send(CHANNEL, goal(expiration=expiration), policy=policy)
    assert header(server.requests[0], b"apns-expiration") == sent


async def test_largest_payload(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """5,120 bytes are sent, though a push to one device may have 4,096."""
    body = b'{"aps":{"event":"end"}}'.ljust(5120)
    await make_broadcasts().send(CHANNEL, raw(body))
    assert server.requests[0].size == 5120


async def test_same_notification_as_push_and_broadcast(make_broadcasts: MakeBroadcasts) -> None:
    """What is prepared as a broadcast is encoded once, and is not confused with a push to a device."""
    client = make_broadcasts()
    notification = goal(push_type=PushType.LIVEACTIVITY)
    device = notification.prepare()
    assert (await client.send(CHANNEL, notification)).ok
    prepared = notification.__dict__["_broadcast"]
    assert (await client.send("another", notification)).ok
    assert notification.__dict__["_broadcast"] is prepared
    assert notification.prepare() is device


# ---- what is refused here


@pytest.mark.parametrize(
    ("notification", "field"),
    [
        (goal(event="start", alert="Go", attributes_type="A", attributes={}), "event"),
        (goal(event="start"), "event"),
        (goal(event=None), "event"),
        (raw({"aps": {"event": "start"}}), "event"),
        (raw(b'{"aps":{"event":"start"}}'), "event"),
        (raw({"aps": {}}), "event"),
        (raw({"aps": {"event": 1}}), "payload"),
        (raw({}), "payload"),
        (raw(b"[]"), "payload"),
        (raw(b"no JSON"), "payload"),
        (raw(b""), "payload"),
        (raw(b"[" * 5120), "payload"),
        (raw(b'{"aps":{"event":"end"}}'.ljust(5121)), "payload"),
        (goal(push_type=PushType.ALERT), "push_type"),
        (goal(push_type="background"), "push_type"),
        (goal(topic=BUNDLE), "topic"),
        (goal(collapse_id="x"), "collapse_id"),
        (goal(priority=0), "priority"),
        (goal(priority=True), "priority"),
        (goal(priority=11), "priority"),
        (goal(expiration=None), "expiration"),
        (goal(expiration=-1), "expiration"),
        (goal(content_state=None), "content_state"),
    ],
)
async def test_refused_before_the_wire(
    server: ApnsServer, make_broadcasts: MakeBroadcasts, notification: Notification, field: str
) -> None:
    """What APNs would refuse raises from `send` itself, naming the field (6.3, LA-3)."""
    with pytest.raises(InvalidNotification) as caught:
        make_broadcasts().send(CHANNEL, notification)
    assert caught.value.field == field
    assert server.peers == []


async def test_payload_too_large(make_broadcasts: MakeBroadcasts) -> None:
    """The error has the limit and the actual size."""
    with pytest.raises(PayloadTooLarge) as caught:
        make_broadcasts().send(CHANNEL, raw(b'{"aps":{"event":"end"}}'.ljust(5121)))
    assert (caught.value.limit, caught.value.actual) == (5120, 5121)


async def test_expiration_of_a_channel_that_stores_nothing(make_broadcasts: MakeBroadcasts) -> None:
    """A policy-0 channel takes the expiration 0 alone (`BadExpirationDate`)."""
    policy = MessageStoragePolicy.NO_MESSAGE_STORED
    with pytest.raises(InvalidNotification, match="expiration: 1, but the channel stores no message"):
        make_broadcasts().send(CHANNEL, goal(expiration=1), policy=policy)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [("channel_id", {"channel_id": "a b"}), ("policy", {"policy": 2}), ("request_id", {"request_id": "42"})],
)
async def test_bad_arguments(make_broadcasts: MakeBroadcasts, field: str, arguments: dict[str, Any]) -> None:
    """A channel id, a policy or a request id that makes no sense raises from `send` itself."""
    chosen: dict[str, Any] = {"channel_id": CHANNEL, "notification": goal(), **arguments}
    with pytest.raises(InvalidChannelRequest, match=field):
        make_broadcasts().send(**chosen)
