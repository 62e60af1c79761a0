"""Findings on pushes that APNs accepts: what their header fields and payloads as a whole lack."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sim_client import TOPIC, World

from heliogram.simulator.lint import guess, lint
from heliogram.simulator.tables import PUSH_TYPES

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
ALERT: dict[str, Any] = {"aps": {"alert": "hello"}}
WAKE: dict[str, Any] = {"aps": {"content-available": 1}}


def found(payload: Any, push_type: str | None = "alert", **fields: str) -> list[str]:
    """The findings as text; underscores in names of fields stand for hyphens."""
    pairs = {f"apns-{name.replace('_', '-')}".encode(): value.encode() for name, value in fields.items()}
    pairs.setdefault(b"apns-topic", TOPIC.encode())
    if push_type is not None:
        pairs[b"apns-push-type"] = push_type.encode()
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return [str(finding) for finding in lint(pairs, body, NOW)]


def suffixed(push_type: str) -> str:
    return TOPIC + PUSH_TYPES[push_type.encode()].suffix.decode()


ACTIVITY = {"timestamp": NOW, "event": "update", "content-state": {"score": 1}}
START = ACTIVITY | {"event": "start", "attributes-type": "Game", "attributes": {}, "alert": {"title": "Kick-off"}}


@pytest.mark.parametrize(
    ("push_type", "payload", "fields"),
    [
        ("alert", ALERT, {}),
        ("alert", {"aps": {"badge": 0}}, {"priority": "5", "expiration": "0", "collapse_id": "a"}),
        ("alert", {"aps": {"alert": {"title-loc-key": "T", "title-loc-args": ["a"]}, "mutable-content": 1}}, {}),
        ("alert", {"aps": {"alert": "x", "content-available": 1, "category": "c", "thread-id": "t"}, "own": [1]}, {}),
        ("alert", {"aps": {"alert": "x", "sound": {"critical": 1, "name": "default", "volume": 0.5}}}, {}),
        ("alert", {}, {"topic": "pass.com.example"}),
        ("background", WAKE | {"own": {"a": 1}}, {"priority": "5"}),
        ("voip", {"call": 7}, {"topic": suffixed("voip")}),
        ("location", {}, {"topic": suffixed("location")}),
        ("complication", {"a": 1}, {"topic": suffixed("complication")}),
        ("fileprovider", {"domain": "x"}, {"topic": suffixed("fileprovider")}),
        ("mdm", {"mdm": "magic"}, {"topic": "com.apple.mgmt.External.1"}),
        ("pushtotalk", {"who": "Anna"}, {"topic": suffixed("pushtotalk"), "priority": "10", "expiration": "0"}),
        ("widgets", {"aps": {"content-changed": True}}, {"topic": suffixed("widgets")}),
        ("controls", {"aps": {"content-changed": True}}, {"topic": suffixed("controls")}),
        ("liveactivity", {"aps": ACTIVITY | {"relevance-score": 100}}, {"topic": suffixed("liveactivity")}),
        ("liveactivity", {"aps": START | {"input-push-token": 1}}, {"topic": suffixed("liveactivity")}),
        (
            "liveactivity",
            {"aps": ACTIVITY | {"event": "end", "dismissal-date": 1}},
            {"topic": suffixed("liveactivity")},
        ),
    ],
)
def test_what_apple_documents_has_no_finding(push_type: str, payload: Any, fields: dict[str, str]) -> None:
    """4.2, 4.4, LA-1, TYPE-4: a push as documented, of every type."""
    assert found(payload, push_type, **fields) == []


@pytest.mark.parametrize(
    ("topic", "payload", "meant"),
    [
        (TOPIC, ALERT, "alert"),
        (TOPIC, WAKE, "background"),
        (TOPIC, {"aps": {"content-available": 1, "alert": "x"}}, "alert"),
        (TOPIC + ".voip", ALERT, "voip"),
        (TOPIC + ".push-type.liveactivity", {"aps": {}}, "liveactivity"),
        ("com.apple.mgmt.External.1", {"mdm": "x"}, "mdm"),
    ],
)
def test_a_missing_push_type_is_guessed(topic: str, payload: Any, meant: str) -> None:
    """REQ-5: without apns-push-type the topic tells, or else the payload; the push is judged as of that type."""
    assert guess(topic.encode(), payload) == meant.encode()
    assert any(
        one.startswith("REQ-5: apns-push-type is missing") and f"send {meant}," in one
        for one in found(payload, None, topic=topic)
    )


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"expiration": str(NOW - 1)}, "REQ-2: apns-expiration lies 1 s in the past"),
        ({"expiration": str(NOW * 1000)}, f"send seconds: {NOW}"),
        ({"expiration": "3600"}, "send the time now plus 3600"),
        ({"expiration": str(NOW + 30 * 86_400 + 1)}, "LIFE-6: apns-expiration is more than 30 days ahead"),
        ({"collapse_id": ""}, "4.1: apns-collapse-id is empty"),
        ({"id": "27CFDC15-E305-27E0-E290-8FC98E115899"}, "REQ-1: apns-id has upper-case digits"),
        ({"prioriti": "5"}, "4.1: apns-prioriti is no header of a push; you mean apns-priority"),
        ({"quiet-hours": "5"}, "4.1: apns-quiet-hours is no header of a push; leave it out"),
    ],
)
def test_header_fields_that_do_not_do_what_they_look_like(fields: dict[str, str], finding: str) -> None:
    """4.1, REQ-1, REQ-2, LIFE-6: values APNs takes and that have another effect, or none."""
    (one,) = found(ALERT, **fields)
    assert finding in one


@pytest.mark.parametrize("until", [0, NOW, NOW + 1, NOW + 30 * 86_400])
def test_moments_to_come_are_fine(until: int) -> None:
    """REQ-2, LIFE-6: 0, and anything from now to 30 days ahead."""
    assert found(ALERT, expiration=str(until)) == []


@pytest.mark.parametrize("priority", [None, "1"])
def test_background_needs_priority_5(priority: str | None) -> None:
    """TYPE-2: an absent priority stands for 10, which APNs calls an error; the simulator accepts and notes it."""
    fields = {} if priority is None else {"priority": priority}
    (one,) = found(WAKE, "background", **fields)
    assert one.startswith("TYPE-2: apns-priority")
    assert one.endswith("a background push must have 5")


@pytest.mark.parametrize(
    ("push_type", "payload", "fields", "finding"),
    [
        ("alert", WAKE, {}, "make it background with priority 5"),
        ("alert", {"aps": {"category": "c"}}, {}, "REQ-5: aps has no alert, badge or sound"),
        ("alert", {"own": 1}, {}, "4.4: the payload has no aps"),
        ("background", {"aps": {"content-available": 1, "alert": "x", "badge": 1}}, {"priority": "5"}, "alert, badge"),
        ("background", {"aps": {"sound": "x"}}, {"priority": "5"}, "needs aps.content-available: 1"),
        ("voip", ALERT, {"topic": suffixed("voip")}, "nothing of a voip push is shown by the system"),
        ("fileprovider", {}, {"topic": suffixed("fileprovider")}, "container-identifier"),
        ("mdm", {}, {"topic": "com.apple.mgmt.External.1"}, "the key mdm"),
        ("mdm", {"mdm": "magic"}, {}, "the UID of the MDM push certificate"),
        ("pushtotalk", {}, {"topic": suffixed("pushtotalk"), "priority": "5", "expiration": "0"}, "must be 10"),
        ("pushtotalk", {}, {"topic": suffixed("pushtotalk")}, "must be 0"),
        ("widgets", {"aps": {}}, {"topic": suffixed("widgets")}, "a widgets push needs aps.content-changed: true"),
        ("controls", {"aps": {"content-changed": 1}}, {"topic": suffixed("controls")}, "a controls push needs"),
    ],
)
def test_payloads_that_do_not_fit_their_push_type(
    push_type: str, payload: Any, fields: dict[str, str], finding: str
) -> None:
    """REQ-5, 4.2: accepted, and then delayed, dropped or not as meant."""
    assert any(finding in one for one in found(payload, push_type, **fields))


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (b'{"aps":', "the payload is not JSON"),
        (b"\xff\xfe", "the payload is not JSON"),
        (b'\xef\xbb\xbf{"aps":{"alert":"x"}}', "the payload starts with a byte order mark"),
        (b"\x1f\x8b\x08", "the payload is compressed"),
        (b"[1]", "the payload is not a JSON object"),
        (b"[" * 4000, "the payload is not JSON"),
    ],
)
def test_bodies_nobody_can_read(body: bytes, finding: str) -> None:
    """SIZE-3, CONN-32: accepted, as nothing says that APNs looks; a device can make nothing of them."""
    (one,) = found(body)
    assert one.startswith(f"SIZE-3: {finding}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("aps", "alert", "badge", "sound", "title", "volume", "critical", "event", "timestamp"),
                    *("stale-date", "relevance-score", "input-push-channel", "interruption-level", "mdm", "loc-args"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([None, *(name.decode() for name in PUSH_TYPES)]),
    st.binary(max_size=40) | JSON.map(lambda value: json.dumps({"aps": value}).encode()),
)
def test_anything_can_be_looked_at(push_type: str | None, body: bytes) -> None:
    """SIZE-3: whatever was accepted, its findings can be worked out, each with a rule and a sentence."""
    for finding in lint({} if push_type is None else {b"apns-push-type": push_type.encode()}, body, NOW):
        assert finding.rule
        assert finding.text
        assert len(str(finding)) < 600


async def test_findings_are_on_the_request(world: World) -> None:
    """REQ-5: a push without its type is accepted; the log says what to send, and nothing of what was rejected."""
    assert (await world.push()).status == 200
    assert (await world.push(("apns-push-type", "alert"))).status == 200
    assert (await world.push(token="00" * 32)).status == 400
    rejected, good, guessed = world.simulator.requests()
    assert (rejected.findings, good.findings) == ([], [])
    (one,) = guessed.findings
    assert one.startswith("REQ-5: apns-push-type is missing; send alert, which the payload suggests")


async def test_whoever_watches_hears_of_findings(world: World) -> None:
    """The feed tells every request, and the findings of those that have some."""
    feed = world.simulator.apns.feed.subscribe()
    await world.push(("apns-push-type", "alert"))
    await world.push()
    told = [event for event in await feed.take() if event.kind in ("request", "finding")]
    assert [event.kind for event in told] == ["request", "request", "finding"]
    assert told[0].data == world.simulator.requests(2)[1]
    finding: Any = told[2].data
    assert (finding["request"], finding["device"]) == (2, world.device.id)
    assert finding["findings"] == world.simulator.requests(1)[0].findings
