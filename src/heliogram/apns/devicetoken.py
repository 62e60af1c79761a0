"""Device tokens: the hex text that names an app on a device."""

from __future__ import annotations

import re

from .errors import InvalidDeviceToken

MIN_DIGITS = 16
MAX_DIGITS = 400

_HEX = b"0123456789abcdef"
_DECORATION = str.maketrans("", "", "<> ")


def plain_device_token(token: str) -> bytes | None:
    """The token as ASCII, when it is in the normal form already; else None, also for what is no text."""
    try:
        text = token.encode("ascii")
    except (AttributeError, ValueError):
        return None
    size = len(text)
    if size & 1 or not MIN_DIGITS <= size <= MAX_DIGITS or text.translate(None, _HEX):
        return None
    return text


def normalize_device_token(token: str) -> str:
    """The token in lower case, without the `<`, `>` and spaces of an old `NSData` description (REQ-6).

    Never assumes 64 digits: any even number of hex digits from 16 to 400 is a token (REQ-7).
    Raises `InvalidDeviceToken`.
    """
    if isinstance(token, str):
        cleaned = token.translate(_DECORATION).lower()
        if plain_device_token(cleaned) is not None:
            return cleaned
    raise InvalidDeviceToken(_complaint(token))


def _complaint(token: object) -> str:
    want = f"a device token is an even number of hex digits from {MIN_DIGITS} to {MAX_DIGITS}"
    if not isinstance(token, str):
        return f"{want}; this is a {type(token).__name__}, pass its hex text"
    digits = token.translate(_DECORATION)
    if not digits:
        return f"{want}; this one is empty"
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return f"{want}; this one has other characters, pass the hex text of the token's bytes"
    return f"{want}; this one has {len(digits)}, pass the token as the app received it"
