"""Who is calling: keys from the store, remembered for half a second.

So a key's revocation, by whichever process, acts within a second, and a busy caller costs two look-ups a second.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from ..domain.accounts import ApiKey, Principal
from ..domain.ids import API_KEY, InvalidId, decode
from ..ports import Clock, KeyStore
from .apikeys import KeyHasher

TTL_SECONDS = 0.5
MAX_TTL_SECONDS = 0.9
CACHED_KEYS = 1024


class _Entry(NamedTuple):
    """What was found, and until when it is believed."""

    key: ApiKey | None
    until: float


class _Recent:
    """The keys last asked for, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def get(self, ident: bytes, now: float) -> _Entry | None:
        entry = self._entries.get(ident)
        if entry is None:
            return None
        if entry.until <= now:
            del self._entries[ident]
            return None
        self._entries.move_to_end(ident)
        return entry

    def put(self, ident: bytes, entry: _Entry) -> None:
        self._entries[ident] = entry
        self._entries.move_to_end(ident)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class StoreAuthenticator:
    """`ports.Authenticator` over the store's keys.

    Unknown ids are remembered too, apart from the known ones: they cost the same work, and a flood of them pushes
    out no good key.
    """

    def __init__(
        self, store: KeyStore, hasher: KeyHasher, clock: Clock, *, ttl: float = TTL_SECONDS, size: int = CACHED_KEYS
    ) -> None:
        if not 0 <= ttl <= MAX_TTL_SECONDS:
            raise ValueError(f"ttl: expected 0 to {MAX_TTL_SECONDS} seconds, so that revocation acts within one")
        self._store = store
        self._hasher = hasher
        self._clock = clock
        self._ttl = ttl
        self._known = _Recent(size)
        self._unknown = _Recent(size)

    def __repr__(self) -> str:
        return f"StoreAuthenticator(known={len(self._known)}, unknown={len(self._unknown)})"

    async def authenticate(self, key_id: str, secret: str) -> Principal | None:
        """The principal of a key id (`key_…`) and its secret; None for anything wrong."""
        try:
            ident = decode(API_KEY, key_id)
        except InvalidId:
            self._hasher.verify(None, secret)
            return None
        key = await self._find(ident)
        if not self._hasher.verify(key, secret) or key is None or key.revoked is not None:
            return None
        return Principal(account_id=key.account_id, key_id=key.id, scopes=frozenset(key.scopes))

    async def _find(self, ident: bytes) -> ApiKey | None:
        now = self._clock.monotonic()
        entry = self._known.get(ident, now) or self._unknown.get(ident, now)
        if entry is None:
            # Believed from before the look-up on: what is revoked while it runs is not believed longer for it.
            entry = _Entry(await self._store.find_api_key(ident), now + self._ttl)
            (self._unknown if entry.key is None else self._known).put(ident, entry)
        return entry.key
