"""The receiver's side: whether a request comes from Heliogram, unchanged and just now (Standard Webhooks).

Imports the standard library alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

TOLERANCE_S = 300
"""How old, or how far ahead, a request's timestamp may be."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret
_MIN_KEY, _MAX_KEY = 24, 64


class InvalidSignature(Exception):
    """The request was not signed with the secret, was changed on its way, or is too old: answer it with a 400."""


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes | str,
    now: float | None = None,
    *,
    tolerance: int = TOLERANCE_S,
) -> str:
    """The message's id, after its signature was checked: the value of `webhook-id`, the same for every redelivery.

    `secret` is the webhook's (`whsec_…`), `headers` the request's in any case, `body` exactly the bytes that came.
    `now` is in seconds since 1970 (default: the system's clock). Raises `InvalidSignature` when a header is missing,
    when no signature fits, or when the timestamp is more than `tolerance` seconds away; `ValueError` for a secret
    that is none. Signatures are compared in constant time; during a rotation there are two, and one that fits is
    enough.
    """
    key = key_of(secret)
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise InvalidSignature(f"the request has no {' and no '.join(missing)}")
    ident, timestamp = given["webhook-id"], given["webhook-timestamp"]
    _check_time(timestamp, time.time() if now is None else now, tolerance)
    content = body.encode() if isinstance(body, str) else body
    expected = signature(key, ident, timestamp, content)
    fits = False
    for each in given["webhook-signature"].split(" "):
        fits |= hmac.compare_digest(each.encode(), expected.encode())
    if not fits:
        raise InvalidSignature("no signature of the request fits the secret and the body")
    return ident


def key_of(secret: str) -> bytes:
    """The key of a secret, with or without its prefix. Raises `ValueError`, never quoting it."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook's secret is 'whsec_' and base64") from None
    if not _MIN_KEY <= len(key) <= _MAX_KEY:
        raise ValueError(f"a webhook's secret has {_MIN_KEY} to {_MAX_KEY} bytes, this one has {len(key)}")
    return key


def signature(key: bytes, ident: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = f"{ident}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _check_time(timestamp: str, now: float, tolerance: int) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise InvalidSignature("webhook-timestamp is no number of seconds")
    if abs(now - int(timestamp)) > tolerance:
        raise InvalidSignature(f"the request's timestamp is more than {tolerance} s away: replayed, or a clock is off")
