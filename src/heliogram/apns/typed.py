"""From the typed fields of a notification to its JSON, with the checks of apns-rules 4.2 to 4.5."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from .checks import Instant, check_text, epoch
from .errors import InvalidNotification
from .fieldtypes import check_types
from .payload import Aps, InterruptionLevel, encode, sound_value
from .pushtypes import PushType

if TYPE_CHECKING:
    from .notification import Notification

_ACTIVITY_FIELDS = ("content_state", "event", "attributes_type", "attributes", "dismissal_date", "stale_date")
_FREE_FORM = frozenset((PushType.MDM, PushType.FILEPROVIDER))
"""Push types whose payload has no `aps` (4.2)."""


TYPED_FIELDS = (*Aps.__struct_fields__, "custom")
"""The fields of a notification that make its payload."""

_aps_values = attrgetter(*Aps.__struct_fields__)
_NO_APS = tuple(
    False if name in ("content_available", "mutable_content", "input_push_token", "content_changed") else None
    for name in Aps.__struct_fields__
)
_activity_values = attrgetter(*_ACTIVITY_FIELDS)
_NO_ACTIVITY = (None,) * len(_ACTIVITY_FIELDS)


def set_fields(it: Notification) -> list[str]:
    """The names of the payload's typed fields that are given."""
    return [name for name in TYPED_FIELDS if getattr(it, name) not in (None, False)]


def has_aps(it: Notification) -> bool:
    """Whether any field of the `aps` dictionary is given."""
    values = _aps_values(it)
    return values != _NO_APS and any(value is not None and value is not False for value in values)


def encode_typed(it: Notification, push_type: PushType) -> bytes:
    """The JSON of the typed fields. Raises `InvalidNotification`."""
    check_types(it)
    aps, custom = _aps(it, push_type), it.custom
    if custom is None:
        return _encode(it, {"aps": aps})
    if "aps" in custom:
        raise InvalidNotification("custom", "has a key `aps`", "use the typed fields, or `payload` for all of it")
    if push_type in _FREE_FORM and not has_aps(it):
        return encode("custom", custom)
    return _encode(it, {"aps": aps, **custom})


def _encode(it: Notification, document: object) -> bytes:
    """The JSON. Raises `InvalidNotification` naming the field that cannot be written."""
    try:
        return encode("notification", document)
    except InvalidNotification:
        for name in TYPED_FIELDS:
            encode(name, getattr(it, name))
        raise


def _aps(it: Notification, push_type: PushType) -> Aps:
    """The checked `aps` dictionary."""
    alert, badge, sound = it.alert, it.badge, it.sound
    if push_type is PushType.BACKGROUND:
        _check_background(it)
    elif push_type is PushType.LIVEACTIVITY:
        _check_activity(it)
    aps = Aps(
        alert,
        badge,
        sound if sound is None else sound_value(sound),
        it.thread_id,
        it.category,
        1 if it.mutable_content else None,
        1 if it.content_available else None,
    )
    _add_rare(it, push_type, aps)
    return aps


def _add_rare(it: Notification, push_type: PushType, aps: Aps) -> None:
    """The fields that few notifications have."""
    score, level = it.relevance_score, it.interruption_level
    if push_type is not PushType.LIVEACTIVITY:
        _refuse_activity_fields(it)
        if score is not None and not 0 <= score <= 1:
            raise InvalidNotification("relevance_score", f"{score} is out of range", "give a number from 0 to 1")
    if level is not None:
        known = ", ".join(InterruptionLevel)
        check_text("interruption_level", level, f"use one of {known}")
        try:
            aps.interruption_level = InterruptionLevel(level)
        except ValueError:
            problem = f"{level!r:.80} is unknown"
            raise InvalidNotification("interruption_level", problem, f"use one of {known}") from None
    aps.relevance_score = score
    aps.target_content_id = it.target_content_id
    aps.filter_criteria = it.filter_criteria
    aps.stale_date = _instant("stale_date", it.stale_date)
    aps.content_state = it.content_state
    aps.timestamp = _instant("timestamp", it.timestamp)
    aps.event = it.event
    aps.dismissal_date = _instant("dismissal_date", it.dismissal_date)
    aps.attributes_type = it.attributes_type
    aps.attributes = it.attributes
    aps.input_push_channel = it.input_push_channel
    aps.input_push_token = 1 if it.input_push_token else None
    aps.content_changed = True if it.content_changed else None
    aps.url_args = it.url_args


def _instant(field: str, value: Instant | None) -> int | None:
    return None if value is None else epoch(field, value)


def _check_background(it: Notification) -> None:
    loud = [name for name in ("alert", "badge", "sound") if getattr(it, name) is not None]
    if loud:
        raise InvalidNotification(loud[0], "does not belong in a background push", "use push_type alert or omit it")
    if not it.content_available:
        raise InvalidNotification("content_available", "a background push needs it", "set it to True")


def _check_activity(it: Notification) -> None:
    """LA-1: what every Live Activity push carries, and what starting one needs besides."""
    if it.event not in ("start", "update", "end"):
        raise InvalidNotification("event", f"{it.event!r:.80} is unknown", "use start, update or end")
    needed = ["timestamp", "content_state"]
    if it.event == "start":
        needed += ["attributes_type", "attributes", "alert"]
    for name in needed:
        if getattr(it, name) is None:
            raise InvalidNotification(name, f"missing from a Live Activity {it.event}", "give it")


def _refuse_activity_fields(it: Notification) -> None:
    if _activity_values(it) == _NO_ACTIVITY:
        return
    for name in _ACTIVITY_FIELDS:
        if getattr(it, name) is not None:
            raise InvalidNotification(
                name, "belongs to Live Activities alone", "set push_type=PushType.LIVEACTIVITY or leave it out"
            )
