"""Provider tokens: taken apart and verified for real (rule book, section 2.1)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from .keys import Key, KeyRing

_PART = re.compile(rb"[A-Za-z0-9_-]+\Z")
_ALGORITHM = ec.ECDSA(SHA256())
_SIGNATURE_BYTES = 64
_LATEST = 2**53  # beyond it no float counts seconds
MAX_TOKEN_BYTES = 4096


class Verified(msgspec.Struct, frozen=True, eq=False):
    """A token whose structure, algorithm, key, team and signature are right. Its age is not judged here.

    ``der``: its signature is right, but DER where JWS wants two numbers side by side (TOK-4).
    """

    key: Key
    issued_at: float
    der: bool = False

    def __repr__(self) -> str:
        return f"Verified(key_id={self.key.key_id!r}, issued_at={self.issued_at!r})"


def verify(token: bytes, keys: KeyRing) -> Verified | None:
    """The verified token, or None for everything APNs calls ``InvalidProviderToken`` (TOK-3, TOK-4, TOK-6, TOK-19).

    Extra members of header and claims are tolerated (TOK-5). Raises nothing, on any bytes.
    """
    parts = token.split(b".")
    if len(token) > MAX_TOKEN_BYTES or len(parts) != 3:
        return None
    header, claims, signature = _object(parts[0]), _object(parts[1]), _decode(parts[2])
    if header is None or claims is None or signature is None:
        return None
    key_id, issued_at = header.get("kid"), claims.get("iat")
    if header.get("alg") != "ES256" or not isinstance(key_id, str):
        return None
    # A JSON string is not a NumericDate, and Python's bool is an int (TOK-6).
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float) or abs(issued_at) > _LATEST:
        return None
    key = keys.get(key_id)
    if key is None or claims.get("iss") != key.team_id:
        return None
    der = len(signature) != _SIGNATURE_BYTES
    if not _signed(key, signature if der else _as_der(signature), token[: len(parts[0]) + 1 + len(parts[1])]):
        return None
    return Verified(key, issued_at, der)


def claimed(token: bytes) -> tuple[str, str]:
    """The team and the key a token names, right or wrong; nothing is verified. Empty where it names none."""
    parts = token.split(b".", 2) if len(token) <= MAX_TOKEN_BYTES else []
    header, claims = (_object(parts[0]), _object(parts[1])) if len(parts) > 1 else (None, None)
    team_id, key_id = (claims or {}).get("iss"), (header or {}).get("kid")
    return team_id if isinstance(team_id, str) else "", key_id if isinstance(key_id, str) else ""


def _as_der(signature: bytes) -> bytes:
    # JWS has R and S side by side, 32 bytes each.
    half = _SIGNATURE_BYTES // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def _signed(key: Key, signature: bytes, message: bytes) -> bool:
    try:
        key.public_key.verify(signature, message, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def _decode(part: bytes) -> bytes | None:
    """Base64url without padding, or None."""
    if not _PART.match(part):
        return None
    try:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        return None


def _object(part: bytes) -> dict[str, Any] | None:
    raw = _decode(part)
    if raw is None:
        return None
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None
