"""The keys of ``aps`` and what is in it, with the kinds of value they take (4.4), and checks by such tables."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeGuard

import msgspec

Kind = Literal["string", "number", "boolean", "dictionary", "strings", "array", "text", "sound"]
Found = Iterator[tuple[str, str]]

APS: dict[str, Kind] = {
    "alert": "text",
    "attributes": "dictionary",
    "attributes-type": "string",
    "badge": "number",
    "category": "string",
    "content-available": "number",
    "content-changed": "boolean",
    "content-state": "dictionary",
    "dismissal-date": "number",
    "event": "string",
    "filter-criteria": "string",
    "input-push-channel": "string",
    "input-push-token": "number",
    "interruption-level": "string",
    "mutable-content": "number",
    "relevance-score": "number",
    "sound": "sound",
    "stale-date": "number",
    "target-content-id": "string",
    "thread-id": "string",
    "timestamp": "number",
    "url-args": "array",
}

ALERT: dict[str, Kind] = {
    "body": "string",
    "launch-image": "string",
    "loc-args": "strings",
    "loc-key": "string",
    "sound": "sound",
    "subtitle": "string",
    "subtitle-loc-args": "strings",
    "subtitle-loc-key": "string",
    "title": "string",
    "title-loc-args": "strings",
    "title-loc-key": "string",
}

LEGACY_ALERT: dict[str, Kind] = {
    "action": "string",
    "action-loc-key": "string",
    "summary-arg": "string",
    "summary-arg-count": "number",
}
"""Ignored today."""

SOUND: dict[str, Kind] = {"critical": "number", "name": "string", "volume": "number"}

MILLISECONDS = 100_000_000_000
"""A moment from here on is not in seconds: it would lie in the year 5138."""

_NAMES: dict[Kind, str] = {
    "string": "a string",
    "number": "a number",
    "boolean": "true",
    "dictionary": "a dictionary",
    "strings": "an array of strings",
    "array": "an array",
    "text": "a string or a dictionary",
    "sound": "a string or a dictionary",
}


def is_number(value: Any) -> TypeGuard[int | float]:
    """JSON's true and false are no numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value is of the kind."""
    if kind == "string":
        return isinstance(value, str)
    if kind == "number":
        return is_number(value)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "dictionary":
        return isinstance(value, dict)
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, list) if kind == "array" else isinstance(value, str | dict)


def check_keys(values: Mapping[str, Any], known: Mapping[str, Kind], at: str, otherwise: str) -> Found:
    """Keys nobody reads: misspelt ones with the right spelling, others with what becomes of them."""
    for key in values:
        if key not in known:
            plain = key.strip().lower().replace("_", "-").replace(" ", "-")
            near = [plain] if plain in known else difflib.get_close_matches(plain, known, 1, 0.8)
            advice = f"you mean {near[0]}" if near else f"{at} has no such key, {otherwise}"
            yield "4.4", f"{at}.{key[:100]} is unknown and ignored: {advice}"


def check_values(values: Mapping[str, Any], known: Mapping[str, Kind], at: str, skip: Sequence[str] = ()) -> Found:
    """Values of a kind that the key does not take."""
    for key, kind in known.items():
        if key in values and key not in skip and not fits(values[key], kind):
            yield "4.4", f"{at}.{key} is {shown(values[key])}; it must be {_NAMES[kind]}"


def check_moment(aps: Mapping[str, Any], key: str) -> Found:
    """A moment in milliseconds, where seconds are wanted."""
    value = aps.get(key)
    if is_number(value) and value >= MILLISECONDS:
        yield "4.4", f"aps.{key} is {shown(value)}, a moment in milliseconds; send seconds: {shown(int(value / 1000))}"


def shown(value: Any) -> str:
    """A value as it stands in a sentence: its JSON, cut."""
    try:
        text = msgspec.json.encode(value).decode()
    except (ValueError, RecursionError, OverflowError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"
