"""Broadcasts over TLS: what is accepted, and what is refused in which order (6.3 and 6.4)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.sim_channels import NOWHERE, UUID, Provider, goal
from support.sim_client import TEAM, TOPIC, Signer, World

from heliogram.simulator import Settings
from heliogram.simulator.broadcasting import BROADCAST_RULES, activity_findings
from heliogram.simulator.tables import STATUS

pytestmark = pytest.mark.anyio

LATER = "1800003600"


@pytest.fixture
def provider(world: World) -> Provider:
    return Provider(world)


# ---- what is accepted


@pytest.mark.parametrize("listener", ["production", "sandbox"])
async def test_conn_4_a_broadcast_is_accepted(provider: Provider, listener: str) -> None:
    """CONN-4, 6.3: 200 on the push listeners, with request id and unique id, and an empty body."""
    channel = await provider.create(listener=f"manage_{listener}")
    reply = await provider.broadcast(channel, ("apns-request-id", UUID), listener=listener)
    assert (reply.status, reply.body) == (200, b"")
    assert set(reply.headers) == {"apns-request-id", "apns-unique-id"}
    assert reply.headers["apns-request-id"] == UUID
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply.headers["apns-unique-id"])


async def test_6_3_ids_of_requests(provider: Provider) -> None:
    """6.3: without an id one is made, in lower case; apns-id does in its place, as in one of Apple's samples."""
    channel = await provider.create()
    made = (await provider.broadcast(channel)).headers["apns-request-id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)
    assert (await provider.broadcast(channel, ("apns-id", UUID))).headers["apns-request-id"] == UUID


@pytest.mark.parametrize("push_type", ["liveactivity", "Liveactivity", "LiveActivity"])
async def test_6_3_the_push_type_in_any_case(provider: Provider, push_type: str) -> None:
    """6.3: the table prints Liveactivity, the samples liveactivity."""
    channel = await provider.create()
    assert (await provider.broadcast(channel, push_type=push_type)).status == 200


@pytest.mark.parametrize("priority", ["10", "5", "1"])
async def test_6_3_priorities(provider: Provider, priority: str) -> None:
    """6.3: 1 is allowed for a broadcast, which it is not for a Live Activity push to a device (LA-1)."""
    channel = await provider.create()
    assert (await provider.broadcast(channel, priority=priority)).status == 200


async def test_size_1_5120_bytes(provider: Provider) -> None:
    """SIZE-1: a broadcast has 5,120 bytes and not one more."""
    channel, body = await provider.create(), goal()
    full = body + b" " * (5120 - len(body))
    assert (await provider.broadcast(channel, body=full)).status == 200
    assert (await provider.broadcast(channel, body=full + b" ")).verdict == (413, "PayloadTooLarge")
    assert (await provider.broadcast(channel, body=full * 3)).verdict == (413, "PayloadTooLarge")


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"method": "GET"}, (405, "MethodNotAllowed")),
        ({"path": "/4/broadcasts/apps/"}, (404, "BadPath")),
        ({"path": "/4/broadcasts/"}, (404, "BadPath")),
        ({"path": f"/4/broadcasts/apps/{TOPIC}/"}, (404, "BadPath")),
        ({"path": f"/4/broadcasts/app/{TOPIC}"}, (404, "BadPath")),
        ({"bundle": "nodots"}, (404, "BadPath")),
        ({"bearer": None}, (403, "MissingProviderToken")),
        ({"channel": None}, (400, "MissingChannelId")),
        ({"channel": "x"}, (400, "BadChannelId")),
        ({"channel": "A" * 260}, (400, "BadChannelId")),
        ({"channel": NOWHERE}, (400, "ChannelNotRegistered")),
        ({"push_type": None}, (400, "MissingPushType")),
        ({"push_type": ""}, (400, "MissingPushType")),
        ({"push_type": "alert"}, (400, "InvalidPushType")),
        ({"expiration": None}, (400, "BadExpirationDate")),
        ({"expiration": "x"}, (400, "BadExpirationDate")),
        ({"expiration": "-1"}, (400, "BadExpirationDate")),
        ({"expiration": "1.5"}, (400, "BadExpirationDate")),
        ({"expiration": LATER}, (400, "BadExpirationDate")),
        ({"priority": None}, (400, "BadPriority")),
        ({"priority": "7"}, (400, "BadPriority")),
        ({"bundle": f"{TOPIC}.push-type.liveactivity"}, (400, "TopicDisallowed")),
        ({"body": b""}, (400, "PayloadEmpty")),
        ({"body": b"{"}, (400, "BadRequestPayload")),
        ({"body": b"[]"}, (400, "BadRequestPayload")),
    ],
)
async def test_6_4_refusals(provider: Provider, change: dict[str, Any], verdict: tuple[int, str]) -> None:
    """6.4, TOK-21: each fault of a broadcast has its reason, with the request id."""
    channel = await provider.create()
    reply = await provider.broadcast(**{"channel": channel, **change})
    assert reply.verdict == verdict
    assert set(reply.headers) == {"apns-request-id"}


async def test_6_3_malformed_request_id(provider: Provider) -> None:
    """6.4: BadMessageId for an id that is no UUID."""
    channel = await provider.create()
    assert (await provider.broadcast(channel, ("apns-request-id", "x"))).verdict == (400, "BadMessageId")
    twice = (("apns-request-id", UUID), ("apns-request-id", UUID))
    assert (await provider.broadcast(channel, *twice)).verdict == (400, "DuplicateHeaders")


async def test_bc_3_expiration_follows_the_storage_policy(provider: Provider) -> None:
    """BC-3: a channel that stores its latest message takes any expiration, another 0 alone."""
    for policy, expiration, reason in ((1, LATER, None), (1, "0", None), (0, "0", None), (0, "1", "BadExpirationDate")):
        channel = await provider.create(policy)
        assert (await provider.broadcast(channel, expiration=expiration)).reason == reason


async def test_6_4_the_credential_must_cover_the_app(world: World) -> None:
    """6.4, TOK-15: TopicMismatch comes before anything about the channel."""
    signer = Signer("KEYTOPIC01")
    world.simulator.add_key(signer.key_id, TEAM, signer.public_pem, topics=["com.example.other"])
    reply = await Provider(world).broadcast(NOWHERE, bearer=signer.token(int(world.clock.now)))
    assert reply.verdict == (403, "TopicMismatch")


@pytest.mark.parametrize("settings", [Settings(broadcast_defaults=True)])
async def test_6_3_headers_may_be_left_out_when_so_set(provider: Provider) -> None:
    """6.3: that expiration and priority are required is hearsay; the setting takes their defaults."""
    for policy in (0, 1):
        channel = await provider.create(policy)
        assert (await provider.broadcast(channel, expiration=None, priority=None)).status == 200
    assert (await provider.broadcast(channel, expiration="x")).reason == "BadExpirationDate"


@pytest.mark.parametrize("settings", [Settings(channel_rate=2)])
async def test_too_many_requests(world: World, provider: Provider) -> None:
    """6.4: past the rate that is set 429 for that channel, until the minute is over."""
    channel, other = await provider.create(), await provider.create()
    replies = [await provider.broadcast(each) for each in (channel, channel, channel, other)]
    assert [reply.status for reply in replies] == [200, 200, 429, 200]
    assert replies[2].reason == "TooManyRequests"
    world.simulator.time.advance(60)
    assert (await provider.broadcast(channel)).status == 200


async def test_pushes_and_broadcasts_share_a_connection(world: World, provider: Provider) -> None:
    """CONN-4a: broadcasts go over the connections of pushes."""
    channel = await provider.create()
    client = await provider.client("production")
    assert (await client.push(world.token, world.bearer)).status == 200
    assert (await provider.broadcast(channel)).status == 200
    assert (await client.push(world.token, world.bearer)).status == 200


# ---- what is in it


@pytest.mark.parametrize(
    ("aps", "finding"),
    [
        ({"event": "start"}, "cannot start"),
        ({"event": None}, "neither update nor end"),
        ({"event": "stop"}, "neither update nor end"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "1"}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"content-state": None}, "content-state"),
        ({"content-state": []}, "content-state"),
    ],
)
async def test_la_3_what_no_device_can_use(world: World, provider: Provider, aps: dict[str, Any], finding: str) -> None:
    """LA-1, LA-3, SIZE-3: accepted, and the finding is kept with the broadcast."""
    channel = await provider.create()
    body = json.loads(goal())
    body["aps"].update(aps)
    assert (await provider.broadcast(channel, body=json.dumps(body).encode())).status == 200
    (kept,) = world.simulator.channels.channel(channel).broadcasts
    assert len(kept.findings) == 1
    assert finding in kept.findings[0]


async def test_la_3_findings_are_in_the_journal(world: World, provider: Provider) -> None:
    """LA-1, LA-3, SIZE-3: a broadcast is linted as one, and its request can be looked into."""
    channel = await provider.create()
    for body, extra, rules in (
        (goal(), (), []),
        (goal(event="start"), (), ["LA-3"]),
        (b'{"aps":{"event":"update","timestamp":1800000000}}', (), ["LA-1"]),
        (goal(), (("apns-topic", TOPIC), ("apns-collapse-id", "x")), ["6.3", "6.3"]),
    ):
        assert (await provider.broadcast(channel, *extra, body=body)).status == 200
        (record,) = world.simulator.requests(1)
        assert [finding.split(":")[0] for finding in record.findings] == rules
    assert world.simulator.apns.journal.detail(record.number).size == len(goal())


def test_la_1_nothing_is_found_in_an_update() -> None:
    """LA-1: timestamp, event and content-state make an update, or an end."""
    for event in ("update", "end"):
        assert activity_findings(json.loads(goal(event=event))) == []
    assert activity_findings({}) == activity_findings({"aps": 1})
    assert len(activity_findings({})) == 1


@pytest.mark.parametrize("settings", [Settings(strict_broadcast=True)])
async def test_la_3_strict(provider: Provider) -> None:
    """LA-1, LA-3: with the setting such a broadcast is BadRequestPayload."""
    channel = await provider.create()
    assert (await provider.broadcast(channel, body=goal(event="start"))).verdict == (400, "BadRequestPayload")
    assert (await provider.broadcast(channel, body=b'{"aps":{}}')).verdict == (400, "BadRequestPayload")
    assert (await provider.broadcast(channel)).status == 200


# ---- the order


def test_order_of_checks() -> None:
    """9.3, 6.3: authenticate, check the channel, then the rest; pinned, and every reason has a status."""
    rules = [rule.reason for rule in BROADCAST_RULES]
    assert rules[:4] == ["MethodNotAllowed", "BadPath", "DuplicateHeaders", "BadCertificate"]
    assert rules[rules.index("BadMessageId") :] == [
        "BadMessageId",
        "MissingChannelId",
        "BadChannelId",
        "MissingPushType",
        "InvalidPushType",
        "BadExpirationDate",
        "BadPriority",
        "TopicDisallowed",
        "TopicMismatch",
        "FeatureNotEnabled",
        "ChannelNotRegistered",
        "BadExpirationDate",
        "PayloadEmpty",
        "PayloadTooLarge",
        "BadRequestPayload",
        "BadRequestPayload",
        "TooManyRequests",
    ]
    assert set(rules) <= set(STATUS)
