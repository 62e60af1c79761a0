"""What APNs accepts and yet would not show, or not as meant: findings on accepted pushes (REQ-5, SIZE-3).

Nothing here is done while a push is answered. A finding is worked out when somebody reads the request or the
notification, from the header fields and the body as they came.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .lint_payload import payload_findings
from .lint_values import MILLISECONDS
from .tables import PUSH_TYPES

_DURATION = 1_000_000_000
"""Below it a moment lies before September 2001: a number of seconds from now, more likely."""
_STORED = 30 * 86_400
_KNOWN = (
    b"apns-collapse-id",
    b"apns-expiration",
    b"apns-id",
    b"apns-priority",
    b"apns-push-type",
    b"apns-topic",
)
BACKGROUND = b"background"
_UPPER = re.compile(rb"[A-F]")


class Finding(msgspec.Struct, frozen=True):
    """One fault of an accepted push. ``rule``: an ID or a section of the rule book; ``text``: what to do about it."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


def lint(fields: Mapping[bytes, bytes], body: bytes, now: float) -> list[Finding]:
    """The findings on an accepted push that came at ``now``, seconds since the epoch; nothing makes this fail."""
    push_type = fields.get(b"apns-push-type")
    topic = fields.get(b"apns-topic", b"")
    payload, fault = parse(body)
    meant = push_type or guess(topic, payload)
    found = list(_header_findings(fields, now))
    if push_type is None:
        found.append(_missing_type(meant, topic))
    found += [Finding(*one) for one in _type_findings(meant, fields)]
    if fault is not None:
        return [*found, Finding("SIZE-3", fault)]
    return found + [Finding(*one) for one in payload_findings(meant.decode("ascii", "replace"), topic, payload, now)]


def parse(body: bytes) -> tuple[Any, str | None]:
    """The payload, and why a device can make nothing of it, or None."""
    if body.startswith(b"\x1f\x8b"):
        return None, "the payload is compressed; APNs takes plain JSON only (CONN-32)"
    if body.startswith(b"\xef\xbb\xbf"):
        return None, "the payload starts with a byte order mark; JSON has none"
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return None, f"the payload is not JSON: {error}"
    if not isinstance(payload, dict):
        return payload, "the payload is not a JSON object; put everything into one, with aps in it"
    return payload, None


def guess(topic: bytes, payload: Any) -> bytes:
    """The push type that a push without one was meant to have."""
    for name, row in PUSH_TYPES.items():
        if row.suffix and topic.endswith(row.suffix):
            return name
    if isinstance(payload, dict) and isinstance(payload.get("mdm"), str) and "aps" not in payload:
        return b"mdm"
    aps = payload.get("aps") if isinstance(payload, dict) else None
    if isinstance(aps, dict) and "content-available" in aps and not aps.keys() & {"alert", "badge", "sound"}:
        return BACKGROUND
    return b"alert"


def _missing_type(meant: bytes, topic: bytes) -> Finding:
    kind = meant.decode()
    why = f"topic {topic.decode('utf-8', 'replace')}" if PUSH_TYPES[meant].suffix else "the payload"
    return Finding(
        "REQ-5",
        f"apns-push-type is missing; send {kind}, which {why} suggests: "
        "watchOS needs one, elsewhere a push without it may be delayed or dropped",
    )


def _header_findings(fields: Mapping[bytes, bytes], now: float) -> Iterator[Finding]:
    for name in fields:
        if name.startswith(b"apns-") and name not in _KNOWN:
            yield Finding("4.1", f"{_shown(name)} is no header of a push{_hint(name)}")
    own = fields.get(b"apns-id")
    if own is not None and _UPPER.search(own):
        yield Finding("REQ-1", "apns-id has upper-case digits; Apple documents lower case")
    if fields.get(b"apns-collapse-id") == b"":
        yield Finding("4.1", "apns-collapse-id is empty; leave it out, or name what is to be replaced")
    until = fields.get(b"apns-expiration")
    if until is not None and until.isdigit():
        text = _expiration(int(until), now)
        if text is not None:
            yield Finding("LIFE-6" if "30 days" in text else "REQ-2", text)


def _expiration(until: int, now: float) -> str | None:
    if until >= MILLISECONDS:
        return f"apns-expiration is {until}, a moment in milliseconds; send seconds: {until // 1000}"
    if 0 < until < _DURATION:
        return f"apns-expiration is {until}, a moment of last century; send the time now plus {until}"
    if 0 < until < now:
        ago = int(now - until)
        return f"apns-expiration lies {ago} s in the past: one attempt at most is made; send a moment to come, or 0"
    if until > now + _STORED:
        return "apns-expiration is more than 30 days ahead; APNs keeps nothing longer than that"
    return None


def _type_findings(meant: bytes, fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    """What the header fields of a push of this kind lack."""
    priority, topic = fields.get(b"apns-priority"), fields.get(b"apns-topic", b"")
    if meant == BACKGROUND and priority != b"5":
        stands = "is missing and stands for 10" if priority is None else f"is {priority.decode('ascii', 'replace')}"
        yield "TYPE-2", f"apns-priority {stands}; a background push must have 5"
    if meant == b"mdm" and not topic.startswith(b"com.apple.mgmt."):
        yield "4.2", "the topic of an mdm push is the UID of the MDM push certificate, com.apple.mgmt.External.<uuid>"
    if meant == b"pushtotalk":
        if priority not in (None, b"10"):
            yield "4.2", "apns-priority of a pushtotalk push must be 10: somebody is speaking now"
        if fields.get(b"apns-expiration") != b"0":
            yield "4.2", "apns-expiration of a pushtotalk push must be 0: nothing is to be stored"


def _hint(name: bytes) -> str:
    near = difflib.get_close_matches(_shown(name), [_shown(known) for known in _KNOWN], 1)
    return f"; you mean {near[0]}" if near else "; leave it out"


def _shown(name: bytes) -> str:
    return name[:100].decode("utf-8", "replace")
