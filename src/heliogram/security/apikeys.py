"""API keys: an id that may be seen and a secret that is shown once. Only a keyed hash of the secret is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..domain.accounts import ALL_SCOPES, ApiKey, Scope
from ..domain.ids import API_KEY, IdFactory, encode
from .masterkey import KEY_ID_BYTES, KeyRing

SECRET_PREFIX = "hgs_"  # noqa: S105 - what every secret begins with, so that scanners find leaked ones
SECRET_BYTES = 32
MAX_SECRET_CHARS = 256
_DIGEST = 32
_PURPOSE = "heliogram api key pepper v1"
_PERSON = b"heliogram apikey"


class NewKey(NamedTuple):
    """A key that was just made. The secret is nowhere else."""

    key: ApiKey
    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key_id}, secret=…)"


class KeyHasher:
    """BLAKE2b keyed with a pepper from the master key: a stolen database alone lets nobody test a guess.

    A hash begins with the id of the master key it hangs on, so that hashes outlive a rotation. A secret has 256
    random bits, which is why a fast hash serves.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._first = ring.first.id
        self._peppers = {key.id: key.derive(_PURPOSE) for key in ring.keys}
        self._nobody = self.hash(bytes(16), "")

    def __repr__(self) -> str:
        return f"KeyHasher(keys={len(self._peppers)}, first={self._first.hex()})"

    def hash(self, key_id: bytes, secret: str) -> bytes:
        """What is kept of a secret: 36 bytes."""
        return self._first + self._digest(self._first, key_id, secret)

    def verify(self, key: ApiKey | None, secret: str) -> bool:
        """Whether the secret is the key's, in the same time for a right and a wrong one, and for no key at all."""
        kept = self._nobody if key is None else key.hash
        ident = kept[:KEY_ID_BYTES]
        known = ident in self._peppers
        digest = self._digest(ident if known else self._first, b"" if key is None else key.id, secret)
        same = hmac.compare_digest(digest, kept[KEY_ID_BYTES:])
        return same and known and key is not None and len(secret) <= MAX_SECRET_CHARS

    def _digest(self, pepper: bytes, key_id: bytes, secret: str) -> bytes:
        data = key_id.rjust(16, b"\0") + secret[: MAX_SECRET_CHARS + 1].encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._peppers[pepper], digest_size=_DIGEST, person=_PERSON).digest()


def new_secret(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A fresh secret of an API key."""
    return SECRET_PREFIX + base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).rstrip(b"=").decode()


def new_api_key(
    ids: IdFactory,
    hasher: KeyHasher,
    *,
    account: bytes,
    name: str,
    created: int,
    scopes: Sequence[Scope] = ALL_SCOPES,
    expires: int | None = None,
    ident: bytes | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> NewKey:
    """A new API key of an account, its id as text (`key_…`) and its secret (`hgs_` and 43 characters).
    `created` and `expires` are in ms. `ident` is the id where one was reserved."""
    ident = ids.new() if ident is None else ident
    secret = new_secret(random_bytes)
    key = ApiKey(
        account_id=account,
        id=ident,
        name=name,
        hash=hasher.hash(ident, secret),
        scopes=tuple(scopes),
        created=created,
        expires=expires,
        lifetime=None if expires is None else expires - created,
    )
    return NewKey(key, encode(API_KEY, ident), secret)
