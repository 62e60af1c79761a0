"""What a Live Activity's payload must have (4.5)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from .lint_values import check_moment, is_number, shown

Found = Iterator[tuple[str, str]]

_EVENTS = ("start", "update", "end")
_START_ALONE = ("attributes", "attributes-type", "input-push-channel", "input-push-token")


def activity_findings(aps: dict[str, Any], now: float) -> Found:
    """Findings on ``aps`` of a push of type liveactivity that came at ``now``, seconds since the epoch."""
    for key in ("timestamp", "event", "content-state"):
        if key not in aps:
            yield "LA-1", f"aps.{key} is missing; every Live Activity push needs timestamp, event and content-state"
    event = aps.get("event")
    if isinstance(event, str) and event not in _EVENTS:
        yield "LA-1", f"aps.event is {shown(event)}; it must be one of {', '.join(_EVENTS)}"
    if event == "start":
        yield from _start(aps)
    else:
        for key in _START_ALONE:
            if key in aps:
                yield "LA-1", f"aps.{key} is read with event start only; leave it out"
    for key in ("timestamp", "dismissal-date"):
        yield from check_moment(aps, key)
    yield from _moments(aps, now)


def _start(aps: dict[str, Any]) -> Found:
    for key in ("attributes-type", "attributes", "alert"):
        if key not in aps:
            yield "LA-1", f"aps.{key} is missing; event start needs attributes-type, attributes and alert"
    if aps.get("attributes-type") == "":
        yield "LA-1", "aps.attributes-type is empty; give the name of the app's ActivityAttributes type"
    channel = aps.get("input-push-channel")
    if isinstance(channel, str) and not _is_base64(channel):
        yield "LA-1", "aps.input-push-channel is not base64; give the channel's id as APNs gave it"
    wanted = aps.get("input-push-token")
    if is_number(wanted) and wanted != 1:
        yield "LA-1", f"aps.input-push-token is {shown(wanted)}; it must be 1, or be left out"


def _moments(aps: dict[str, Any], now: float) -> Found:
    sent, stale = aps.get("timestamp"), aps.get("stale-date")
    if is_number(sent) and sent > now + 86_400 and sent < 100_000_000_000:
        yield "LA-1", "aps.timestamp lies more than a day ahead: updates with the real time are then taken for older"
    if is_number(sent) and 0 <= sent < now - 86_400:
        yield "LA-1", "aps.timestamp is more than a day old: a device drops what is older than what it shows; send now"
    if is_number(stale) and stale < now:
        yield "4.4", "aps.stale-date lies in the past: what is shown is out of date at once"
    if "dismissal-date" in aps and aps.get("event") in ("start", "update"):
        yield "4.4", "aps.dismissal-date is read with event end only; leave it out"


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
