"""What Apple demands of a content."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliogram.domain.content import MAX_TEXT, Content
from heliogram.domain.content_rules import MAX_DEPTH, MAX_JSON, content_problems, seconds_of
from heliogram.domain.errors import Code

START = {"event": "start", "contentState": {}, "attributesType": "Ride", "attributes": {}}
UPDATE = {"event": "update", "contentState": {"n": 1}}


def problems(content: dict[str, Any]) -> list[tuple[str, Code]]:
    return [(each.path, each.code) for each in content_problems(msgspec.convert(content, Content))]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"k": value}
    return value


@pytest.mark.parametrize(
    "content",
    [
        {"body": "x"},
        {"locKey": "GREETING"},
        {"apn": {"payload": {}}},
        {"pushType": "background"},
        {"pushType": "background", "contentAvailable": True, "data": {"a": 1}},
        {"pushType": "voip", "data": {"call": 7}},
        {"pushType": "mdm", "data": {"mdm": "magic"}},
        {"pushType": "widgets"},
        {"body": "x", "image": "https://example.com/a.png", "data": {"b": 1}},
        {"body": "x", "relevanceScore": 1},
        {"body": "x", "liveActivity": START},
        {"title": "x", "liveActivity": {**START, "staleDate": 1, "dismissalDate": "2026-03-19T09:30:00Z"}},
        {"liveActivity": {**UPDATE, "activityId": "a"}, "relevanceScore": 100},
        {"pushType": "liveactivity", "apn": {"payload": {"aps": {"event": "end"}}}},
        {"body": "x", "collapseId": "é" * 32},
        {"pushType": "pushtotalk", "apn": {"headers": {"apns-expiration": "0"}}},
        {"body": "x", "data": nested(MAX_DEPTH)},
        {"body": "x" * MAX_TEXT},
        {"body": "x", "data": {"n": 2**64 - 1, "m": -(2**63)}},
        {"body": "no", "title": "no", "pushType": "background", "apn": {"payload": {"aps": {}}}},
    ],
)
def test_these_are_contents(content: dict[str, Any]) -> None:
    """Each push type with what it needs; a raw payload replaces what the fields say, whatever they say."""
    assert problems(content) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, [("$.content.body", Code.MISSING_FIELD)]),
        ({"title": "x", "badge": 1}, [("$.content.body", Code.MISSING_FIELD)]),
        ({"body": "x", "data": {"aps": {}}}, [("$.content.data.aps", Code.INVALID_VALUE)]),
        (
            {"pushType": "background", "body": "x", "badge": 0, "title": "t", "sound": "s"},
            [(f"$.content.{name}", Code.INVALID_VALUE) for name in ("title", "body", "badge", "sound")],
        ),
        ({"body": "x", "relevanceScore": 1.1}, [("$.content.relevanceScore", Code.INVALID_VALUE)]),
        ({"pushType": "voip", "image": "https://e.com/a"}, [("$.content.image", Code.INVALID_VALUE)]),
        ({"body": "x", "image": "https://e.com/a", "data": {"image": 1}}, [("$.content.image", Code.INVALID_VALUE)]),
        ({"pushType": "liveactivity"}, [("$.content.liveActivity", Code.MISSING_FIELD)]),
        ({"body": "x", "pushType": "alert", "liveActivity": UPDATE}, [("$.content.liveActivity", Code.INVALID_VALUE)]),
        (
            {"liveActivity": {"event": "start", "contentState": {}, "activityId": "a"}},
            [
                ("$.content.liveActivity.attributesType", Code.MISSING_FIELD),
                ("$.content.liveActivity.attributes", Code.MISSING_FIELD),
                ("$.content.body", Code.MISSING_FIELD),
                ("$.content.liveActivity.activityId", Code.INVALID_VALUE),
            ],
        ),
        (
            {"liveActivity": {**UPDATE, "inputPushToken": True, "staleDate": "soon", "timestamp": "2026-13-01"}},
            [
                ("$.content.liveActivity.inputPushToken", Code.INVALID_VALUE),
                ("$.content.liveActivity.staleDate", Code.INVALID_VALUE),
                ("$.content.liveActivity.timestamp", Code.INVALID_VALUE),
            ],
        ),
        ({"body": "x", "collapseId": "é" * 32 + "x"}, [("$.content.collapseId", Code.INVALID_VALUE)]),
        ({"body": "x", "collapseId": "a\nb"}, [("$.content.collapseId", Code.INVALID_VALUE)]),
        (
            {"body": "x", "apn": {"headers": {"apns-collapse-id": " a"}}},
            [('$.content.apn.headers["apns-collapse-id"]', Code.INVALID_VALUE)],
        ),
        (
            {"pushType": "pushtotalk", "apn": {"headers": {"apns-expiration": 1}}},
            [('$.content.apn.headers["apns-expiration"]', Code.INVALID_VALUE)],
        ),
        ({"body": "x", "data": nested(MAX_DEPTH + 1)}, [("$.content.data", Code.INVALID_VALUE)]),
        ({"apn": {"payload": nested(MAX_DEPTH + 1)}}, [("$.content.apn.payload", Code.INVALID_VALUE)]),
        ({"body": "x", "data": {"n": 2**64}}, [("$.content.data", Code.INVALID_VALUE)]),
        ({"body": "x", "data": {"n": "x" * MAX_JSON}}, [("$.content.data", Code.PAYLOAD_TOO_LARGE)]),
        (
            {"liveActivity": {"event": "end", "contentState": {"n": 2**64}}},
            [("$.content.liveActivity.contentState", Code.INVALID_VALUE)],
        ),
        ({"body": "x" * (MAX_TEXT + 1)}, [("$.content.body", Code.PAYLOAD_TOO_LARGE)]),
        (
            {"body": "x", "title": "x" * (MAX_TEXT + 1), "subtitle": "x" * (MAX_TEXT + 1)},
            [("$.content.title", Code.PAYLOAD_TOO_LARGE), ("$.content.subtitle", Code.PAYLOAD_TOO_LARGE)],
        ),
    ],
)
def test_these_are_not(content: dict[str, Any], expected: list[tuple[str, Code]]) -> None:
    """Everything that is wrong is named, each at its place."""
    assert problems(content) == expected


def test_every_message_says_what_to_do() -> None:
    """The cure for a text in a background push, and for an alert without one."""
    (loud,) = content_problems(msgspec.convert({"pushType": "background", "body": "x"}, Content))
    assert "leave it out, or say pushType alert" in loud.message
    (mute,) = content_problems(Content())
    assert "pushType background" in mute.message


@pytest.mark.parametrize(
    ("instant", "seconds"),
    [
        (5, 5),
        ("2026-03-19T09:30:00Z", 1_773_912_600),
        ("2026-03-19T10:30:00+01:00", 1_773_912_600),
        ("2026-03-19T09:30", 1_773_912_600),
    ],
)
def test_instants_are_seconds_or_date_times(instant: int | str, seconds: int) -> None:
    """A date-time without an offset is UTC."""
    assert seconds_of(instant) == seconds
