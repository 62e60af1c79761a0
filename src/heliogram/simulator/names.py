"""The syntax of names: key and team ids, bundle ids, topics."""

from __future__ import annotations

import re

from .errors import Invalid
from .tables import BUNDLE_ID_LIMIT, SUFFIXES, TOPIC_LIMIT

_IDENTIFIER = re.compile(r"[A-Z0-9]{10}\Z")
_BUNDLE_ID = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\Z")
_TOPIC = re.compile(rb"[A-Za-z0-9.-]+\Z")


def check_identifier(value: str, field: str) -> str:
    """A key id or team id: exactly 10 characters of A-Z and 0-9 (TOK-2)."""
    if not _IDENTIFIER.match(value):
        raise Invalid(f"{field} must be exactly 10 characters of A-Z and 0-9", field=field)
    return value


def check_bundle_id(value: str) -> str:
    """Letters, digits and hyphens in at least two parts joined by dots. Raises Invalid."""
    if len(value) > BUNDLE_ID_LIMIT or not _BUNDLE_ID.match(value):
        raise Invalid(
            f"bundleId must be like com.example.app: letters, digits, hyphens and dots, at most {BUNDLE_ID_LIMIT}",
            field="bundleId",
        )
    return value


def check_topic(value: str, field: str) -> bytes:
    """A topic as bytes. Raises Invalid."""
    raw = value.encode("utf-8", "replace")
    if not is_topic(raw):
        raise Invalid(f"{field} must be a topic: letters, digits, hyphens and dots, at most {TOPIC_LIMIT}", field=field)
    return raw


def is_topic(value: bytes) -> bool:
    """Whether the bytes are a topic by syntax."""
    return len(value) <= TOPIC_LIMIT and _TOPIC.match(value) is not None


def base_topic(topic: bytes) -> bytes:
    """The bundle id within a topic: what is left without the push type's suffix (4.2)."""
    for suffix in SUFFIXES:
        if topic.endswith(suffix):
            return topic[: -len(suffix)]
    return topic
