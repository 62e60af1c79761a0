"""The parts of the `aps` dictionary and their JSON (apns-rules 4.4)."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from .errors import InvalidNotification

_encode = msgspec.json.Encoder().encode


class InterruptionLevel(enum.StrEnum):
    """How much a notification may disturb."""

    PASSIVE = "passive"
    ACTIVE = "active"
    TIME_SENSITIVE = "time-sensitive"
    CRITICAL = "critical"


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """What the banner says. In a Live Activity `title` and `body` may be dictionaries (4.4)."""

    title: str | dict[str, Any] | None = None
    subtitle: str | None = None
    body: str | dict[str, Any] | None = None
    launch_image: str | None = None
    title_loc_key: str | None = None
    title_loc_args: list[str] | None = None
    subtitle_loc_key: str | None = None
    subtitle_loc_args: list[str] | None = None
    loc_key: str | None = None
    loc_args: list[str] | None = None
    sound: str | None = None
    """Live Activities only; elsewhere use the notification's `sound`."""


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """The sound of a critical alert: a file's name or `default`, and a volume from 0 to 1."""

    name: str = "default"
    critical: bool = False
    volume: float | None = None


class CommonAps(msgspec.Struct, gc=False, omit_defaults=True, rename="kebab"):
    """What most `aps` dictionaries are made of. The fewer fields, the sooner they are written."""

    alert: str | Alert | None = None
    badge: int | None = None
    sound: str | dict[str, Any] | None = None
    thread_id: str | None = None
    category: str | None = None
    mutable_content: int | None = None


class Aps(CommonAps, gc=False, omit_defaults=True, rename="kebab"):
    """The whole `aps` dictionary as it goes to JSON: what is None is left out."""

    content_available: int | None = None
    interruption_level: str | None = None
    relevance_score: float | None = None
    target_content_id: str | None = None
    filter_criteria: str | None = None
    stale_date: int | None = None
    content_state: dict[str, Any] | None = None
    timestamp: int | None = None
    event: str | None = None
    dismissal_date: int | None = None
    attributes_type: str | None = None
    attributes: dict[str, Any] | None = None
    input_push_channel: str | None = None
    input_push_token: int | None = None
    content_changed: bool | None = None
    url_args: list[str] | None = None


def sound_value(sound: str | Sound | None) -> str | dict[str, Any] | None:
    """The JSON value of a checked `sound`: `critical` is the number 1, not a Boolean (4.4)."""
    if sound is None or isinstance(sound, str):
        return sound
    if sound.volume is not None and not 0 <= sound.volume <= 1:
        raise InvalidNotification("sound.volume", f"{sound.volume} is out of range", "give a number from 0 to 1")
    value: dict[str, Any] = {"name": sound.name}
    if sound.critical:
        value["critical"] = 1
    if sound.volume is not None:
        value["volume"] = sound.volume
    return value


def encode(field: str, document: object) -> bytes:
    """The compact JSON of a document. Raises `InvalidNotification` naming `field`."""
    try:
        return _encode(document)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        problem = f"cannot be written as JSON ({type(error).__name__}: {error})"
        raise InvalidNotification(field, problem, "use only JSON values: text, numbers, lists, dicts") from None
