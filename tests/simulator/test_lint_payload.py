"""Findings on single keys of a payload (4.4, 4.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.sim_client import TOPIC

from heliogram.simulator.lint import lint

NOW = 1_800_000_000
ACTIVITY: dict[str, Any] = {"timestamp": NOW, "event": "update", "content-state": {}}
START: dict[str, Any] = ACTIVITY | {"event": "start", "attributes-type": "G", "attributes": {}, "alert": "x"}


def found(payload: Any, push_type: str = "alert", topic: str = TOPIC) -> list[str]:
    fields = {b"apns-push-type": push_type.encode(), b"apns-topic": topic.encode()}
    return [str(finding) for finding in lint(fields, json.dumps(payload).encode(), NOW)]


def alert(**aps: Any) -> dict[str, Any]:
    return {"aps": {"alert": "x"} | {name.replace("_", "-"): value for name, value in aps.items()}}


@pytest.mark.parametrize(
    ("payload", "finding"),
    [
        (alert(Badge=1), "aps.Badge is unknown and ignored: you mean badge"),
        (alert(mutablecontent=1), "aps.mutablecontent is unknown and ignored: you mean mutable-content"),
        ({"aps": {"alert": "x", "thread_id": "t"}}, "you mean thread-id"),
        (alert(order=7), "aps.order is unknown and ignored: aps has no such key, custom values go beside aps"),
        (alert(alert={"title": "x", "boddy": "y"}), "aps.alert.boddy is unknown and ignored: you mean body"),
        (alert(sound={"name": "x", "loud": 1}), "aps.sound.loud is unknown"),
        (alert() | {"badge": 1}, "badge stands beside aps"),
        ({"alert": "x"}, "alert stands beside aps"),
        ({"aps": "x"}, 'aps is "x", not a dictionary'),
    ],
)
def test_unknown_misspelt_and_misplaced_keys(payload: Any, finding: str) -> None:
    """4.4: unknown keys inside aps are ignored; known ones outside are custom values."""
    assert any(finding in one for one in found(payload))


@pytest.mark.parametrize(
    ("aps", "finding"),
    [
        ({"alert": 7}, "aps.alert is 7; it must be a string or a dictionary"),
        ({"badge": "1"}, 'aps.badge is "1"; it must be a number'),
        ({"badge": True}, "aps.badge is true; it must be a number"),
        ({"badge": -1}, "aps.badge is -1; it must be a whole number"),
        ({"badge": 1.5}, "aps.badge is 1.5; it must be a whole number"),
        ({"sound": 1}, "aps.sound is 1; it must be a string or a dictionary"),
        ({"thread_id": 1}, "aps.thread-id is 1; it must be a string"),
        ({"content_available": True}, "aps.content-available is true; it must be a number"),
        ({"content_available": 0}, "aps.content-available is 0; it must be 1"),
        ({"mutable_content": 2}, "aps.mutable-content is 2; it must be 1"),
        ({"interruption_level": "loud"}, "aps.interruption-level is"),
        ({"relevance_score": 1.1}, "aps.relevance-score is 1.1; it must be 0 to 1"),
        ({"relevance_score": -0.1}, "it must be 0 to 1"),
        ({"relevance_score": "1"}, "it must be a number"),
        ({"category": ["x" * 100]}, "…; it must be a string"),
        ({"url_args": "x"}, "it must be an array"),
    ],
)
def test_values_of_the_wrong_kind(aps: dict[str, Any], finding: str) -> None:
    """4.4: each key of aps takes one kind of value, some within bounds."""
    assert any(finding in one for one in found(alert(**aps)))


@pytest.mark.parametrize("score", [0, 1, 0.5])
@pytest.mark.parametrize("level", ["passive", "active", "time-sensitive", "critical"])
def test_values_at_their_bounds(score: float, level: str) -> None:
    """4.4: every interruption level, and a relevance score from 0 to 1."""
    assert found(alert(relevance_score=score, interruption_level=level, badge=0)) == []


@pytest.mark.parametrize(
    ("inner", "finding"),
    [
        ({"loc-args": ["x"], "title": "t"}, "aps.alert.loc-args has no loc-key"),
        ({"title-loc-args": ["x"], "body": "b"}, "aps.alert.title-loc-args has no title-loc-key"),
        ({"subtitle-loc-args": ["x"], "body": "b"}, "has no subtitle-loc-key"),
        ({"loc-key": "k", "loc-args": [1]}, "it must be an array of strings"),
        ({"loc-key": "k", "loc-args": "x"}, "it must be an array of strings"),
        ({"title": 7}, "aps.alert.title is 7; it must be a string"),
        ({}, "aps.alert has no title, subtitle or body"),
        ({"launch-image": "x"}, "nothing is shown"),
        ({"title": "t", "action-loc-key": "k"}, "aps.alert.action-loc-key is ignored"),
        ({"title": "t", "sound": "x"}, "move it to aps.sound"),
        ("", "aps.alert is empty"),
    ],
)
def test_alerts(inner: Any, finding: str) -> None:
    """4.4: what an alert needs to be shown, and what in it has no effect."""
    assert any(finding in one for one in found(alert(alert=inner)))


@pytest.mark.parametrize(
    ("sound", "finding"),
    [
        ("", "aps.sound is empty"),
        ({"critical": 1}, "aps.sound.name is missing"),
        ({"critical": 2, "name": "x"}, "aps.sound.critical is 2; it must be 1"),
        ({"critical": "1", "name": "x"}, "it must be a number"),
        ({"critical": 1, "name": "x", "volume": 1.5}, "aps.sound.volume is 1.5; it must be 0 to 1"),
        ({"name": "x", "volume": 1}, "on critical alerts only"),
    ],
)
def test_sounds(sound: Any, finding: str) -> None:
    """4.4: the dictionary of critical alerts."""
    assert any(finding in one for one in found(alert(sound=sound)))


def test_the_service_extension_needs_a_text() -> None:
    """4.4: mutable-content without an alert that has a text does not run the extension."""
    (one,) = found({"aps": {"badge": 1, "mutable-content": 1}})
    assert "aps.mutable-content needs an alert with a text" in one


@pytest.mark.parametrize(
    ("aps", "finding"),
    [
        ({}, "aps.timestamp is missing"),
        ({}, "aps.event is missing"),
        ({}, "aps.content-state is missing"),
        (ACTIVITY | {"event": "pause"}, "it must be one of start, update, end"),
        (ACTIVITY | {"timestamp": NOW * 1000}, f"send seconds: {NOW}"),
        (ACTIVITY | {"timestamp": NOW + 86_401}, "more than a day ahead"),
        (ACTIVITY | {"timestamp": NOW - 86_401}, "more than a day old"),
        (ACTIVITY | {"timestamp": str(NOW)}, "it must be a number"),
        (ACTIVITY | {"stale-date": NOW - 1}, "aps.stale-date lies in the past"),
        (ACTIVITY | {"stale-date": NOW * 1000}, f"send seconds: {NOW}"),
        (ACTIVITY | {"dismissal-date": NOW}, "is read with event end only"),
        (ACTIVITY | {"attributes": {}}, "aps.attributes is read with event start only"),
        (ACTIVITY | {"content-state": "x"}, "it must be a dictionary"),
        (ACTIVITY | {"event": "start"}, "aps.attributes-type is missing"),
        (ACTIVITY | {"event": "start"}, "aps.attributes is missing"),
        (ACTIVITY | {"event": "start"}, "aps.alert is missing"),
        (START | {"attributes-type": ""}, "aps.attributes-type is empty"),
        (START | {"input-push-channel": "not base64!"}, "is not base64"),
        (START | {"input-push-token": 2}, "aps.input-push-token is 2; it must be 1"),
    ],
)
def test_live_activities(aps: dict[str, Any], finding: str) -> None:
    """LA-1: what every Live Activity push needs, and what start, update and end read."""
    assert any(finding in one for one in found({"aps": aps}, "liveactivity", TOPIC + ".push-type.liveactivity"))


def test_alerts_of_live_activities() -> None:
    """4.4: their title and body may be dictionaries, and their alert may hold a sound."""
    aps = ACTIVITY | {"alert": {"title": {"loc-key": "K"}, "body": {"loc-key": "B"}, "sound": "default"}}
    assert found({"aps": aps}, "liveactivity", TOPIC + ".push-type.liveactivity") == []


def test_keys_of_live_activities_elsewhere() -> None:
    """LA-1: they have no effect on other push types."""
    (one,) = found(alert(event="update"))
    assert "aps.event belongs to Live Activities" in one
