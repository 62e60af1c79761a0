"""Checks of single values that end up in headers or in the payload."""

from __future__ import annotations

import datetime
import re

from .errors import InvalidNotification

COLLAPSE_ID_LIMIT = 64
"""Bytes, not characters (4.1)."""

CANONICAL_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
TOPIC_FIX = "give the app's bundle id, like com.example.app"

Instant = int | datetime.datetime
"""Whole seconds since the epoch, or an aware datetime."""


def wrong_type(field: str, given: object, fix: str) -> InvalidNotification:
    """What is said of a value of another type than its field's: that type, and never the value."""
    return InvalidNotification(field, f"of type {type(given).__name__}", fix)


def check_text(field: str, text: object, fix: str = "give text") -> None:
    """Refuse what is no text. Raises `InvalidNotification`."""
    if not isinstance(text, str):
        raise wrong_type(field, text, fix)


def shown(number: int) -> str:
    """A number in an error's text."""
    return str(number) if abs(number) < 1 << 64 else "a number beyond 64 bits"


def check_collapse_id(text: object) -> bytes:
    """The header value of a collapse id. Raises `InvalidNotification`."""
    if not isinstance(text, str):
        raise wrong_type("collapse_id", text, f"give text, 1 to {COLLAPSE_ID_LIMIT} bytes of UTF-8")
    value = text.encode("utf-8", "surrogatepass")
    if not value or len(value) > COLLAPSE_ID_LIMIT:
        raise InvalidNotification("collapse_id", f"{len(value)} bytes", f"use 1 to {COLLAPSE_ID_LIMIT} bytes of UTF-8")
    if not text.isprintable() or text != text.strip():
        raise InvalidNotification("collapse_id", "has unprintable characters or outer spaces", "use plain text")
    return value


def check_topic(topic: object) -> None:
    """Refuse what cannot be a header value. Raises `InvalidNotification`."""
    if not isinstance(topic, str):
        raise wrong_type("topic", topic, TOPIC_FIX)
    if not topic or len(topic) > 255 or not topic.isascii() or not topic.isprintable() or " " in topic:
        raise InvalidNotification("topic", f"{topic!r:.80} is not a topic", TOPIC_FIX)


def check_apns_id(apns_id: object) -> bytes:
    """The header value of an `apns-id`. Raises `InvalidNotification`."""
    fix = "give a UUID like 0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
    if not isinstance(apns_id, str):
        raise wrong_type("apns_id", apns_id, fix)
    if not CANONICAL_ID(apns_id):
        raise InvalidNotification("apns_id", f"{apns_id!r:.80} is not a UUID", fix)
    return apns_id.encode("ascii")


def epoch(field: str, instant: Instant) -> int:
    """An instant in whole seconds since the epoch. Raises `InvalidNotification`."""
    if isinstance(instant, datetime.datetime):
        if instant.tzinfo is None:
            raise InvalidNotification(field, "the datetime has no time zone", "give one, like datetime.now(UTC)")
        instant = int(instant.timestamp())
    if not _whole(instant):
        fix = "give whole seconds since the epoch or an aware datetime"
        raise wrong_type(field, instant, fix)
    if not 0 <= instant < 1 << 53:
        raise InvalidNotification(field, f"{shown(instant)} is out of range", "give seconds since the epoch, 0 or more")
    return instant


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
