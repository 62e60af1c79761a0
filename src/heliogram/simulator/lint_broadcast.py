"""Findings on an accepted broadcast: what no device will make an update of (LA-1, LA-3, 6.3)."""

from __future__ import annotations

from collections.abc import Mapping

from .lint import Finding, parse
from .lint_payload import payload_findings

BROADCAST_PATH = b"/4/broadcasts/"


def lint_broadcast(fields: Mapping[bytes, bytes], body: bytes, now: float) -> list[Finding]:
    """The findings on one that came at ``now``, seconds since the epoch; nothing makes this fail."""
    found = []
    if b"apns-topic" in fields:
        found.append(Finding("6.3", "apns-topic is not used in a broadcast: the path names the app; leave it out"))
    if b"apns-collapse-id" in fields:
        found.append(Finding("6.3", "apns-collapse-id is no header of a broadcast; leave it out"))
    payload, fault = parse(body)
    if fault is not None:
        return [*found, Finding("SIZE-3", fault)]
    aps = payload.get("aps")
    if isinstance(aps, dict) and aps.get("event") == "start":
        text = "aps.event is start: a broadcast cannot start a Live Activity; push start to each device's token"
        return [*found, Finding("LA-3", text)]
    return found + [Finding(*one) for one in payload_findings("liveactivity", b"", payload, now)]
