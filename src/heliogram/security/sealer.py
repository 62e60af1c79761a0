"""Sealing secrets at rest with AES-256-GCM. What is sealed opens only in its own place.

The bytes are: form (1) | id of the master key (4) | nonce (12) | ciphertext and tag. The place (table, column, row,
account) is authenticated with it, so that a ciphertext copied to another row does not open there. Nonces are random:
one key seals up to 2**32 secrets (NIST SP 800-38D), far above what an instance stores.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .masterkey import KEY_ID_BYTES, KeyRing

_FORM = b"\x01"
_NONCE = 12
_TAG = 16
_HEAD = len(_FORM) + KEY_ID_BYTES + _NONCE
_PURPOSE = "heliogram seal v1"


class AesGcmSealer:
    """`ports.Sealer` over the master keys: the first seals, all open."""

    def __init__(self, ring: KeyRing, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._first = ring.first.id
        self._ciphers = {key.id: AESGCM(key.derive(_PURPOSE)) for key in ring.keys}
        self._random_bytes = random_bytes

    def __repr__(self) -> str:
        return f"AesGcmSealer(keys={len(self._ciphers)}, first={self._first.hex()})"

    def seal(self, plain: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The sealed bytes, 33 longer than the plain ones."""
        nonce = self._random_bytes(_NONCE)
        closed = self._ciphers[self._first].encrypt(nonce, plain, _place(table, column, row, account))
        return _FORM + self._first + nonce + closed

    def open(self, sealed: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The plain bytes; raises `ValueError` when the place or the key is another, or a byte was changed."""
        where = f"{table}.{column}"
        if sealed[:1] != _FORM or len(sealed) < _HEAD + _TAG:
            raise ValueError(f"the secret in {where} is not in a form this version knows")
        ident, nonce = sealed[1 : 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES : _HEAD]
        cipher = self._ciphers.get(ident)
        if cipher is None:
            raise ValueError(f"the secret in {where} was sealed with master key {ident.hex()}, which is not loaded")
        try:
            return cipher.decrypt(nonce, sealed[_HEAD:], _place(table, column, row, account))
        except InvalidTag:
            raise ValueError(f"the secret in {where} does not open in this place: was it moved or damaged?") from None

    def needs_resealing(self, sealed: bytes) -> bool:
        """Whether another key than the first sealed it: what a rotation looks for."""
        return sealed[1 : 1 + KEY_ID_BYTES] != self._first


def _place(table: str, column: str, row: bytes, account: bytes) -> bytes:
    """The place as bytes, each part with its length before it, so that no two places are the same bytes."""
    parts = (table.encode(), column.encode(), row, account)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
