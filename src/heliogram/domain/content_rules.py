"""What Apple demands of a content beyond the form of its fields (docs/reference/apns-rules.md 4.1 to 4.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from .content import IMAGE_URL, MAX_COLLAPSE_ID, MAX_INSTANT, MAX_TEXT, ActivityEvent, Content, Instant, LiveActivity
from .errors import Code, FieldProblem
from .notifications import Priority
from .pushtypes import RULES, PushType

MAX_DEPTH = 32
"""Objects and lists within one another in `data`, `apn.payload` and the parts of a Live Activity."""
MAX_JSON = 16_384
"""Bytes of JSON that are looked into."""

_LOUD = (
    *("title", "subtitle", "body", "badge", "sound", "image", "interruption_level"),
    *("title_loc_key", "subtitle_loc_key", "loc_key"),
)
"""What is seen or heard."""

_IMAGE = re.compile(IMAGE_URL.rstrip("$"))
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(Content)}
_ACTIVITY_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(LiveActivity)}


def content_problems(content: Content, path: str = "$.content") -> list[FieldProblem]:
    """What is wrong with a content. Templates and the payload's size are for `render`."""
    if content.is_plain and content.body is not None and not any(_long_texts(content)):
        return []
    problems = [*_json_problems(content, path), *_header_problems(content, path)]
    if content.payload is None and not problems:
        for check in _CHECKS:
            problems += check(content, content.effective_push_type, path)
    return problems


def apns_priority(content: Content, asked: Priority | None, path: str = "$") -> tuple[int, list[FieldProblem]]:
    """`apns-priority`: the header that was named, else what was asked for, else what the push type calls for."""
    push_type, header = content.effective_push_type, content.headers.apns_priority
    allowed = RULES[push_type].priorities
    if header is not None:
        if int(header) in allowed:
            return int(header), []
        where, right = 'content.apn.headers["apns-priority"]', " or ".join(map(str, allowed))
    elif asked is None or asked.apns in allowed:
        return asked.apns if asked is not None else allowed[0], []
    else:
        where, right = "priority", " or ".join(Priority.of(each) for each in allowed)
    return allowed[0], [
        FieldProblem(f"{path}.{where}", f"a {push_type} push takes {right} alone: say so or leave it out")
    ]


def seconds_of(instant: Instant) -> int:
    """An instant in seconds since 1970. Raises ValueError for a text that is no date-time."""
    if isinstance(instant, int):
        return instant
    moment = datetime.fromisoformat(instant)
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if not 0 <= seconds <= MAX_INSTANT:
        raise ValueError(f"{instant!r} is out of range")
    return seconds


# --- what holds for every content


def _json_problems(content: Content, path: str) -> Iterator[FieldProblem]:
    """The objects that callers made up: they must be storable, not too deep, and near the size of a payload."""
    for name, value in _objects(content):
        try:
            if len(_encode_json(value)) > MAX_JSON:
                message = f"more than {MAX_JSON} bytes of JSON, far over any payload limit: shorten it"
                yield FieldProblem(f"{path}.{name}", message, Code.PAYLOAD_TOO_LARGE)
                continue
            _encode_msgpack(value)
        except OverflowError:
            yield FieldProblem(f"{path}.{name}", "an integer in it is beyond 64 bits: send it as a string")
            continue
        except RecursionError:
            yield FieldProblem(f"{path}.{name}", f"nested too deeply: at most {MAX_DEPTH} levels")
            continue
        if _depth(value) > MAX_DEPTH:
            yield FieldProblem(f"{path}.{name}", f"nested too deeply: at most {MAX_DEPTH} levels")
    for name, text in zip(("title", "subtitle", "body"), _long_texts(content), strict=True):
        if text:
            message = f"{len(text)} characters; a text may have {MAX_TEXT} with its tags"
            yield FieldProblem(f"{path}.{name}", message, Code.PAYLOAD_TOO_LARGE)


def _long_texts(content: Content) -> list[str | None]:
    """Title, subtitle and body, those that are too long."""
    texts = (content.title, content.subtitle, content.body)
    return [text if text is not None and len(text) > MAX_TEXT else None for text in texts]


def _objects(content: Content) -> Iterator[tuple[str, object]]:
    if content.data is not None:
        yield "data", content.data
    if content.payload is not None:
        yield "apn.payload", content.payload
    if content.live_activity is not None:
        yield "liveActivity.contentState", content.live_activity.content_state
        yield "liveActivity.attributes", content.live_activity.attributes
    for name in ("title_loc_args", "subtitle_loc_args", "loc_args"):
        arguments = getattr(content, name)
        if arguments is not None:
            yield _NAMES[name], arguments


def _depth(value: object) -> int:
    """How deep objects and lists lie within one another; past the most it is not looked further."""
    level: list[object] = [value]
    for depth in range(MAX_DEPTH + 1):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return depth + 1
    return MAX_DEPTH + 1


def _header_problems(content: Content, path: str) -> Iterator[FieldProblem]:
    """What becomes headers: the collapse id and the expiration."""
    headers = content.headers
    for name, text in (
        ("collapseId", content.collapse_id),
        ('apn.headers["apns-collapse-id"]', headers.apns_collapse_id),
    ):
        if text is None:
            continue
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_COLLAPSE_ID:
            yield FieldProblem(f"{path}.{name}", f"{size} bytes; at most {MAX_COLLAPSE_ID} bytes of UTF-8")
        elif not text.isprintable() or text != text.strip():
            yield FieldProblem(f"{path}.{name}", "has unprintable characters or outer spaces: use plain text")
    if content.effective_push_type is PushType.PUSHTOTALK and int(headers.apns_expiration or 0):
        message = "a push-to-talk push is never kept: leave it out or give 0"
        yield FieldProblem(f'{path}.apn.headers["apns-expiration"]', message)


# --- what holds for contents that are made of fields


def _alert_problems(content: Content, push_type: PushType, path: str) -> Iterator[FieldProblem]:
    if push_type is PushType.ALERT and content.body is None and content.loc_key is None:
        message = "an alert needs its text; for a push that shows nothing say pushType background"
        yield FieldProblem(f"{path}.body", message, Code.MISSING_FIELD)
    if content.image is not None and (push_type is not PushType.ALERT or "image" in (content.data or ())):
        message = "`data` has the key `image`, under which this is sent: rename one"
        if push_type is not PushType.ALERT:
            message = "only alerts have images: leave it out"
        yield FieldProblem(f"{path}.image", message)
    if content.image is not None and not _IMAGE.fullmatch(content.image):
        message = "expected an address that begins with https:// (what follows may be a template), without line breaks"
        yield FieldProblem(f"{path}.image", message)
    if content.relevance_score is not None and content.relevance_score > 1 and push_type is not PushType.LIVEACTIVITY:
        yield FieldProblem(f"{path}.relevanceScore", "more than 1 is for Live Activities alone: give 0 to 1")
    if content.data is not None and "aps" in content.data:
        message = "`aps` is made from the other fields: use them, or apn.payload for the whole payload"
        yield FieldProblem(f"{path}.data.aps", message)


def _background_problems(content: Content, push_type: PushType, path: str) -> Iterator[FieldProblem]:
    if push_type is not PushType.BACKGROUND:
        return
    for name in _LOUD:
        if getattr(content, name) is not None:
            message = "a background push shows and plays nothing: leave it out, or say pushType alert"
            yield FieldProblem(f"{path}.{_NAMES[name]}", message)


def _activity_problems(content: Content, push_type: PushType, path: str) -> Iterator[FieldProblem]:
    """LA-1."""
    activity = content.live_activity
    if push_type is not PushType.LIVEACTIVITY:
        if activity is not None:
            yield FieldProblem(f"{path}.liveActivity", f"does not go with pushType {push_type}: leave one out")
        return
    if activity is None:
        message = "a Live Activity push needs it: {event, contentState}, or apn.payload"
        yield FieldProblem(f"{path}.liveActivity", message, Code.MISSING_FIELD)
        return
    if activity.event is ActivityEvent.START:
        yield from _start_problems(content, activity, path)
    elif activity.input_push_token or activity.input_push_channel is not None:
        field = "inputPushToken" if activity.input_push_token else "inputPushChannel"
        yield FieldProblem(f"{path}.liveActivity.{field}", "only a start asks for it: leave it out")
    for name in ("stale_date", "dismissal_date", "timestamp"):
        yield from _instant_problems(getattr(activity, name), f"{path}.liveActivity.{_ACTIVITY_NAMES[name]}")


def _start_problems(content: Content, activity: LiveActivity, path: str) -> Iterator[FieldProblem]:
    for name in ("attributes_type", "attributes"):
        if getattr(activity, name) is None:
            where = f"{path}.liveActivity.{_ACTIVITY_NAMES[name]}"
            yield FieldProblem(where, "starting a Live Activity needs it", Code.MISSING_FIELD)
    if content.body is None and content.title is None and content.loc_key is None and content.title_loc_key is None:
        message = "starting a Live Activity needs an alert: give title or body"
        yield FieldProblem(f"{path}.body", message, Code.MISSING_FIELD)
    if activity.activity_id is not None:
        yield FieldProblem(f"{path}.liveActivity.activityId", "what is to be started has none yet: leave it out")


def _instant_problems(instant: Any, path: str) -> Iterator[FieldProblem]:
    if instant is None:
        return
    try:
        seconds_of(instant)
    except (ValueError, OverflowError):
        yield FieldProblem(path, "expected seconds since 1970 or a date-time such as 2026-03-19T09:30:00Z")


_CHECKS: tuple[Callable[[Content, PushType, str], Iterator[FieldProblem]], ...] = (
    _alert_problems,
    _background_problems,
    _activity_problems,
)
