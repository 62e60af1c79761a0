"""Who is calling: keys from the store, remembered for half a second.

So a key's end, by whichever process, acts within a second, and a busy caller costs two look-ups a second.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from functools import partial

from ..domain.accounts import Caller, Principal, RegistrationGrant, Scope
from ..domain.ids import API_KEY, InvalidId, decode
from ..once import Once
from ..ports import Clock, KeyStore
from .apikeys import KeyHasher
from .lastuse import LastUse
from .regtokens import RegistrationTokens

TTL_SECONDS = 0.5
MAX_TTL_SECONDS = 0.9
CACHED_KEYS = 1024
REGISTRATION = "registration"
"""The user name that goes with a registration token in place of a key id."""


class _Entry:
    """What was found for a key id, and until when (monotonic) it is believed."""

    __slots__ = ("caller", "principal", "proven", "until")

    def __init__(self, caller: Caller | None, until: float) -> None:
        self.caller = caller
        self.until = until
        self.proven: str | None = None
        """The secret that was proven to be the key's, for as long as this is believed."""
        self.principal = None if caller is None else _principal(caller)


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

    def put(self, ident: bytes, entry: _Entry, now: float) -> None:
        self._entries[ident] = entry
        self._entries.move_to_end(ident)
        while len(self._entries) > self._size or next(iter(self._entries.values())).until <= now:
            _, gone = self._entries.popitem(last=False)  # a secret is not kept for longer than it is of use
            if gone is entry:
                break

    def __len__(self) -> int:
        return len(self._entries)


class StoreAuthenticator:
    """`ports.Authenticator` over the store's keys.

    Unknown ids are remembered too, apart from the known ones: they cost the same work, and a flood of them pushes
    out no good key. That a key was used is noted beside the requests, never waited for.
    """

    def __init__(
        self,
        store: KeyStore,
        hasher: KeyHasher,
        clock: Clock,
        tokens: RegistrationTokens,
        *,
        ttl: float = TTL_SECONDS,
        size: int = CACHED_KEYS,
    ) -> None:
        if not 0 <= ttl <= MAX_TTL_SECONDS:
            raise ValueError(f"ttl: expected 0 to {MAX_TTL_SECONDS} seconds, so that revocation acts within one")
        self._store = store
        self._hasher = hasher
        self._clock = clock
        self._tokens = tokens
        self._ttl = ttl
        self._known = _Recent(size)
        self._unknown = _Recent(size)
        self._last_use = LastUse(store, size=size)
        self._asking = Once[bytes, _Entry]()

    def __repr__(self) -> str:
        return f"StoreAuthenticator(known={len(self._known)}, unknown={len(self._unknown)})"

    async def authenticate(self, key_id: str, secret: str) -> Principal | None:
        """The principal of a key id (`key_…`) and its secret, or of `registration` and a registration token; None for
        anything wrong, revoked, expired, or of a disabled account."""
        if key_id == REGISTRATION:
            return await self._by_token(secret)
        try:
            ident = decode(API_KEY, key_id)
        except InvalidId:
            self._hasher.verify(None, secret)
            return None
        entry = await self._find(ident)
        key = None if entry.caller is None else entry.caller.key
        if not (entry.proven is not None and secret.isascii() and hmac.compare_digest(entry.proven, secret)):
            if not self._hasher.verify(key, secret):
                return None
            entry.proven = secret if secret.isascii() else None
        return self._opened(entry)

    async def _by_token(self, token: str) -> Principal | None:
        grant = self._tokens.read(token, self._clock.time())
        if grant is None:
            return None
        maker = self._opened(await self._find(grant.key_id))
        if maker is None or maker.account_id != grant.account_id or not maker.may(Scope.REGISTER):
            return None
        return _registering(maker, grant)

    def _opened(self, entry: _Entry) -> Principal | None:
        """The principal of a key that is good now; notes its use."""
        caller = entry.caller
        if caller is None or caller.account.disabled is not None:
            return None
        now = int(self._clock.time() * 1000)
        if not caller.key.good_at(now):
            return None
        self._last_use.note(caller.key, now)
        return entry.principal

    async def _find(self, ident: bytes) -> _Entry:
        now = self._clock.monotonic()
        entry = self._known.get(ident, now) or self._unknown.get(ident, now)
        if entry is None:
            entry = await self._asking.ask(ident, partial(self._ask, ident, now))
        return entry

    async def _ask(self, ident: bytes, now: float) -> _Entry:
        # Believed from before the look-up on: what is revoked while it runs is not believed longer for it.
        entry = _Entry(await self._store.find_caller(ident), now + self._ttl)
        (self._unknown if entry.caller is None else self._known).put(ident, entry, now)
        return entry


def _principal(caller: Caller) -> Principal:
    return Principal(
        account_id=caller.key.account_id,
        key_id=caller.key.id,
        scopes=frozenset(caller.key.scopes),
        limits=caller.account.limits,
    )


def _registering(maker: Principal, grant: RegistrationGrant) -> Principal:
    return Principal(
        account_id=grant.account_id,
        key_id=grant.key_id,
        scopes=frozenset(),
        registration=grant,
        limits=maker.limits,
    )
