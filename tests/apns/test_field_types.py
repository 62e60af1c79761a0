"""A value of another type than its field's is refused with the field's name, by the twins in C as by Python."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from support.engine import TOKEN

from heliogram.apns import Alert, Client, InvalidNotification, Notification, PushType, SigningKey, Sound

SECRET = "hunter2-" * 50
LIVE: dict[str, Any] = {"push_type": "liveactivity", "event": "update", "timestamp": 5, "content_state": {}}
TEXT = ["thread_id", "category", "target_content_id", "filter_criteria", "input_push_channel", "topic", "collapse_id"]


class Word(StrEnum):
    """Text that is more than text."""

    ONE = "one"


def refused(**fields: Any) -> InvalidNotification:
    with pytest.raises(InvalidNotification) as caught:
        Notification(**fields).prepare()
    assert str(caught.value) == f"{caught.value.field}: {caught.value.problem}; {caught.value.fix}"
    return caught.value


ODD = [
    ("alert", 5, "int", "give text or an Alert"),
    ("alert", SECRET.encode(), "bytes", "give text or an Alert"),
    ("alert", {"title": "Hi"}, "dict", "give text or an Alert"),
    ("alert", Alert, "StructMeta", "give text or an Alert"),
    ("badge", SECRET, "str", "give a whole number, 0 removes the badge"),
    ("badge", 1.0, "float", "give a whole number, 0 removes the badge"),
    ("badge", True, "bool", "give a whole number, 0 removes the badge"),
    ("sound", 5, "int", "give text or a Sound"),
    ("sound", {"name": "x"}, "dict", "give text or a Sound"),
    ("mutable_content", SECRET, "str", "give True or False"),
    ("mutable_content", 2, "int", "give True or False"),
    ("mutable_content", None, "NoneType", "give True or False"),
    ("content_available", "no", "str", "give True or False"),
    ("input_push_token", [], "list", "give True or False"),
    ("content_changed", b"", "bytes", "give True or False"),
    ("custom", SECRET, "str", "give a dict of your own keys"),
    ("custom", [("a", 1)], "list", "give a dict of your own keys"),
    ("interruption_level", 5, "int", "use one of passive, active, time-sensitive, critical"),
    ("relevance_score", "a", "str", "give a number from 0 to 1"),
    ("relevance_score", True, "bool", "give a number from 0 to 1"),
    ("stale_date", "soon", "str", "give whole seconds since the epoch or an aware datetime"),
    ("expiration", "soon", "str", "give whole seconds since the epoch or an aware datetime"),
    ("expiration", 1.5, "float", "give whole seconds since the epoch or an aware datetime"),
    ("expiration", datetime.date(2026, 1, 1), "date", "give whole seconds since the epoch or an aware datetime"),
    ("priority", "high", "str", "use 1 or 5 or 10"),
    ("priority", True, "bool", "use 1 or 5 or 10"),
    ("url_args", SECRET, "str", "give a list of text"),
    ("payload", 5, "int", "give bytes of JSON or a dict"),
    ("payload", SECRET, "str", "give bytes of JSON or a dict"),
    ("payload", bytearray(b"{}"), "bytearray", "give bytes of JSON or a dict"),
    ("content_state", SECRET, "str", "give a dict"),
    ("attributes", [1], "list", "give a dict"),
    *((name, value, type(value).__name__, None) for name in TEXT for value in (5, SECRET.encode(), [SECRET])),
]


@pytest.mark.parametrize(("field", "value", "kind", "fix"), ODD)
def test_another_type_is_told_with_its_field(field: str, value: object, kind: str, fix: str | None) -> None:
    """The field, the type that was given, and what is expected; never the value."""
    more = LIVE if field in ("stale_date", "content_state", "attributes") else {}
    error = refused(**{**more, field: value})
    assert (error.field, error.problem) == (field, f"of type {kind}")
    assert fix is None or error.fix == fix
    assert "hunter2" not in str(error)


def test_push_type_of_another_type() -> None:
    """The known ones are listed."""
    error = refused(push_type=5)
    assert (error.field, error.problem) == ("push_type", "of type int")
    assert error.fix.startswith("use one of alert, background, ")


@pytest.mark.parametrize(
    ("part", "field", "problem"),
    [
        ({"title": 5}, "alert.title", "of type int"),
        ({"subtitle": {}}, "alert.subtitle", "of type dict"),
        ({"body": b"x"}, "alert.body", "of type bytes"),
        ({"loc_args": "text"}, "alert.loc_args", "of type str"),
        ({"loc_key": "A", "loc_args": ["a", 5]}, "alert.loc_args", "has an item of type int"),
        ({"title_loc_args": 5}, "alert.title_loc_args", "of type int"),
        ({"sound": Sound()}, "alert.sound", "of type Sound"),
    ],
)
def test_within_an_alert(part: dict[str, Any], field: str, problem: str) -> None:
    """Its parts are named with it."""
    error = refused(alert=Alert(**part))
    assert (error.field, error.problem) == (field, problem)


@pytest.mark.parametrize(
    ("part", "field", "kind"),
    [({"name": 5}, "name", "int"), ({"critical": "yes"}, "critical", "str"), ({"volume": "x"}, "volume", "str")],
)
def test_within_a_sound(part: dict[str, Any], field: str, kind: str) -> None:
    """Its parts are named with it."""
    error = refused(sound=Sound(**part))
    assert (error.field, error.problem) == (f"sound.{field}", f"of type {kind}")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"badge": -(10**5000)}, "badge"),
        ({"badge": 1 << 64}, "badge"),
        ({"expiration": 10**5000}, "expiration"),
        ({"priority": 10**5000}, "priority"),
        ({"interruption_level": SECRET}, "interruption_level"),
        ({"push_type": SECRET}, "push_type"),
        ({"topic": SECRET}, "topic"),
        ({**LIVE, "event": SECRET}, "event"),
    ],
)
def test_nothing_long_is_quoted(fields: dict[str, Any], field: str) -> None:
    """Neither a long text nor a number of five thousand digits makes a long error."""
    error = refused(**fields)
    assert error.field == field
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"custom": {"a": object()}}, "custom"),
        ({"alert": Alert(title="\ud800")}, "alert"),
        ({"alert": "x", "thread_id": "\ud800"}, "thread_id"),
        ({**LIVE, "content_state": {"a": {1, object()}}}, "content_state"),
    ],
)
def test_what_cannot_be_written_is_told_with_its_own_field(fields: dict[str, Any], field: str) -> None:
    """Not with the first field of all."""
    error = refused(**fields)
    assert error.field == field
    assert error.problem.startswith("cannot be written as JSON")


@pytest.mark.parametrize(
    "fields",
    [
        {"alert": Word.ONE, "thread_id": Word.ONE, "sound": Word.ONE, "topic": Word.ONE, "collapse_id": Word.ONE},
        {"mutable_content": 1, "alert": "x"},
        {"mutable_content": 0, "alert": "x", "content_available": 0},
        {"custom": MappingProxyType({"a": 1})},
        {"custom": OrderedDict(a=1)},
        {"alert": Alert(loc_key="A", loc_args=["a"], title_loc_args=[])},
        {"alert": Alert(loc_key="A", loc_args=("a",))},  # type: ignore[arg-type]
        {"badge": (1 << 64) - 1},
        {"relevance_score": 1, "alert": "x"},
        {"url_args": ("a", "b"), "alert": "x"},
        {"payload": None},
        {**LIVE, "alert": Alert(title={"loc-key": "A"}, body="x")},
    ],
)
def test_kin_of_the_declared_types_will_do(fields: dict[str, Any]) -> None:
    """Text that is more than text, 0 and 1 for a flag, a tuple for a list, any mapping for your own keys."""
    assert Notification(**fields).prepare().body.startswith(b"{")


@pytest.mark.parametrize(("field", "value", "kind", "_"), ODD)
@pytest.mark.parametrize("way", ["twin", "python"])
@pytest.mark.anyio
async def test_sending_raises_at_once(
    signing_key: SigningKey, way: str, field: str, value: object, kind: str, _: object
) -> None:
    """`send` raises the same by both ways, and `send_many` gives the push its outcome with the same words."""
    more = LIVE if field in ("stale_date", "content_state", "attributes") else {}
    client = Client(signing_key, topic="com.example.app", endpoint="127.0.0.1:1")
    client.revoke()
    if way == "python":
        client._send, client._make, client._makers = None, client._job, (client._job, None)
    note = Notification(**{**more, field: value})
    with pytest.raises(InvalidNotification, match=f"^{field}: of type {kind}; ") as caught:
        client.send(TOKEN, note)
    [outcome] = [one async for one in client.send_many([(TOKEN, note)])]
    assert outcome.cause == str(caught.value)  # type: ignore[union-attr]
    assert client.pool.waiting == 0


@pytest.mark.parametrize("given", [5, 0, b"com.example.app", ["com.example.app"]])
@pytest.mark.anyio
async def test_the_topic_and_id_of_a_send(signing_key: SigningKey, given: Any) -> None:
    """They are named too."""
    client = Client(signing_key, topic="com.example.app", endpoint="127.0.0.1:1")
    note = Notification(alert="x", push_type=PushType.ALERT)
    for name in ("topic", "apns_id"):
        with pytest.raises(InvalidNotification, match=f"^{name}: of type {type(given).__name__}; give "):
            client.send(TOKEN, note, **{name: given})
