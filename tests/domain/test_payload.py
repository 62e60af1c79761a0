"""From a content to Apple's JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.composing import compose
from heliogram.domain.content import Content
from heliogram.domain.payload import pieces
from heliogram.domain.render import Renderer

NOW = 1_800_000_000_000
UPDATE = {"event": "update", "contentState": {"n": 1}}


def payload(content: dict[str, Any], sound: str | None = None) -> Any:
    spec, problems = compose(msgspec.convert(content, Content), app_name="shop", leaves=NOW, sound=sound)
    assert spec is not None, problems
    return msgspec.json.decode(Renderer(spec).payload(None))


@pytest.mark.parametrize(
    ("content", "aps"),
    [
        ({"badge": 0}, {"badge": 0}),
        ({"sound": "bell.caf"}, {"sound": "bell.caf"}),
        ({"sound": {}}, {"sound": {"name": "default"}}),
        (
            {"sound": {"name": "siren", "critical": True, "volume": 0.5}},
            {"sound": {"name": "siren", "critical": 1, "volume": 0.5}},
        ),
        ({"threadId": "t", "category": "c"}, {"thread-id": "t", "category": "c"}),
        ({"interruptionLevel": "time-sensitive"}, {"interruption-level": "time-sensitive"}),
        ({"relevanceScore": 0.25}, {"relevance-score": 0.25}),
        ({"mutableContent": True, "contentAvailable": True}, {"mutable-content": 1, "content-available": 1}),
        ({"targetContentId": "w", "filterCriteria": "f"}, {"target-content-id": "w", "filter-criteria": "f"}),
    ],
)
def test_a_field_becomes_its_key(content: dict[str, Any], aps: dict[str, Any]) -> None:
    """As apns-rules 4.4 names them; flags are the number 1."""
    assert payload({"body": "x", **content}) == {"aps": {"alert": {"body": "x"}, **aps}}


def test_the_alert_has_every_text() -> None:
    """Texts, localised texts with their arguments, and the launch image."""
    content = {
        "title": "t",
        "subtitle": "s",
        "body": "b",
        "launchImage": "l",
        "titleLocKey": "TK",
        "titleLocArgs": ["1"],
        "subtitleLocKey": "SK",
        "subtitleLocArgs": [],
        "locKey": "K",
        "locArgs": ["2", "3"],
    }
    assert payload(content)["aps"]["alert"] == {
        "title": "t",
        "subtitle": "s",
        "body": "b",
        "launch-image": "l",
        "title-loc-key": "TK",
        "title-loc-args": ["1"],
        "subtitle-loc-key": "SK",
        "subtitle-loc-args": [],
        "loc-key": "K",
        "loc-args": ["2", "3"],
    }


def test_data_and_image_stand_beside_aps() -> None:
    """Custom keys keep their names and types; the image's address is under `image`, with `mutable-content`."""
    content = {"body": "x", "data": {"order": 7, "tags": ["a", None, 1.5, True]}, "image": "https://example.com/a.png"}
    assert payload(content) == {
        "aps": {"alert": {"body": "x"}, "mutable-content": 1},
        "order": 7,
        "tags": ["a", None, 1.5, True],
        "image": "https://example.com/a.png",
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"pushType": "background", "data": {"a": 1}}, {"aps": {"content-available": 1}, "a": 1}),
        ({"pushType": "voip", "data": {"call": 7}}, {"aps": {}, "call": 7}),
        ({"pushType": "widgets"}, {"aps": {"content-changed": True}}),
        ({"pushType": "controls"}, {"aps": {"content-changed": True}}),
        ({"pushType": "mdm", "data": {"mdm": "magic"}}, {"mdm": "magic"}),
        ({"pushType": "fileprovider", "data": {"container-identifier": "x"}}, {"container-identifier": "x"}),
        ({"apn": {"payload": {"aps": {"alert": "raw"}}}, "body": "no", "badge": 3}, {"aps": {"alert": "raw"}}),
        ({"apn": {"payload": {}}}, {}),
    ],
)  # fmt: skip
def test_each_push_type_has_its_payload(content: dict[str, Any], expected: dict[str, Any]) -> None:
    """Background pushes wake, widgets are told of a change, MDM has no `aps`; a raw payload is all there is."""
    assert payload(content) == expected


def test_a_live_activity_has_its_own_keys() -> None:
    """LA-1: event, content-state and a timestamp always; what starts one besides."""
    assert payload({"liveActivity": UPDATE}) == {
        "aps": {"timestamp": NOW // 1000, "event": "update", "content-state": {"n": 1}}
    }
    start = {
        "event": "start",
        "contentState": {"n": 0},
        "attributesType": "Ride",
        "attributes": {"from": "{{ a }}"},
        "timestamp": 5,
        "staleDate": "2026-03-19T09:30:00Z",
        "dismissalDate": 7,
        "inputPushToken": True,
        "inputPushChannel": "Y2g=",
    }
    assert payload({"title": "Go", "liveActivity": start, "relevanceScore": 50}, sound="bell") == {
        "aps": {
            "alert": {"title": "Go"},
            "sound": "bell",
            "relevance-score": 50.0,
            "timestamp": 5,
            "event": "start",
            "content-state": {"n": 0},
            "attributes-type": "Ride",
            "attributes": {"from": "{{ a }}"},
            "stale-date": 1_773_912_600,
            "dismissal-date": 7,
            "input-push-token": 1,
            "input-push-channel": "Y2g=",
        }
    }


def test_the_content_s_sound_goes_before_the_send_s() -> None:
    """And the send's is used when the content has none."""
    assert payload({"body": "x", "sound": "mine"}, sound="other")["aps"]["sound"] == "mine"
    assert payload({"body": "x"}, sound="other")["aps"]["sound"] == "other"


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=JSON)
def test_pieces_are_the_same_json(value: Any) -> None:
    """Put together, the pieces are what the encoder makes of the whole."""
    joined = b"".join(piece for piece in pieces(value) if isinstance(piece, bytes))
    assert joined == msgspec.json.encode(value)
