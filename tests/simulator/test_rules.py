"""Every rule of the ordered table, over real TLS and HTTP/2."""

from __future__ import annotations

import re

import pytest
from support.sim_client import TOPIC, World

pytestmark = pytest.mark.anyio

UUID = "eabeae54-14a8-11e5-b60b-1697f925ec7b"


async def test_accepts_a_good_push(world: World) -> None:
    """RESP-1: 200, an empty body, END_STREAM on HEADERS."""
    reply = await world.push(("apns-push-type", "alert"), ("apns-id", UUID))
    assert (reply.status, reply.body, reply.data_frames) == (200, b"", 0)
    assert reply.headers == {"apns-id": UUID}


async def test_generated_apns_id_is_upper_case(world: World) -> None:
    """RESP-3, SUR-10: a server-made id is upper case."""
    reply = await world.push()
    assert re.fullmatch(r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}", reply.headers["apns-id"])


async def test_apns_id_is_echoed_as_sent(world: World) -> None:
    """RESP-3, REQ-1: the client's id comes back as it was, in its own case."""
    assert (await world.push(("apns-id", UUID.upper()))).headers["apns-id"] == UUID.upper()


async def test_rejection_is_compact_json(world: World) -> None:
    """RESP-2, SUR-11: exactly 27 bytes for BadDeviceToken, no content-type by default, apns-id echoed."""
    reply = await world.push(("apns-id", UUID), token="00" * 32)
    assert reply.status == 400
    assert reply.body == b'{"reason":"BadDeviceToken"}'
    assert reply.headers == {"apns-id": UUID}


async def test_unauthenticated_get_is_method_not_allowed(world: World) -> None:
    """SUR-1: GET / without credentials is 405, not 403 or 404."""
    client = await world.connect()
    reply = await client.push("", None, method="GET", path="/", topic=None, body=b"")
    assert reply.verdict == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("listener", "path", "status"),
    [
        ("production", "/3/device/00", 405),
        ("production", "/4/broadcasts/apps/com.example.app", 405),
        ("manage_production", f"/1/apps/{TOPIC}/channels", 405),
    ],
)
async def test_an_answer_to_head_has_no_body(world: World, listener: str, path: str, status: int) -> None:
    """RFC 9110 §9.3.2: whatever HEAD is answered with ends with its header fields."""
    client = await world.connect(listener)
    reply = await client.push("", world.bearer, method="HEAD", path=path, topic=None, body=b"")
    assert (reply.status, reply.body, reply.data_frames) == (status, b"", 0)
    other = await client.push("", world.bearer, method="GET", path="/", topic=None, body=b"")
    assert other.reason is not None


async def test_a_fault_gives_head_no_body_either(world: World) -> None:
    """RFC 9110 §9.3.2: the same on a connection where every answer is InternalServerError."""
    world.simulator.faults.add(kind="wedge", after_expiry=False, next=1)
    client = await world.connect()
    await client.push(world.token, world.bearer)
    head = await client.push(world.token, world.bearer, method="HEAD", body=b"")
    assert (head.status, head.data_frames) == (500, 0)
    assert (await client.push(world.token, world.bearer)).reason == "InternalServerError"


@pytest.mark.parametrize("path", ["/", "/3", "/3/devices/00", "/4/device/00", "/3/device/00/11", ""])
async def test_wrong_path(world: World, path: str) -> None:
    """4.1, CONN-1: anything but /3/device/<token> is 404 BadPath."""
    reply = await world.push(path=path or "/3/devic")
    assert reply.verdict == (404, "BadPath")


@pytest.mark.parametrize("path", ["/3/device", "/3/device/"])
async def test_no_device_token(world: World, path: str) -> None:
    """9.3: both forms of a path without a token are MissingDeviceToken."""
    assert (await world.push(path=path)).verdict == (400, "MissingDeviceToken")


async def test_repeated_header(world: World) -> None:
    """REQ-4: a header given twice is DuplicateHeaders."""
    reply = await world.push(("apns-priority", "5"), ("apns-priority", "5"))
    assert reply.verdict == (400, "DuplicateHeaders")


@pytest.mark.parametrize("value", ["not-a-uuid", "", UUID[:-1], UUID + "0", UUID.replace("-", ""), "{" + UUID + "}"])
async def test_bad_apns_id(world: World, value: str) -> None:
    """4.1: apns-id must be 8-4-4-4-12 hex digits; the answer carries a made one."""
    reply = await world.push(("apns-id", value))
    assert reply.verdict == (400, "BadMessageId")
    assert reply.headers["apns-id"] != value


@pytest.mark.parametrize("value", ["1.5", "-1", "soon", "", "1" * 19])
async def test_bad_expiration(world: World, value: str) -> None:
    """REQ-2: apns-expiration must be whole seconds."""
    assert (await world.push(("apns-expiration", value))).verdict == (400, "BadExpirationDate")


@pytest.mark.parametrize("value", ["0", "1", "1900000000", "1" * 18])
async def test_good_expiration(world: World, value: str) -> None:
    """REQ-2: zero, past and far values are syntax APNs takes."""
    assert (await world.push(("apns-expiration", value))).status == 200


@pytest.mark.parametrize(
    ("push_type", "priority", "status"),
    [
        ("alert", "10", 200),
        ("alert", "5", 200),
        ("alert", "1", 200),
        ("alert", "0", 400),
        ("alert", "high", 400),
        ("alert", "", 400),
        ("background", "5", 200),
        ("background", "10", 400),
    ],
)
async def test_priority(world: World, push_type: str, priority: str, status: int) -> None:
    """4.1, TYPE-2: 10, 5 or 1; an explicit 10 does not go with background."""
    reply = await world.push(("apns-push-type", push_type), ("apns-priority", priority))
    assert reply.verdict == (status, None if status == 200 else "BadPriority")


async def test_background_without_priority_is_accepted(world: World) -> None:
    """TYPE-2: only an explicit 10 is refused."""
    assert (await world.push(("apns-push-type", "background"))).status == 200


async def test_live_activity_takes_no_priority_1(world: World) -> None:
    """LA-1: apns-priority must be 5 or 10."""
    extra = (("apns-push-type", "liveactivity"), ("apns-priority", "1"))
    assert (await world.push(*extra, topic=TOPIC + ".push-type.liveactivity")).verdict == (400, "BadPriority")


@pytest.mark.parametrize(("value", "status"), [("é" * 32, 200), ("é" * 32 + "x", 400), ("x" * 64, 200)])
async def test_collapse_id_is_measured_in_bytes(world: World, value: str, status: int) -> None:
    """4.1: at most 64 bytes, whatever the characters."""
    reply = await world.push(("apns-collapse-id", value))
    assert reply.verdict == (status, None if status == 200 else "BadCollapseId")


@pytest.mark.parametrize("value", ["Alert", "silent", ""])
async def test_unknown_push_type(world: World, value: str) -> None:
    """4.2: a type outside the table is InvalidPushType."""
    assert (await world.push(("apns-push-type", value))).verdict == (400, "InvalidPushType")


async def test_no_topic(world: World) -> None:
    """4.1: token mode needs apns-topic."""
    assert (await world.push(topic=None)).verdict == (400, "MissingTopic")


@pytest.mark.parametrize("value", ["", "com example", "com/example", "a" * 256, "com.exämple"])
async def test_bad_topic(world: World, value: str) -> None:
    """9.3: an empty topic, or one with other characters, is BadTopic."""
    assert (await world.push(topic=value)).verdict == (400, "BadTopic")


@pytest.mark.parametrize(
    ("push_type", "topic"),
    [
        ("alert", TOPIC + ".voip"),
        ("background", TOPIC + ".push-type.liveactivity"),
        ("voip", TOPIC),
        ("location", TOPIC),
        ("complication", TOPIC),
        ("fileprovider", TOPIC),
        ("liveactivity", TOPIC),
        ("pushtotalk", TOPIC + ".voip"),
        ("widgets", TOPIC),
        ("controls", TOPIC + ".push-type.widgets"),
    ],
)
async def test_push_type_against_topic(world: World, push_type: str, topic: str) -> None:
    """REQ-5, 4.2, TYPE-1: each type goes with its own suffix and no other."""
    assert (await world.push(("apns-push-type", push_type), topic=topic)).verdict == (400, "InvalidPushType")


@pytest.mark.parametrize("suffix", ["voip", "push-type.liveactivity", "location-query", "push-type.controls"])
async def test_other_kinds_have_tokens_of_their_own(world: World, suffix: str) -> None:
    """LIFE-3, SUR-13: an app's ordinary token is not for a suffixed topic."""
    kind = {"location-query": "location"}.get(suffix, suffix.removeprefix("push-type."))
    reply = await world.push(("apns-push-type", kind), topic=f"{TOPIC}.{suffix}")
    assert reply.verdict == (400, "DeviceTokenNotForTopic")


async def test_empty_body(world: World) -> None:
    """SIZE-2: no body is PayloadEmpty."""
    assert (await world.push(body=b"")).verdict == (400, "PayloadEmpty")


async def test_empty_object_is_a_payload(world: World) -> None:
    """TYPE-4: {} is legal."""
    assert (await world.push(body=b"{}")).status == 200


async def test_broken_json_is_accepted_and_noted(world: World) -> None:
    """SIZE-3: no schema validation; the finding is on the device."""
    assert (await world.push(body=b'{"aps":')).status == 200
    (shown,) = world.simulator.notifications(world.device.id)
    assert shown.payload is None
    assert any("not JSON" in finding for finding in shown.findings)


def _body(size: int) -> bytes:
    return b'{"x":"' + b"y" * (size - 8) + b'"}'


@pytest.mark.parametrize(("size", "verdict"), [(4096, (200, None)), (4097, (413, "PayloadTooLarge"))])
async def test_payload_limit(world: World, size: int, verdict: tuple[int, str | None]) -> None:
    """SIZE-1: 4096 bytes, and one more."""
    assert (await world.push(("apns-push-type", "alert"), body=_body(size))).verdict == verdict


@pytest.mark.parametrize(
    ("extra", "size", "reason"),
    [
        ((("apns-push-type", "voip"),), 5120, "DeviceTokenNotForTopic"),
        ((("apns-push-type", "voip"),), 5121, "PayloadTooLarge"),
        ((), 5120, "DeviceTokenNotForTopic"),
        ((), 5121, "PayloadTooLarge"),
    ],
)
async def test_voip_payload_limit(world: World, extra: tuple[tuple[str, str]], size: int, reason: str) -> None:
    """SIZE-1: 5120 bytes for VoIP, told by the type or else by the topic; what fits reaches the token's check."""
    assert (await world.push(*extra, body=_body(size), topic=TOPIC + ".voip")).reason == reason


async def test_a_body_far_over_the_limit_is_told_so(world: World) -> None:
    """SIZE-1: a body larger than what the server keeps is still measured in full, over several windows."""
    assert (await world.push(body=_body(60_000))).verdict == (413, "PayloadTooLarge")


@pytest.mark.parametrize("token", ["zz" * 32, "0" * 63, "00", "00" * 201, "00" * 32, "%20"])
async def test_unknown_device_token(world: World, token: str) -> None:
    """4.1: a token that is not hex, of impossible length, or unknown is BadDeviceToken."""
    assert (await world.push(token=token)).verdict == (400, "BadDeviceToken")


async def test_upper_case_device_token(world: World) -> None:
    """REQ-6: hex digits count, not their case."""
    assert (await world.push(token=world.token.upper())).status == 200


@pytest.mark.parametrize("size", [8, 54, 80, 100, 200])
async def test_token_lengths(world: World, size: int) -> None:
    """REQ-7: no length is assumed, from 16 to 400 hex digits."""
    world.simulator.install(world.device.id, "com.example.other", token_bytes=size)
    token = world.simulator.launch(world.device.id, "com.example.other").device_token
    assert token is not None
    assert len(token) == size * 2
    assert (await world.push(token=token, topic="com.example.other")).status == 200


async def test_token_of_the_other_environment(world: World) -> None:
    """LIFE-4: a production token on the sandbox listener is BadDeviceToken."""
    client = await world.connect("sandbox")
    assert (await client.push(world.token, world.bearer)).verdict == (400, "BadDeviceToken")


async def test_token_of_another_app(world: World) -> None:
    """LIFE-3: a token belongs to one app."""
    assert (await world.push(topic="com.example.other")).verdict == (400, "DeviceTokenNotForTopic")


async def test_uninstalled_app_answers_410_with_milliseconds(world: World) -> None:
    """RESP-5, RESP-6, LIFE-9: the timestamp is when the token died, in milliseconds."""
    world.simulator.uninstall(world.device.id, TOPIC)
    died = int(world.clock.now * 1000)
    world.clock.move(60)
    reply = await world.push()
    assert reply.status == 410
    assert reply.body == b'{"reason":"Unregistered","timestamp":%d}' % died


async def test_expired_token_answers_410(world: World) -> None:
    """LA-4: an outlived token is ExpiredToken."""
    world.simulator.expire(world.device.id, TOPIC)
    reply = await world.push()
    assert reply.verdict == (410, "ExpiredToken")
    assert reply.json["timestamp"] == int(world.clock.now * 1000)


async def test_unique_id_only_in_the_sandbox(world: World) -> None:
    """RESP-4, SUR-10: apns-unique-id, in lower case, is the sandbox's alone."""
    world.simulator.install(world.device.id, "com.example.dev", "sandbox")
    token = world.simulator.launch(world.device.id, "com.example.dev").device_token
    assert token is not None
    client = await world.connect("sandbox")
    reply = await client.push(token, world.bearer, topic="com.example.dev")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply.headers["apns-unique-id"])
    assert "apns-unique-id" not in (await world.push()).headers
