"""Device tokens: the hex text that names an app on a device."""

from __future__ import annotations

import re

from .errors import InvalidDeviceToken

MIN_DIGITS = 16
MAX_DIGITS = 400

_lower_hex = re.compile(r"[0-9a-f]+").fullmatch
_DECORATION = str.maketrans("", "", "<> ")


def normalize_device_token(token: str) -> str:
    """The token in lower case, without the `<`, `>` and spaces of an old `NSData` description (REQ-6).

    Never assumes 64 digits: any even number of hex digits from 16 to 400 is a token (REQ-7).
    Raises `InvalidDeviceToken`.
    """
    try:
        if _is_plain(token):
            return token
        cleaned = token.translate(_DECORATION).lower()
        if _is_plain(cleaned):
            return cleaned
    except (TypeError, AttributeError):
        pass  # not text at all; the complaint says so
    raise InvalidDeviceToken(_complaint(token))


def _is_plain(token: str) -> bool:
    return MIN_DIGITS <= len(token) <= MAX_DIGITS and not len(token) & 1 and _lower_hex(token) is not None


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
