"""Whatever a caller writes as a content is composed and rendered, or refused with a path and a message."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.domain.composing import compose, payload_problems
from heliogram.domain.content import Content
from heliogram.domain.notifications import Priority, SendSpec
from heliogram.domain.pushtypes import PushType
from heliogram.domain.template import RenderError

TEXT = st.sampled_from(
    ["", "x", "é" * 40, "{{ a }}", "{{ a | upcase }}", "{% if a %}b{% endif %}", "{{", "{% x %}", "\n"]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("aps"), inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT | st.just("aps") | st.just("image"), VALUE, max_size=3)
ACTIVITY = st.fixed_dictionaries(
    {"event": st.sampled_from(["start", "update", "end"]), "contentState": OBJECT},
    optional={
        "attributesType": st.just("A"),
        "attributes": OBJECT,
        "staleDate": st.integers(0, 2**53) | TEXT | st.just("2026-03-19T09:30:00Z") | st.just("0001-01-01"),
        "timestamp": st.just("9999-12-31T23:59:59-23:59"),
        "activityId": st.just("a"),
        "inputPushToken": st.booleans(),
    },
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "apns-priority": st.sampled_from(["1", 5, "10"]),
        "apns-push-type": st.sampled_from(list(PushType)),
        "apns-collapse-id": TEXT,
        "apns-expiration": st.sampled_from([0, 1, "0", "999999999999999"]),
        "apns-topic": st.just("com.example"),
    },
)
CONTENT = st.fixed_dictionaries(
    {},
    optional={
        "body": TEXT,
        "title": TEXT,
        "badge": st.integers(0, 9),
        "sound": TEXT | st.just({"critical": True}),
        "relevanceScore": st.floats(0, 100),
        "image": st.just("https://example.com/{{ a }}"),
        "data": OBJECT,
        "collapseId": TEXT,
        "contentAvailable": st.booleans(),
        "locKey": st.just("K"),
        "locArgs": st.lists(TEXT, max_size=3),
        "pushType": st.sampled_from(list(PushType)),
        "liveActivity": ACTIVITY,
        "apn": st.fixed_dictionaries({}, optional={"payload": OBJECT, "headers": HEADERS}),
    },
)


@settings(max_examples=400, deadline=None)
@given(
    content=CONTENT,
    priority=st.none() | st.sampled_from(list(Priority)),
    sound=st.none() | st.just("bell"),
    variables=st.dictionaries(st.just("a"), VALUE),
)
def test_any_content_ends_in_a_payload_or_in_problems(
    content: dict[str, Any], priority: Priority | None, sound: str | None, variables: dict[str, Any]
) -> None:
    """Nothing else happens; what is composed can be kept, comes back the same, and its payload is an object."""
    try:
        given_content = msgspec.json.decode(msgspec.json.encode(content), type=Content)
    except msgspec.ValidationError:
        return
    spec, problems = compose(given_content, app_name="shop", leaves=1_800_000_000_000, priority=priority, sound=sound)
    assert all(each.path.startswith("$.") and each.message for each in problems)
    if spec is None:
        assert problems
        return
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=SendSpec) == spec
    renderer, problems = payload_problems(spec, 4096)
    assert all(each.path.startswith("$.content") and each.message for each in problems)
    if renderer.problems:
        return
    try:
        payload = renderer.payload(variables)
    except RenderError:
        return
    assert len(payload) >= renderer.least
    assert isinstance(msgspec.json.decode(payload), dict)
