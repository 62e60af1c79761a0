"""The channel management API over TLS (6.2 and 6.4)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from support.sim_channels import CREATE, NOWHERE, UUID, Provider
from support.sim_client import TEAM, TOPIC, Signer, World

from heliogram.simulator import Settings
from heliogram.simulator.managing import MANAGEMENT_RULES
from heliogram.simulator.tables import STATUS

pytestmark = pytest.mark.anyio

OTHER = "com.example.other"


@pytest.fixture
def provider(world: World) -> Provider:
    return Provider(world)


def document(**members: Any) -> bytes:
    return json.dumps({**CREATE, **{name.replace("_", "-"): value for name, value in members.items()}}).encode()


# ---- the four calls


@pytest.mark.parametrize("policy", [0, 1])
async def test_bc_3_a_channel_is_created_and_read(provider: Provider, policy: int) -> None:
    """BC-3: 201 with the id in a header and an empty body; reading it gives policy and push type back."""
    made = await provider.manage("POST", ("apns-request-id", UUID), body=document(message_storage_policy=policy))
    assert made.status == 201
    assert made.body == b""
    assert set(made.headers) == {"apns-request-id", "apns-channel-id"}
    assert made.headers["apns-request-id"] == UUID
    read = await provider.manage("GET", channel=made.headers["apns-channel-id"])
    assert read.status == 200
    assert read.headers["content-type"] == "application/json"
    assert read.json == {"message-storage-policy": policy, "push-type": "LiveActivity"}


async def test_bc_2_ids_are_base64_of_no_fixed_length(provider: Provider) -> None:
    """BC-2: ids are random base64, of differing lengths, and none comes twice."""
    ids = [await provider.create() for _ in range(40)]
    assert len(set(ids)) == 40
    assert len({len(base64.b64decode(each, validate=True)) for each in ids}) > 1


async def test_bc_2_a_deleted_channel_is_gone(provider: Provider) -> None:
    """BC-2: 204 with an empty body; from then on the id is not registered, for reading, deleting and sending."""
    channel = await provider.create()
    kept = await provider.create()
    gone = await provider.manage("DELETE", channel=channel)
    assert (gone.status, gone.body, set(gone.headers)) == (204, b"", {"apns-request-id"})
    for method in ("GET", "DELETE"):
        assert (await provider.manage(method, channel=channel)).verdict == (400, "ChannelNotRegistered")
    assert (await provider.broadcast(channel)).verdict == (400, "ChannelNotRegistered")
    assert await provider.ids() == [kept]


async def test_6_2_channels_are_listed(provider: Provider) -> None:
    """6.2: 200 with the ids of this app's channels, an empty list included."""
    assert await provider.ids() == []
    ids = [await provider.create(), await provider.create(1)]
    foreign = await provider.create(bundle=OTHER)
    assert await provider.ids() == ids
    assert await provider.ids(bundle=OTHER) == [foreign]


async def test_bc_2_environments_do_not_cross(world: World, provider: Provider) -> None:
    """BC-2: a channel of one environment does not exist in the other."""
    channel = await provider.create()
    sandbox = "manage_sandbox"
    assert await provider.ids(listener=sandbox) == []
    assert (await provider.manage("GET", channel=channel, listener=sandbox)).reason == "ChannelNotRegistered"
    assert (await provider.broadcast(channel, listener="sandbox")).reason == "ChannelNotRegistered"
    assert (await provider.broadcast(channel)).status == 200


async def test_bc_2_another_apps_channel_is_not_registered(provider: Provider) -> None:
    """BC-2: a channel belongs to one app."""
    channel = await provider.create()
    assert (await provider.manage("GET", channel=channel, bundle=OTHER)).reason == "ChannelNotRegistered"
    assert (await provider.broadcast(channel, bundle=OTHER)).reason == "ChannelNotRegistered"


@pytest.mark.parametrize("settings", [Settings(channels_per_app=3)])
async def test_bc_2_no_more_channels_than_the_limit(provider: Provider) -> None:
    """BC-2: at the limit of an app in an environment CannotCreateChannelConfig; deleting one makes room."""
    ids = [await provider.create() for _ in range(3)]
    assert (await provider.manage("POST", body=document())).verdict == (400, "CannotCreateChannelConfig")
    await provider.create(bundle=OTHER)
    await provider.create(listener="manage_sandbox")
    await provider.manage("DELETE", channel=ids[0])
    await provider.create()
    assert (await provider.manage("POST", body=document())).reason == "CannotCreateChannelConfig"


def test_bc_2_the_limit_is_10_000() -> None:
    """BC-2: 10,000 channels for an app in an environment, unless set otherwise."""
    assert Settings().channels_per_app == 10_000


# ---- request ids and the journal


async def test_6_2_the_request_id_is_always_returned(provider: Provider) -> None:
    """6.2: the client's apns-request-id comes back, otherwise a made one in lower case."""
    replies = [await provider.manage("GET", resource="all-channels"), await provider.manage("GET", path="/nowhere")]
    made = [reply.headers["apns-request-id"] for reply in replies]
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in made)
    assert len(set(made)) == 2
    given = await provider.manage("GET", ("apns-request-id", UUID), path="/nowhere")
    assert given.headers == {"apns-request-id": UUID}
    assert given.body == b'{"reason":"BadPath"}'


async def test_requests_are_in_the_journal(world: World, provider: Provider) -> None:
    """Every call is written down under its listener, the request id where a push has its apns-id."""
    channel = await provider.create(listener="manage_sandbox")
    await provider.manage("GET", ("apns-request-id", UUID), channel=NOWHERE)
    await provider.broadcast(channel, listener="sandbox")
    broadcast, read, created = world.simulator.requests()
    assert (created.listener, created.method, created.status, created.topic) == (
        "manage_sandbox", "POST", 201, TOPIC,
    )  # fmt: skip
    assert (read.listener, read.apns_id, read.status, read.reason) == (
        "manage_production", UUID, 400, "ChannelNotRegistered",
    )  # fmt: skip
    assert (broadcast.listener, broadcast.push_type, broadcast.status) == ("sandbox", "liveactivity", 200)


# ---- errors


@pytest.mark.parametrize("path", [
    "/", "/1/apps", f"/1/apps/{TOPIC}", f"/1/apps/{TOPIC}/channels/", f"/1/apps/{TOPIC}/channels?x=1",
    f"/2/apps/{TOPIC}/channels", "/1/apps//channels", "/1/apps/nodots/channels", "/1/apps/com.exämple.app/channels",
    "/3/device/00", f"/4/broadcasts/apps/{TOPIC}", f"/1/apps/{TOPIC}/all-channels/x",
])  # fmt: skip
async def test_bad_path(provider: Provider, path: str) -> None:
    """CONN-3: the management hosts know the two paths of an app, and nothing of pushes and broadcasts."""
    assert (await provider.manage("GET", path=path)).verdict == (404, "BadPath")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "post"])
async def test_sur_1_unknown_method_before_everything(provider: Provider, method: str) -> None:
    """SUR-1: 405 before path and credential."""
    assert (await provider.manage(method, path="/nowhere", bearer=None)).verdict == (405, "MethodNotAllowed")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_the_list_is_only_read(provider: Provider, method: str) -> None:
    """6.2: all-channels takes GET alone."""
    assert (await provider.manage(method, resource="all-channels")).verdict == (405, "MethodNotAllowed")


async def test_management_paths_are_unknown_to_push_listeners(provider: Provider) -> None:
    """CONN-1, CONN-3: channels are not managed where pushes go."""
    reply = await provider.manage("POST", listener="production", body=document())
    assert reply.verdict == (404, "BadPath")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "PayloadEmpty"),
        (b"{", "BadRequestPayload"),
        (b"[]", "BadRequestPayload"),
        (b'"x"', "BadRequestPayload"),
        (b"\xff\xfe", "BadRequestPayload"),
        (b"[" * 4000, "BadRequestPayload"),
        (document(x=1), "BadRequestParams"),
        (document(message_storage_policy=2), "MissingChannelQueueSize"),
        (document(message_storage_policy=-1), "MissingChannelQueueSize"),
        (document(message_storage_policy="1"), "MissingChannelQueueSize"),
        (document(message_storage_policy=True), "MissingChannelQueueSize"),
        (document(message_storage_policy=None), "MissingChannelQueueSize"),
        (b'{"push-type":"LiveActivity"}', "MissingChannelQueueSize"),
        (b'{"message-storage-policy":1}', "MissingPushType"),
        (document(push_type=""), "MissingPushType"),
        (document(push_type="liveactivity"), "InvalidPushType"),
        (document(push_type="alert"), "InvalidPushType"),
        (document(push_type=1), "InvalidPushType"),
        (document() + b" " * (4096 - len(document())), None),
    ],
)
async def test_bc_4_bodies_of_create(provider: Provider, body: bytes, reason: str | None) -> None:
    """BC-4, 6.4: each fault of the body has its own reason; 4,096 bytes are not too many."""
    assert (await provider.manage("POST", body=body)).reason == reason


@pytest.mark.parametrize("size", [4097, 9000])
async def test_big_body_of_create(provider: Provider, size: int) -> None:
    """6.4: 413 past the limit."""
    assert (await provider.manage("POST", body=b" " * size)).verdict == (413, "PayloadTooLarge")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (None, "MissingChannelId"),
        ("", "MissingChannelId"),
        ("not base64", "BadChannelId"),
        ("dHN0LXNyY2gtY2hubA", "BadChannelId"),
        ("dHN0_XNyY2gt", "BadChannelId"),
        ("ä", "BadChannelId"),
        ("A" * 256, "ChannelNotRegistered"),
        ("A" * 260, "BadChannelId"),
        (NOWHERE, "ChannelNotRegistered"),
    ],
)
async def test_6_4_channel_ids(provider: Provider, method: str, channel: str | None, reason: str) -> None:
    """6.4: an id is there, base64, not too long, and known."""
    assert (await provider.manage(method, channel=channel)).verdict == (400, reason)


@pytest.mark.parametrize("own", ["x", UUID[:-1], UUID + "0", UUID.replace("-", "")])
async def test_6_2_malformed_request_id(provider: Provider, own: str) -> None:
    """6.2: a malformed apns-request-id is BadMessageId, and not echoed."""
    reply = await provider.manage("GET", ("apns-request-id", own), resource="all-channels")
    assert reply.verdict == (400, "BadMessageId")
    assert reply.headers["apns-request-id"] != own


async def test_6_4_suffix_on_the_bundle_id(provider: Provider) -> None:
    """6.4: the push type's suffix does not belong into the path: TopicDisallowed."""
    reply = await provider.manage("POST", body=document(), bundle=f"{TOPIC}.push-type.liveactivity")
    assert reply.verdict == (400, "TopicDisallowed")


async def test_6_4_the_credential_must_cover_the_app(world: World, provider: Provider) -> None:
    """6.4, TOK-15: an app not among the key's topics is TopicMismatch, 403."""
    for key_id, topics, verdict in (
        ("KEYTOPIC01", [OTHER], (403, "TopicMismatch")),
        ("KEYTOPIC02", [TOPIC], (200, None)),
    ):
        signer = Signer(key_id)
        world.simulator.add_key(key_id, TEAM, signer.public_pem, topics=topics)
        fresh = Provider(world)
        reply = await fresh.manage("GET", resource="all-channels", bearer=signer.token(int(world.clock.now)))
        assert (reply.status, reply.json.get("reason")) == verdict


async def test_bc_1_broadcast_must_be_on(world: World, provider: Provider) -> None:
    """BC-1: without the capability every call is FeatureNotEnabled; switching it off deletes the channels for good."""
    off: set[str] = set()
    world.simulator.channels.enabled = lambda bundle_id: bundle_id not in off
    channel = await provider.create()
    off.add(TOPIC)
    world.simulator.channels.switch_off(TOPIC)
    assert (await provider.manage("GET", channel=channel)).verdict == (400, "FeatureNotEnabled")
    assert (await provider.manage("POST", body=document())).verdict == (400, "FeatureNotEnabled")
    assert (await provider.broadcast(channel)).verdict == (400, "FeatureNotEnabled")
    await provider.create(bundle=OTHER)
    off.clear()
    assert await provider.ids() == []
    assert (await provider.manage("GET", channel=channel)).reason == "ChannelNotRegistered"


# ---- the order


def test_order_of_checks() -> None:
    """9.3: the order on the management listeners, pinned; every reason has a status."""
    rules = [rule.reason for rule in MANAGEMENT_RULES]
    assert rules[:4] == ["MethodNotAllowed", "BadPath", "MethodNotAllowed", "DuplicateHeaders"]
    assert rules[4] == "BadCertificate"
    assert rules[rules.index("BadMessageId") :] == [
        "BadMessageId",
        "TopicDisallowed",
        "TopicMismatch",
        "FeatureNotEnabled",
        "MissingChannelId",
        "BadChannelId",
        "ChannelNotRegistered",
        "PayloadEmpty",
        "PayloadTooLarge",
        "BadRequestPayload",
        "BadRequestParams",
        "MissingChannelQueueSize",
        "MissingPushType",
        "InvalidPushType",
        "CannotCreateChannelConfig",
    ]
    assert set(rules) <= set(STATUS)


async def test_req_4_a_repeated_header(provider: Provider) -> None:
    """REQ-4: after the path, before the credential."""
    twice = (("apns-request-id", UUID), ("apns-request-id", UUID))
    reply = await provider.manage("GET", *twice, resource="all-channels", bearer=None)
    assert reply.verdict == (400, "DuplicateHeaders")
