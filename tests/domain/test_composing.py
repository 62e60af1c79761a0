"""Precedence, and what a push type decides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliogram import apns
from heliogram.domain.composing import compose, payload_problems
from heliogram.domain.content import Content
from heliogram.domain.devices import TokenKind
from heliogram.domain.errors import Code
from heliogram.domain.notifications import NOT_STORED, Priority, SendSpec
from heliogram.domain.pushtypes import RULES, PushType

NOW = 1_800_000_000_000
START = {"event": "start", "contentState": {}, "attributesType": "Ride", "attributes": {}}
UPDATE = {"event": "update", "contentState": {}, "activityId": "a1"}

CONTENTS: dict[PushType, dict[str, Any]] = {
    push_type: {"pushType": push_type.value, **({"body": "x"} if push_type is PushType.ALERT else {})}
    for push_type in PushType
    if push_type is not PushType.LIVEACTIVITY
} | {PushType.LIVEACTIVITY: {"liveActivity": UPDATE}}


def composed(content: dict[str, Any], **asked: Any) -> SendSpec:
    spec, problems = compose(msgspec.convert(content, Content), app_name="shop", leaves=NOW, **asked)
    assert spec is not None, problems
    return spec


def refused(content: dict[str, Any], **asked: Any) -> list[tuple[str, str]]:
    spec, problems = compose(msgspec.convert(content, Content), app_name="shop", leaves=NOW, **asked)
    assert spec is None
    return [(each.path, each.message) for each in problems]


def test_the_domain_and_the_engine_agree_on_push_types() -> None:
    """Two tables of the same rules (4.2): the same types, the same priorities, the same first choice."""
    assert {each.value for each in PushType} == {each.value for each in apns.PushType}
    for push_type, rule in RULES.items():
        assert rule.priorities == tuple(map(int, apns.pushtypes.RULES[apns.PushType(push_type)].priorities))


@pytest.mark.parametrize("push_type", list(PushType))
def test_without_insistence_the_push_type_chooses_the_priority(push_type: PushType) -> None:
    """HIGH where it may be, else LOW: a background push is 5 by itself."""
    spec = composed(CONTENTS[push_type])
    assert (spec.push_type, spec.apns) == (push_type.value, RULES[push_type].priorities[0])
    assert spec.priority is (Priority.LOW if push_type is PushType.BACKGROUND else Priority.HIGH)


@pytest.mark.parametrize("push_type", list(PushType))
@pytest.mark.parametrize("priority", list(Priority))
def test_an_asked_priority_is_taken_or_refused_with_the_cure(push_type: PushType, priority: Priority) -> None:
    """Background is LOW alone, push-to-talk HIGH alone."""
    if priority.apns in RULES[push_type].priorities:
        assert composed(CONTENTS[push_type], priority=priority).apns == priority.apns
        return
    ((path, message),) = refused(CONTENTS[push_type], priority=priority)
    other = Priority.LOW if priority is Priority.HIGH else Priority.HIGH
    assert (path, message) == ("$.priority", f"a {push_type} push takes {other} alone: say so or leave it out")


def test_the_header_goes_before_the_priority() -> None:
    """`apn.headers` over the send's `priority`; 1 is told by a value of its own."""
    content = {"body": "x", "apn": {"headers": {"apns-priority": "1"}}}
    spec = composed(content, priority=Priority.HIGH)
    assert (spec.apns, spec.apns_priority, spec.priority) == (1, 1, Priority.LOW)
    five = composed({"body": "x", "apn": {"headers": {"apns-priority": 5}}})
    assert (five.apns, five.apns_priority, five.priority) == (5, None, Priority.LOW)
    ((path, message),) = refused({"pushType": "background", "apn": {"headers": {"apns-priority": 10}}})
    assert path == '$.content.apn.headers["apns-priority"]'
    assert "takes 5 alone" in message


def test_headers_go_before_the_fields_that_say_the_same() -> None:
    """Push type, collapse id, expiration and topic."""
    headers = {
        "apns-push-type": "voip",
        "apns-collapse-id": "theirs",
        "apns-expiration": "1900000000",
        "apns-topic": "com.example.other",
    }
    content = {"pushType": "alert", "collapseId": "mine", "apn": {"headers": headers}}
    spec = composed(content, expires_at=NOW + 1)
    assert (spec.push_type, spec.kind) == ("voip", TokenKind.VOIP)
    assert (spec.collapse_id, spec.topic, spec.expires_at) == ("theirs", "com.example.other", 1_900_000_000_000)
    plain = composed({"body": "x", "collapseId": "mine"}, expires_at=NOW + 1)
    assert (plain.collapse_id, plain.topic, plain.expires_at) == ("mine", None, NOW + 1)
    once = composed({"body": "x", "apn": {"headers": {"apns-expiration": 0}}}, expires_at=NOW + 1)
    assert once.expires_at == NOT_STORED


@pytest.mark.parametrize(
    ("content", "kind", "activity"),
    [
        ({"body": "x"}, TokenKind.ALERT, None),
        ({"pushType": "background"}, TokenKind.ALERT, None),
        ({"pushType": "pushtotalk"}, TokenKind.PUSH_TO_TALK, None),
        ({"pushType": "fileprovider"}, TokenKind.FILE_PROVIDER, None),
        ({"body": "x", "liveActivity": START}, TokenKind.LIVE_ACTIVITY_START, None),
        ({"liveActivity": UPDATE}, TokenKind.LIVE_ACTIVITY_UPDATE, "a1"),
        ({"liveActivity": {"event": "end", "contentState": {}}}, TokenKind.LIVE_ACTIVITY_UPDATE, None),
        (
            {"pushType": "liveactivity", "apn": {"payload": {"aps": {"event": "start"}}}},
            TokenKind.LIVE_ACTIVITY_START,
            None,
        ),
        ({"pushType": "liveactivity", "apn": {"payload": {"aps": 3}}}, TokenKind.LIVE_ACTIVITY_UPDATE, None),
    ],
)
def test_the_push_type_says_which_tokens_it_goes_to(
    content: dict[str, Any], kind: TokenKind, activity: str | None
) -> None:
    """Each kind has tokens of its own; a Live Activity another for its updates than for its start."""
    spec = composed(content)
    assert (spec.kind, spec.activity_id) == (kind, activity)


def test_a_live_activity_has_the_time_at_which_it_leaves() -> None:
    """Unless the caller gives one; a raw payload has its own."""
    assert composed({"liveActivity": UPDATE}).timestamp == NOW // 1000
    assert composed({"liveActivity": {**UPDATE, "timestamp": 7}}).timestamp == 7
    assert composed({"liveActivity": UPDATE, "apn": {"payload": {}}}).timestamp is None
    assert composed({"body": "x"}).timestamp is None


def test_a_sound_does_not_go_with_a_background_push() -> None:
    """It would be silent: the message says so."""
    ((path, message),) = refused({"pushType": "background"}, sound="bell")
    assert path == "$.sound"
    assert "plays nothing" in message


@pytest.mark.parametrize("given", ["fields", "payload"])
def test_a_payload_over_the_limit_is_a_problem_with_its_size(given: str) -> None:
    """The limit itself passes, one byte more does not, in both ways to say a content."""
    text = "x" * 100
    content = {"body": text} if given == "fields" else {"apn": {"payload": {"aps": {"alert": {"body": text}}}}}
    spec = composed(content)
    size = len(msgspec.json.encode({"aps": {"alert": {"body": text}}}))
    assert payload_problems(spec, size)[1] == []
    (problem,) = payload_problems(spec, size - 1)[1]
    assert problem.code is Code.PAYLOAD_TOO_LARGE
    assert problem.path == ("$.content" if given == "fields" else "$.content.apn.payload")
    assert f"{size} bytes; the limit is {size - 1} for alert" in problem.message


def test_variables_do_not_count_before_they_are_filled_in() -> None:
    """Only what is surely there does."""
    renderer, problems = payload_problems(composed({"body": "{{ a }}" * 50}), 30)
    assert (problems, renderer.static) == ([], False)
    (problem,) = payload_problems(composed({"body": "{{ a }}" + "x" * 50}), 30)[1]
    assert "before any variable is filled in" in problem.message
