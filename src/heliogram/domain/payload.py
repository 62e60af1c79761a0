"""From a content to the JSON that APNs gets (docs/reference/apns-rules.md 4.4, 4.5).

The payload is made once for an operation, as pieces of JSON with templates between them; a recipient's own is those
pieces, joined. What may hold Liquid: title, subtitle, body, the arguments of localised texts, the image's address, and
every text within `data`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .content import Content, LiveActivity, Sound
from .content_rules import seconds_of
from .notifications import SendSpec
from .pushtypes import RULES, PushType

IMAGE_KEY = "image"
"""The custom key that carries the image's address."""

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)

encode = msgspec.json.Encoder().encode


class Text:
    """A text that may be a template, and where the content has it (`title`, `data.items[0].name`)."""

    __slots__ = ("path", "text")

    def __init__(self, text: str, path: str) -> None:
        self.text, self.path = text, path

    def __repr__(self) -> str:
        return f"Text({self.path})"


def _text_of(value: object) -> str:
    if isinstance(value, Text):
        return value.text
    raise TypeError(f"no JSON: {type(value).__name__}")


_encode_as_it_is = msgspec.json.Encoder(enc_hook=_text_of).encode


def without_tags(value: object) -> bytes | None:
    """The JSON of an object none of whose `Text`s is a template; None when one may be. No JSON but that of a text or a
    name has two braces side by side that open, or a percent sign."""
    encoded = _encode_as_it_is(value)
    return None if b"{{" in encoded or b"{%" in encoded else encoded


def document(spec: SendSpec) -> dict[str, Any]:
    """The payload as an object, with `Text` in place of the texts that may be templates."""
    content, push_type = spec.content, PushType(spec.push_type)
    if content.payload is not None:
        return content.payload
    if push_type is PushType.ALERT and spec.sound is None and content.body is not None and content.is_plain:
        return {"aps": {"alert": _texts_of(content)}}
    aps = _aps(spec, push_type)
    data = {key: _texts(value, _member("data", key)) for key, value in (content.data or {}).items()}
    if content.image is not None:
        data[IMAGE_KEY] = Text(content.image, "image")
    if RULES[push_type].free and not aps:
        return data
    return {"aps": aps, **data}


def pieces(value: object) -> Iterator[bytes | Text]:
    """The JSON of an object, broken off at each of its `Text`s."""
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict):
        opening = b"{"
        for key, inner in value.items():
            yield opening + encode(key) + b":"
            yield from pieces(inner)
            opening = b","
        yield b"}" if opening == b"," else b"{}"
    elif isinstance(value, list):
        opening = b"["
        for inner in value:
            yield opening
            yield from pieces(inner)
            opening = b","
        yield b"]" if opening == b"," else b"[]"
    else:
        yield encode(value)


def _texts(value: Any, path: str) -> Any:
    """A part of `data`, its strings being texts."""
    if isinstance(value, str):
        return Text(value, path)
    if isinstance(value, dict):
        return {key: _texts(inner, _member(path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
    return value


def _member(path: str, key: str) -> str:
    """The JSONPath of a member."""
    return f"{path}.{key}" if _NAME.fullmatch(key) else f"{path}[{json.dumps(key)}]"


def _aps(spec: SendSpec, push_type: PushType) -> dict[str, Any]:
    content = spec.content
    activity = content.live_activity
    aps = {
        "alert": _alert(content),
        "badge": content.badge,
        "sound": _sound(content, spec.sound, push_type),
        "thread-id": content.thread_id,
        "category": content.category,
        "content-available": 1 if content.content_available or push_type is PushType.BACKGROUND else None,
        "mutable-content": 1 if content.mutable_content or content.image is not None else None,
        "target-content-id": content.target_content_id,
        "interruption-level": content.interruption_level,
        "relevance-score": content.relevance_score,
        "filter-criteria": content.filter_criteria,
        "content-changed": True if push_type in (PushType.WIDGETS, PushType.CONTROLS) else None,
        **({} if activity is None else _activity(activity, spec.timestamp)),
    }
    return {key: value for key, value in aps.items() if value is not None}


def _texts_of(content: Content) -> dict[str, Text]:
    """The texts that a content has, in the order of `_alert`."""
    texts = (("title", content.title), ("subtitle", content.subtitle), ("body", content.body))
    return {name: Text(text, name) for name, text in texts if text is not None}


def _alert(content: Content) -> dict[str, Any] | None:
    alert = {
        "title": _text(content.title, "title"),
        "subtitle": _text(content.subtitle, "subtitle"),
        "body": _text(content.body, "body"),
        "launch-image": content.launch_image,
        "title-loc-key": content.title_loc_key,
        "title-loc-args": _arguments(content.title_loc_args, "titleLocArgs"),
        "subtitle-loc-key": content.subtitle_loc_key,
        "subtitle-loc-args": _arguments(content.subtitle_loc_args, "subtitleLocArgs"),
        "loc-key": content.loc_key,
        "loc-args": _arguments(content.loc_args, "locArgs"),
    }
    given = {key: value for key, value in alert.items() if value is not None}
    return given or None


def _text(text: str | None, path: str) -> Text | None:
    return None if text is None else Text(text, path)


def _arguments(arguments: list[str] | None, path: str) -> Any:
    return None if arguments is None else _texts(arguments, path)


def _sound(content: Content, plain: str | None, push_type: PushType) -> str | dict[str, Any] | None:
    """The content's sound, else the send's own, which is for pushes that can be heard."""
    sound = content.sound
    if sound is None:
        return plain if push_type is not PushType.BACKGROUND else None
    if not isinstance(sound, Sound):
        return sound
    value: dict[str, Any] = {"name": sound.name}
    if sound.critical:
        value["critical"] = 1  # the number, not a Boolean
    if sound.volume is not None:
        value["volume"] = sound.volume
    return value


def _activity(activity: LiveActivity, timestamp: int | None) -> dict[str, Any]:
    stale, dismissal = activity.stale_date, activity.dismissal_date
    return {
        "timestamp": timestamp,
        "event": activity.event,
        "content-state": activity.content_state,
        "attributes-type": activity.attributes_type,
        "attributes": activity.attributes,
        "stale-date": None if stale is None else seconds_of(stale),
        "dismissal-date": None if dismissal is None else seconds_of(dismissal),
        "input-push-token": 1 if activity.input_push_token else None,
        "input-push-channel": activity.input_push_channel,
    }
