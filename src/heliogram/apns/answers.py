"""Reading what APNs answers besides a plain 200."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .reasons import REASONS, OnCredential

_decode = msgspec.json.Decoder().decode
_NO_MOMENT = 1 << 48
"""Milliseconds beyond the year 10,000: whoever answers that means no time, and what stores it may not take it."""

Headers = Iterable[tuple[bytes, bytes]]


def header(headers: Headers | None, name: bytes) -> str | None:
    """The first value of a header, as text; None when it is not there."""
    for key, value in headers or ():
        if key == name:
            return value.decode("utf-8", "replace")
    return None


def seconds(text: str | None) -> int | None:
    """The seconds of a `retry-after` header; its date form is not worth a clock."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None


def reason_and_timestamp(body: bytes) -> tuple[str, int | None]:
    """`reason` and `timestamp` (ms) of an answer or of a GOAWAY's debug data (RESP-5, CONN-20).

    Never raises: what is not the expected JSON gives an empty reason (CONN-18, ERR-5).
    """
    try:
        document: Any = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", None
    if not isinstance(document, dict):
        return "", None
    reason, timestamp = document.get("reason"), document.get("timestamp")
    if isinstance(timestamp, float) and timestamp.is_integer():
        timestamp = int(timestamp)
    well_formed = isinstance(timestamp, int) and not isinstance(timestamp, bool) and 0 <= timestamp < _NO_MOMENT
    return reason if isinstance(reason, str) else "", timestamp if well_formed else None


def condemns_credential(debug: bytes) -> bool:
    """Whether a GOAWAY gives a reason for which the same credential would be refused again (CERT-9)."""
    row = REASONS.get(reason_and_timestamp(debug)[0])
    return row is not None and row.credential is OnCredential.STOP


def goaway_text(code: int, debug: bytes) -> str:
    """What a GOAWAY says, for people: its JSON reason, or its plain text, or its code."""
    reason = reason_and_timestamp(debug)[0]
    if reason:
        return f"GOAWAY with reason {printable(reason)}"
    plain = printable(debug[:200].decode("utf-8", "replace"))
    return f"GOAWAY with code {code}: {plain}" if plain else f"GOAWAY with code {code}"


def printable(text: str) -> str:
    """At most 200 characters of what a peer said, on one line."""
    return "".join(one if one.isprintable() else "?" for one in text[:200])
