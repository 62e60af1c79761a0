"""What is wrong with a payload that APNs takes as it is (4.4, 4.5): pairs of rule and sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .lint_activity import activity_findings
from .lint_values import ALERT, APS, LEGACY_ALERT, SOUND, check_keys, check_moment, check_values, is_number, shown

Found = Iterator[tuple[str, str]]

_WITH_APS = frozenset({"alert", "background", "liveactivity", "widgets", "controls"})
_VISIBLE = ("alert", "badge", "sound")
_LEVELS = ("passive", "active", "time-sensitive", "critical")
_ACTIVITY_ALONE = (
    "attributes",
    "attributes-type",
    "content-state",
    "dismissal-date",
    "event",
    "input-push-channel",
    "input-push-token",
    "stale-date",
    "timestamp",
)
_BACKGROUND = frozenset({"content-available"})


def payload_findings(kind: str, topic: bytes, payload: dict[str, Any], now: float) -> Found:
    """``kind``: the push type, given or guessed; ``now``: when it came, seconds since the epoch."""
    yield from _beside_aps(kind, payload)
    if "aps" not in payload:
        if kind in _WITH_APS and not topic.startswith(b"pass."):  # a Wallet pass is updated by {} (TYPE-4)
            yield "4.4", "the payload has no aps; put alert, badge, sound and the like into a dictionary of that name"
        return
    aps = payload["aps"]
    if not isinstance(aps, dict):
        yield "4.4", f"aps is {shown(aps)}, not a dictionary: nothing in it is read"
        return
    yield from check_keys(aps, APS, "aps", "custom values go beside aps")
    yield from check_values(aps, APS, "aps")
    yield from _alert(aps.get("alert"), kind)
    yield from _sound(aps.get("sound"), "aps.sound")
    yield from _switches(aps, kind)
    yield from _levels(aps, kind)
    if kind == "liveactivity":
        yield from activity_findings(aps, now)
    else:
        yield from _not_an_activity(aps)
    yield from _fits(kind, aps)


def _beside_aps(kind: str, payload: dict[str, Any]) -> Found:
    """The top level: keys that belong into aps, and what some push types need here."""
    inside = payload.get("aps")
    known = inside if isinstance(inside, dict) else {}
    for key in ("alert", "badge", "sound", "content-available", "mutable-content", "interruption-level"):
        if key in payload and key not in known:
            yield "4.4", f"{key} stands beside aps, where it is a custom value; move it into aps"
    if kind == "fileprovider" and not {"container-identifier", "domain"} & payload.keys():
        yield "4.2", "a fileprovider push needs container-identifier or domain at the top level"
    if kind == "mdm" and not isinstance(payload.get("mdm"), str):
        yield "4.2", 'an mdm push is {"mdm": "<PushMagic>"}; the key mdm with a string is missing'


def _alert(alert: Any, kind: str) -> Found:
    if isinstance(alert, str) and not alert:
        yield "4.4", "aps.alert is empty: nothing is shown; give a text, or leave it out"
    if not isinstance(alert, dict):
        return
    yield from check_keys(alert, ALERT | LEGACY_ALERT, "aps.alert", "it is ignored")
    for key in LEGACY_ALERT.keys() & alert.keys():
        yield "4.4", f"aps.alert.{key} is ignored by the systems of today; leave it out"
    activity = kind == "liveactivity"
    yield from check_values(alert, ALERT, "aps.alert", skip=("title", "body", "subtitle", "sound") if activity else ())
    for arguments, text in (("loc-args", "loc-key"), ("title-loc-args", "title-loc-key")):
        if arguments in alert and text not in alert:
            yield "4.4", f"aps.alert.{arguments} has no {text} whose places it could fill; give {text}"
    if "subtitle-loc-args" in alert and "subtitle-loc-key" not in alert:
        yield "4.4", "aps.alert.subtitle-loc-args has no subtitle-loc-key whose places it could fill"
    if not any(alert.get(key) for key in ("title", "body", "subtitle", "loc-key", "title-loc-key", "subtitle-loc-key")):
        yield "4.4", "aps.alert has no title, subtitle or body, nor a key of one: nothing is shown"
    if "sound" in alert and not activity:
        yield "4.4", "aps.alert.sound is for Live Activities; move it to aps.sound"


def _sound(sound: Any, at: str) -> Found:
    if sound == "":
        yield "4.4", f"{at} is empty: nothing is heard; say default, or leave it out"
    if not isinstance(sound, dict):
        return
    yield from check_keys(sound, SOUND, at, "it is ignored")
    yield from check_values(sound, SOUND, at)
    if not isinstance(sound.get("name"), str):
        yield "4.4", f"{at}.name is missing: give the sound's file, or default"
    critical, volume = sound.get("critical"), sound.get("volume")
    if is_number(critical) and critical not in (0, 1):
        yield "4.4", f"{at}.critical is {shown(critical)}; it must be 1"
    if is_number(volume) and not 0 <= volume <= 1:
        yield "4.4", f"{at}.volume is {shown(volume)}; it must be 0 to 1"
    if "volume" in sound and critical != 1:
        yield "4.4", f"{at}.volume has an effect on critical alerts only; set critical to 1, or send the name alone"


def _switches(aps: dict[str, Any], kind: str) -> Found:
    """Keys that are 1 or nothing, and the badge."""
    for key in ("content-available", "mutable-content"):
        value = aps.get(key)
        if key in aps and is_number(value) and value != 1:
            yield "4.4", f"aps.{key} is {shown(value)}; it must be 1, or be left out"
    if aps.get("mutable-content") == 1 and not _has_text(aps.get("alert")):
        yield "4.4", "aps.mutable-content needs an alert with a text: without one the service extension does not run"
    badge = aps.get("badge")
    if is_number(badge) and (badge < 0 or badge != int(badge)):
        yield "4.4", f"aps.badge is {shown(badge)}; it must be a whole number, 0 removes the badge"
    if aps.get("content-available") == 1 and kind == "alert" and not any(key in aps for key in _VISIBLE):
        yield (
            "REQ-5",
            "apns-push-type is alert, but aps has content-available alone; make it background with priority 5",
        )


def _levels(aps: dict[str, Any], kind: str) -> Found:
    level = aps.get("interruption-level")
    if isinstance(level, str) and level not in _LEVELS:
        yield "4.4", f"aps.interruption-level is {shown(level)}; it must be one of {', '.join(_LEVELS)}"
    score = aps.get("relevance-score")
    if is_number(score) and kind != "liveactivity" and not 0 <= score <= 1:
        yield "4.4", f"aps.relevance-score is {shown(score)}; it must be 0 to 1"


def _not_an_activity(aps: dict[str, Any]) -> Found:
    for key in _ACTIVITY_ALONE:
        if key in aps:
            yield "LA-1", f"aps.{key} belongs to Live Activities; send it with apns-push-type liveactivity"


def _fits(kind: str, aps: dict[str, Any]) -> Found:
    """What the payload of each push type must have (4.2)."""
    if kind == "alert":
        if not any(key in aps for key in (*_VISIBLE, "content-available")):
            yield "REQ-5", "aps has no alert, badge or sound: an alert push without them shows nothing"
    elif kind == "background":
        if aps.get("content-available") != 1:
            yield "4.2", "a background push needs aps.content-available: 1; without it the app is not woken"
        extra = sorted(aps.keys() - _BACKGROUND)
        if extra:
            yield "REQ-5", f"aps of a background push holds content-available alone; leave out {', '.join(extra)[:200]}"
    elif kind in ("widgets", "controls"):
        if aps.get("content-changed") is not True:
            yield "4.2", f"a {kind} push needs aps.content-changed: true"
    elif kind != "liveactivity" and any(key in aps for key in _VISIBLE):
        yield "4.2", f"nothing of a {kind} push is shown by the system; alert, badge and sound have no effect"
    yield from check_moment(aps, "stale-date")


def _has_text(alert: Any) -> bool:
    if isinstance(alert, str):
        return bool(alert)
    return isinstance(alert, dict) and any(alert.get(key) for key in ("title", "body", "loc-key", "title-loc-key"))
