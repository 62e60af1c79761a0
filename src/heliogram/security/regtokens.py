"""Registration tokens: what lets a phone register the devices of one user in one app, and nothing else.

A token is `hgr_` and, in base64url, these bytes: version (1) | id of the master key (4) | account (16) | the API key
that made it (16) | user (16) | end, in seconds since 1970 (5) | name of the app | BLAKE2b of all that, keyed (32).
Nothing is stored: it is good until its end, or until the API key that made it ends.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from ..domain.accounts import RegistrationGrant
from .masterkey import KEY_ID_BYTES, KeyRing

TOKEN_PREFIX = "hgr_"  # noqa: S105 - what every token begins with, so that scanners find leaked ones
MAX_TOKEN_CHARS = 512
_VERSION = b"\x01"
_PURPOSE = "heliogram registration token v1"
_PERSON = b"heliogram regtok"
_MAC = 32
_ID = 16
_END = 5
_APP = 1 + KEY_ID_BYTES + 3 * _ID + _END


class RegistrationTokens:
    """Makes and reads them. The first master key signs, all verify: a rotation ends no token."""

    def __init__(self, ring: KeyRing) -> None:
        self._first = ring.first.id
        self._keys = {key.id: key.derive(_PURPOSE) for key in ring.keys}

    def __repr__(self) -> str:
        return f"RegistrationTokens(keys={len(self._keys)}, first={self._first.hex()})"

    def make(self, grant: RegistrationGrant) -> str:
        """The token of a grant."""
        end = grant.expires.to_bytes(_END, "big")
        signed = _VERSION + self._first + grant.account_id + grant.key_id + grant.user_id + end
        signed += grant.app_name.encode()
        return TOKEN_PREFIX + _text(signed + self._mac(self._first, signed))

    def read(self, token: str, now: float) -> RegistrationGrant | None:
        """What a token grants at a moment (seconds since 1970); None for one that is not ours, was changed or is past
        its end. Takes the same time wherever the signature differs."""
        if not token.startswith(TOKEN_PREFIX) or len(token) > MAX_TOKEN_CHARS:
            return None
        text = token[len(TOKEN_PREFIX) :]
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        ident = raw[1 : 1 + KEY_ID_BYTES]
        if len(raw) <= _APP + _MAC or ident not in self._keys or raw[:1] != _VERSION or _text(raw) != text:
            return None
        signed, mac = raw[:-_MAC], raw[-_MAC:]
        if not hmac.compare_digest(self._mac(ident, signed), mac):
            return None
        grant = _grant(signed)
        return grant if now < grant.expires else None

    def _mac(self, key: bytes, signed: bytes) -> bytes:
        return hashlib.blake2b(signed, key=self._keys[key], digest_size=_MAC, person=_PERSON).digest()


def _grant(signed: bytes) -> RegistrationGrant:
    ids = signed[1 + KEY_ID_BYTES :]
    return RegistrationGrant(
        account_id=ids[:_ID],
        key_id=ids[_ID : 2 * _ID],
        user_id=ids[2 * _ID : 3 * _ID],
        expires=int.from_bytes(ids[3 * _ID : 3 * _ID + _END], "big"),
        app_name=signed[_APP:].decode(),
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
