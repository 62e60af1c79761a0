"""Notifications: their JSON, their headers, and what is refused before sending (apns-rules 4.1 to 4.5)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliogram.apns import (
    Alert,
    InterruptionLevel,
    InvalidNotification,
    Notification,
    PayloadTooLarge,
    Priority,
    PushType,
    Sound,
    payload_limit,
    topic_for,
)
from heliogram.apns.notification import Prepared, prepare_carefully

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
ACTIVITY: dict[str, Any] = {"push_type": "liveactivity", "timestamp": 1, "content_state": {"score": 2}}


def body(notification: Notification) -> Any:
    return json.loads(notification.prepare().body)


def test_all_fields() -> None:
    """Every typed field has its name in the `aps` dictionary; custom keys stand beside it (4.4)."""
    notification = Notification(
        alert=Alert(title="T", subtitle="S", body="B", title_loc_key="k", loc_args=["1"], launch_image="i"),
        badge=0,
        sound=Sound(name="bell", critical=True, volume=0.5),
        thread_id="t",
        category="c",
        content_available=True,
        mutable_content=True,
        interruption_level=InterruptionLevel.TIME_SENSITIVE,
        relevance_score=0.25,
        target_content_id="w",
        filter_criteria="f",
        content_changed=True,
        url_args=["a"],
        custom={"order": 5},
    )
    alert = {"title": "T", "subtitle": "S", "body": "B", "title-loc-key": "k", "loc-args": ["1"], "launch-image": "i"}
    assert body(notification) == {
        "aps": {
            "alert": alert,
            "badge": 0,
            "sound": {"name": "bell", "critical": 1, "volume": 0.5},
            "thread-id": "t",
            "category": "c",
            "content-available": 1,
            "mutable-content": 1,
            "interruption-level": "time-sensitive",
            "relevance-score": 0.25,
            "target-content-id": "w",
            "filter-criteria": "f",
            "content-changed": True,
            "url-args": ["a"],
        },
        "order": 5,
    }
    assert b'"critical":1,' in notification.prepare().body


def test_live_activity() -> None:
    """A start carries everything LA-1 asks for; datetimes become epoch seconds."""
    notification = Notification(
        push_type=PushType.LIVEACTIVITY,
        event="start",
        timestamp=NOON,
        content_state={"score": 1},
        attributes_type="Game",
        attributes={"id": 1},
        alert="Kick-off",
        stale_date=NOON,
        dismissal_date=5,
        relevance_score=100,
        input_push_token=True,
        input_push_channel="YQ==",
    )
    aps = body(notification)["aps"]
    assert aps["timestamp"] == aps["stale-date"] == int(NOON.timestamp())
    assert (aps["event"], aps["attributes-type"], aps["input-push-token"]) == ("start", "Game", 1)
    assert aps["relevance-score"] == 100


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (Notification(alert="x"), PushType.ALERT),
        (Notification(content_available=True), PushType.BACKGROUND),
        (Notification(content_available=True, badge=0), PushType.ALERT),
        (Notification(content_available=True, alert="x"), PushType.ALERT),
        (Notification(payload={"aps": {"content-available": 1}}), PushType.BACKGROUND),
        (Notification(payload={"aps": {"content-available": 1, "sound": "x"}}), PushType.ALERT),
        (Notification(payload={}), PushType.ALERT),
        (Notification(payload=b"{}"), PushType.ALERT),
        (Notification(payload=b"{}", push_type="voip"), PushType.VOIP),
    ],
)
def test_default_push_type(notification: Notification, expected: PushType) -> None:
    """`background` for what only has content-available, else `alert`; what is given stands."""
    assert notification.prepare().push_type is expected


RAW = b'{ "aps" : {} , "x":1}'


def test_raw_payload_is_untouched() -> None:
    """Bytes are sent as they are; a dict as its JSON; an empty object is a legal payload (TYPE-4)."""
    assert Notification(payload=RAW).prepare().body == RAW
    assert Notification(payload={"a": 1}).prepare().body == b'{"a":1}'
    assert Notification(payload=b"{}").prepare().body == b"{}"


def test_encoded_once() -> None:
    """The same object prepares once."""
    notification = Notification(alert="x")
    assert notification.prepare() is notification.prepare()


@pytest.mark.parametrize("push_type", list(PushType))
def test_payload_limit(push_type: PushType) -> None:
    """At the limit a payload passes; one byte more is refused with limit and size (SIZE-1)."""
    limit = payload_limit(push_type)
    assert limit == (5120 if push_type is PushType.VOIP else 4096)
    Notification(payload=b"x" * limit, push_type=push_type).prepare()
    with pytest.raises(PayloadTooLarge) as caught:
        Notification(payload=b"x" * (limit + 1), push_type=push_type).prepare()
    assert (caught.value.limit, caught.value.actual) == (limit, limit + 1)
    assert str(limit + 1) in str(caught.value)


def test_payload_limit_counts_bytes() -> None:
    """The limit is on bytes of UTF-8, not on characters."""
    room = 4096 - len(b'{"aps":{"alert":""}}')
    Notification(alert="é" * (room // 2)).prepare()
    with pytest.raises(PayloadTooLarge):
        Notification(alert="é" * (room // 2 + 1)).prepare()


@pytest.mark.parametrize(
    ("push_type", "allowed"),
    [
        (PushType.ALERT, {1, 5, 10}),
        (PushType.BACKGROUND, {5}),
        (PushType.LOCATION, {5, 10}),
        (PushType.LIVEACTIVITY, {5, 10}),
        (PushType.PUSHTOTALK, {10}),
        (PushType.VOIP, {1, 5, 10}),
    ],
)
def test_priority_rule(push_type: PushType, allowed: set[int]) -> None:
    """Each push type takes the priorities of 4.2; without one its own is used (TYPE-2, LA-1)."""
    for priority in (0, 1, 5, 10, 11):
        notification = Notification(payload=b"{}", push_type=push_type, priority=priority)
        if priority in allowed:
            assert notification.prepare().priority == priority
        else:
            with pytest.raises(InvalidNotification, match="priority"):
                notification.prepare()
    default = 5 if push_type is PushType.BACKGROUND else 10
    assert Notification(payload=b"{}", push_type=push_type).prepare().priority == Priority(default)


def test_collapse_id_is_64_bytes() -> None:
    """64 bytes pass, 65 do not, and it is bytes that count."""
    Notification(alert="x", collapse_id="é" * 32).prepare()
    for bad in ("", "x" * 65, "é" * 33, "a\nb", " a"):
        with pytest.raises(InvalidNotification, match="collapse_id"):
            Notification(alert="x", collapse_id=bad).prepare()


@pytest.mark.parametrize(
    ("given", "header"), [(0, b"0"), (1_800_000_000, b"1800000000"), (NOON, b"%d" % NOON.timestamp()), (None, None)]
)
def test_expiration(given: Any, header: bytes | None) -> None:
    """Whole epoch seconds; absent when not given (REQ-2)."""
    assert dict(Notification(alert="x", expiration=given).prepare().fields).get(b"apns-expiration") == header


def test_push_to_talk_is_never_stored() -> None:
    """Push-to-talk goes out with expiration 0, and no other one is taken."""
    assert Notification(payload=b"{}", push_type="pushtotalk").prepare().fields == ((b"apns-expiration", b"0"),)
    with pytest.raises(InvalidNotification, match="expiration"):
        Notification(payload=b"{}", push_type="pushtotalk", expiration=9).prepare()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"payload": b""}, "payload"),
        ({"payload": "{}"}, "payload"),
        ({"payload": {}, "alert": "x"}, "payload"),
        ({"payload": {}, "custom": {}}, "payload"),
        ({"payload": {"x": object()}}, "payload"),
        ({"alert": "x", "custom": {"x": object()}}, "custom"),
        ({"alert": "\ud800"}, "alert"),
        ({"alert": "x", "custom": {"aps": {}}}, "custom"),
        ({"alert": "x", "expiration": 1.5}, "expiration"),
        ({"alert": "x", "expiration": -1}, "expiration"),
        ({"alert": "x", "expiration": True}, "expiration"),
        ({"alert": "x", "expiration": datetime.datetime(2026, 1, 1)}, "expiration"),  # noqa: DTZ001
        ({"alert": "x", "badge": -1}, "badge"),
        ({"alert": "x", "badge": "1"}, "badge"),
        ({"alert": "x", "sound": Sound(volume=1.1)}, "sound.volume"),
        ({"alert": "x", "relevance_score": 1.1}, "relevance_score"),
        ({"alert": "x", "relevance_score": float("nan")}, "relevance_score"),
        ({"alert": "x", "interruption_level": "loud"}, "interruption_level"),
        ({"alert": "x", "push_type": "shout"}, "push_type"),
        ({"alert": "x", "topic": "com example"}, "topic"),
        ({"alert": "x", "event": "start"}, "event"),
        ({"alert": "x", "push_type": "background", "content_available": True}, "alert"),
        ({"push_type": "background"}, "content_available"),
        ({**ACTIVITY, "event": "pause"}, "event"),
        ({"push_type": "liveactivity", "event": "end", "timestamp": 1}, "content_state"),
        ({**ACTIVITY, "event": "start", "alert": "x", "attributes": {}}, "attributes_type"),
    ],
)
def test_refused(fields: dict[str, Any], field: str) -> None:
    """A mistake is refused before sending, by the name of its field and with what to do."""
    with pytest.raises(InvalidNotification) as caught:
        Notification(**fields).prepare()
    assert caught.value.field == field
    assert caught.value.fix
    assert caught.value.code == "invalid_notification"


@pytest.mark.parametrize(
    ("push_type", "suffix"),
    [
        ("alert", ""),
        ("background", ""),
        ("location", ".location-query"),
        ("voip", ".voip"),
        ("complication", ".complication"),
        ("fileprovider", ".pushkit.fileprovider"),
        ("mdm", ""),
        ("liveactivity", ".push-type.liveactivity"),
        ("pushtotalk", ".voip-ptt"),
        ("widgets", ".push-type.widgets"),
        ("controls", ".push-type.controls"),
    ],
)
def test_topic_suffix(push_type: str, suffix: str) -> None:
    """The topic of a type is the bundle id and its suffix, added once (4.2, TYPE-1)."""
    assert topic_for("com.example.app", push_type) == "com.example.app" + suffix
    assert topic_for("com.example.app" + suffix, push_type) == "com.example.app" + suffix


def test_payload_without_aps() -> None:
    """MDM and file provider payloads have no `aps` (4.2)."""
    assert body(Notification(push_type="mdm", custom={"mdm": "magic"})) == {"mdm": "magic"}


_PLAIN_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "alert": st.none() | st.text(max_size=5) | st.builds(Alert, title=st.text(max_size=3), loc_key=st.text()),
        "badge": st.none() | st.booleans() | st.integers(-2, 1 << 70) | st.just("1"),
        "sound": st.none() | st.text(max_size=3) | st.builds(Sound, critical=st.booleans()) | st.just(7),
        "thread_id": st.none() | st.text(max_size=3),
        "category": st.none() | st.text(max_size=3),
        "mutable_content": st.booleans(),
        "content_available": st.booleans(),
        "custom": st.none() | st.sampled_from([{}, {"a": 1}, {"aps": 1}, {"a": "b" * 4096}, {"a": object()}]),
        "relevance_score": st.none() | st.just(0.5),
        "priority": st.none() | st.sampled_from(list(Priority)),
        "expiration": st.none() | st.just(0),
        "topic": st.none() | st.just("com.example.app"),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(fields=_PLAIN_FIELDS)
def test_the_quick_way_and_the_careful_way_agree(fields: dict[str, Any]) -> None:
    """A notification with nothing unusual takes a short cut; it ends where the full check ends, or in its error."""

    def end(prepare: Callable[[Notification], Prepared]) -> object:
        try:
            ready = prepare(Notification(**fields))
        except Exception as error:
            return type(error), str(error)
        return json.loads(ready.body), ready.push_type, ready.priority, ready.topic, ready.fields

    assert end(Notification.prepare) == end(prepare_carefully)
