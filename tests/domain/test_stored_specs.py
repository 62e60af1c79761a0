"""What was packed by earlier versions stays readable, and what is packed now comes back as it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliogram.domain.content import Content, Sound
from heliogram.domain.notifications import Priority, SendSpec
from heliogram.domain.render import Renderer

FULL = {
    "body": "b",
    "title": "t",
    "subtitle": "s",
    "badge": 1,
    "sound": {"name": "n", "critical": True, "volume": 0.5},
    "threadId": "t",
    "category": "c",
    "interruptionLevel": "passive",
    "relevanceScore": 0.5,
    "image": "https://example.com",
    "data": {"a": [1, {"b": None}]},
    "collapseId": "c",
    "mutableContent": True,
    "contentAvailable": True,
    "titleLocKey": "k",
    "titleLocArgs": ["a"],
    "subtitleLocKey": "k",
    "subtitleLocArgs": ["a"],
    "locKey": "k",
    "locArgs": [],
    "launchImage": "l",
    "targetContentId": "t",
    "filterCriteria": "f",
    "pushType": "alert",
    "liveActivity": {
        "event": "start",
        "contentState": {"a": 1},
        "attributesType": "A",
        "attributes": {"b": 2},
        "staleDate": 5,
        "dismissalDate": "2026-03-19T09:30:00Z",
        "timestamp": 6,
        "activityId": "x",
        "inputPushToken": True,
        "inputPushChannel": "Y2g=",
    },
    "apn": {
        "payload": {"aps": {}},
        "headers": {
            "apns-priority": "5",
            "apns-push-type": "alert",
            "apns-collapse-id": "c",
            "apns-expiration": "0",
            "apns-topic": "com.example",
        },
    },
}


@pytest.mark.parametrize(
    ("packed", "spec"),
    [
        (
            b"\x86\xa8app_name\xa4shop\xa7content\x82\xa4body\xadHi {{ name }}\xa5title\xa1T\xa8priority\xa3LOW"
            b"\xa5sound\xa4bell\xa3apn\xc4\x10cccccccccccccccc\xaaexpires_at\x01",
            SendSpec(
                app_name="shop",
                content=Content(body="Hi {{ name }}", title="T"),
                priority=Priority.LOW,
                sound="bell",
                apn=b"c" * 16,
                expires_at=1,
            ),
        ),
        (
            b"\x82\xa8app_name\xa4shop\xa7content\x81\xa4body\xa1b",
            SendSpec(app_name="shop", content=Content(body="b")),
        ),
    ],
)
def test_rows_of_the_first_version_are_readable(packed: bytes, spec: SendSpec) -> None:
    """These bytes were written before there was more than a title and a body."""
    read = msgspec.msgpack.decode(packed, type=SendSpec)
    assert read == spec
    assert msgspec.json.decode(Renderer(read).payload({"name": "Ann"}))["aps"]["alert"]["body"] in ("Hi Ann", "b")


def test_what_is_not_said_takes_no_room() -> None:
    """Only what is not the default is packed."""
    spec = SendSpec(app_name="shop", content=Content(body="b"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec)) == {"app_name": "shop", "content": {"body": "b"}}


def test_every_field_of_a_content_comes_back_as_it_was_sent() -> None:
    """Through the store's packing and out as JSON again."""
    content = msgspec.convert(FULL, Content)
    assert set(FULL) == {field.encode_name for field in msgspec.structs.fields(Content)}
    spec = SendSpec(app_name="shop", content=content, apns_priority=1, topic="t", timestamp=5)
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=SendSpec)
    assert read == spec
    shown: Any = msgspec.json.decode(msgspec.json.encode(read.content))
    assert shown == FULL


def test_defaults_of_parts_are_left_out() -> None:
    """A sound with nothing said is an empty object."""
    assert msgspec.json.encode(Content(body="x", sound=Sound())) == b'{"body":"x","sound":{}}'
