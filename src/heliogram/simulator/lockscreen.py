"""What a device shows: notifications as they arrive, the newest last, replaced by collapse id (LIFE-8)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from itertools import islice
from typing import Any, Literal

import msgspec

from .lint import lint

Presentation = Literal["banner", "quiet", "card", "none"]
LEVELS = ("passive", "active", "time-sensitive", "critical")


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A push as it reached the device, kept as the bytes that came; it is read only when somebody looks.

    ``channel``: the broadcast channel it came through, None for a push to this device alone. ``expiration``: the value
    of ``apns-expiration``. ``presentation``: how it is shown, when that is not what its kind alone says.
    """

    apns_id: bytes
    unique_id: bytes | None
    topic: bytes
    push_type: bytes | None
    priority: bytes | None
    collapse_id: bytes | None
    body: bytes
    received_at: float
    channel: bytes | None = None
    expiration: bytes | None = None
    presentation: Presentation | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An arrival as people read it. ``payload`` is None, and ``findings`` says so, when the body is not JSON.

    ``presentation``: ``banner`` (shown at once), ``quiet`` (in the list only: passive, or a provisional permission),
    ``card`` (a Live Activity shows it), ``none`` (it went to the app alone and nothing is seen of it).
    """

    apns_id: str
    unique_id: str | None
    topic: str
    kind: str
    push_type: str | None
    priority: int
    collapse_id: str | None
    title: str | None
    subtitle: str | None
    body: str | None
    badge: int | float | None
    sound: str | dict[str, Any] | None
    payload: Any
    received_at: str
    findings: list[str]
    presentation: Presentation
    thread_id: str | None
    category: str | None
    interruption_level: str | None
    relevance_score: int | float | None


class LockScreen:
    """At most ``limit`` notifications; the oldest leaves when one more comes."""

    __slots__ = ("_items", "_limit", "_serial")

    def __init__(self, limit: int) -> None:
        self._items: dict[tuple[bytes, bytes] | int, Arrival] = {}
        self._limit = limit
        self._serial = 0

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<LockScreen notifications={len(self)} limit={self._limit}>"

    def add(self, arrival: Arrival) -> Arrival | None:
        """Show it, last. One with the same topic and collapse id goes away, and is what comes back (LIFE-8)."""
        items, replaced = self._items, None
        if arrival.collapse_id:
            key: tuple[bytes, bytes] | int = (arrival.topic, arrival.collapse_id)
            replaced = items.pop(key, None)
        else:
            key = self._serial
            self._serial += 1
        items[key] = arrival
        if len(items) > self._limit:
            del items[next(iter(items))]
        return replaced

    def remove(self, belongs: Callable[[bytes], bool]) -> None:
        """Take away the notifications of the topics that ``belongs`` accepts (their app has gone)."""
        self._items = {key: item for key, item in self._items.items() if not belongs(item.topic)}

    def read(self) -> list[Notification]:
        """All of them, oldest first."""
        return [read(arrival) for arrival in self._items.values()]

    def latest(self, limit: int) -> list[Notification]:
        """The ``limit`` newest of them, oldest first."""
        newest = list(islice(reversed(self._items.values()), limit))
        return [read(arrival) for arrival in reversed(newest)]


def read(arrival: Arrival) -> Notification:
    """Take the payload apart the way a device does; nothing in it can make this fail (SIZE-3)."""
    payload, aps = take_apart(arrival.body)
    alert = aps.get("alert")
    if isinstance(alert, str):
        alert = {"body": alert}
    elif not isinstance(alert, dict):
        alert = {}
    badge, sound = _number(aps, "badge"), aps.get("sound")
    if not isinstance(sound, str | dict):
        sound = None
    push_type, level = _text(arrival.push_type), _word(aps, "interruption-level")
    if level not in LEVELS:
        level = None
    kind = push_type or ("alert" if alert or badge is not None or sound is not None else "background")
    return Notification(
        apns_id=_text(arrival.apns_id) or "",
        unique_id=_text(arrival.unique_id),
        topic=_text(arrival.topic) or "",
        kind=kind,
        push_type=push_type,
        priority=int(arrival.priority or b"10"),
        collapse_id=_text(arrival.collapse_id),
        title=_shown(alert, "title", "title-loc-key"),
        subtitle=_shown(alert, "subtitle", "subtitle-loc-key"),
        body=_shown(alert, "body", "loc-key"),
        badge=badge,
        sound=sound,
        payload=payload,
        received_at=stamp(arrival.received_at),
        findings=[str(finding) for finding in lint(_fields(arrival), arrival.body, arrival.received_at)],
        presentation=arrival.presentation or _presentation(kind, level),
        thread_id=_word(aps, "thread-id"),
        category=_word(aps, "category"),
        interruption_level=level or ("active" if kind == "alert" else None),
        relevance_score=_number(aps, "relevance-score"),
    )


def take_apart(body: bytes) -> tuple[Any, dict[str, Any]]:
    """The payload, None when it is not JSON, and its ``aps``, empty when there is none."""
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        payload = None
    aps = payload.get("aps") if isinstance(payload, dict) else None
    return payload, aps if isinstance(aps, dict) else {}


def is_silent(body: bytes) -> bool:
    """Whether a payload is for the app alone: ``content-available`` is 1, and nothing in it can be seen or heard."""
    if b"content-available" not in body:
        return False
    aps = take_apart(body)[1]
    return aps.get("content-available") == 1 and not any(key in aps for key in ("alert", "badge", "sound"))


def stamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, UTC, milliseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_object(body: bytes) -> bool:
    """Whether the body is a JSON object in UTF-8."""
    return isinstance(take_apart(body)[0], dict)


def _fields(arrival: Arrival) -> dict[bytes, bytes]:
    """The header fields of the push, as far as they have come to the device."""
    found = {
        b"apns-topic": arrival.topic,
        b"apns-push-type": arrival.push_type,
        b"apns-priority": arrival.priority,
        b"apns-collapse-id": arrival.collapse_id,
        b"apns-expiration": arrival.expiration,
    }
    return {name: value for name, value in found.items() if value is not None}


def _presentation(kind: str, level: str | None) -> Presentation:
    if kind == "alert":
        return "quiet" if level == "passive" else "banner"
    return "card" if kind == "liveactivity" else "none"


def _number(aps: dict[str, Any], key: str) -> int | float | None:
    value = aps.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _word(aps: dict[str, Any], key: str) -> str | None:
    value = aps.get(key)
    return value if isinstance(value, str) else None


def _shown(alert: dict[str, Any], text: str, localised: str) -> str | None:
    # A device without the app's translation shows the key itself.
    value = alert.get(text, alert.get(localised))
    return value if isinstance(value, str) else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
