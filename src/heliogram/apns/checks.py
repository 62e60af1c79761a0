"""Checks of single values that end up in headers or in the payload."""

from __future__ import annotations

import datetime

from .errors import InvalidNotification

COLLAPSE_ID_LIMIT = 64
"""Bytes, not characters (4.1)."""

Instant = int | datetime.datetime
"""Whole seconds since the epoch, or an aware datetime."""


def check_collapse_id(text: str) -> bytes:
    """The header value of a collapse id. Raises `InvalidNotification`."""
    value = text.encode("utf-8", "surrogatepass")
    if not value or len(value) > COLLAPSE_ID_LIMIT:
        raise InvalidNotification("collapse_id", f"{len(value)} bytes", f"use 1 to {COLLAPSE_ID_LIMIT} bytes of UTF-8")
    if not text.isprintable() or text != text.strip():
        raise InvalidNotification("collapse_id", "has unprintable characters or outer spaces", "use plain text")
    return value


def check_topic(topic: str) -> None:
    """Refuse what cannot be a header value. Raises `InvalidNotification`."""
    if not topic or len(topic) > 255 or not topic.isascii() or not topic.isprintable() or " " in topic:
        raise InvalidNotification(
            "topic", f"{topic!r} is not a topic", "give the app's bundle id, like com.example.app"
        )


def epoch(field: str, instant: Instant) -> int:
    """An instant in whole seconds since the epoch. Raises `InvalidNotification`."""
    if isinstance(instant, datetime.datetime):
        if instant.tzinfo is None:
            raise InvalidNotification(field, "the datetime has no time zone", "give one, like datetime.now(UTC)")
        instant = int(instant.timestamp())
    if not _whole(instant):
        fix = "give whole seconds since the epoch or an aware datetime"
        raise InvalidNotification(field, f"{instant!r} is a {type(instant).__name__}", fix)
    if not 0 <= instant < 1 << 53:
        raise InvalidNotification(field, f"{instant} is out of range", "give seconds since the epoch, 0 or more")
    return instant


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
