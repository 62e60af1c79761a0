"""API keys: how they are kept, made and used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..domain.accounts import ApiKey, AuditEvent, Caller, RegistrationGrant, Scope
from .basics import Listed, Window


class KeyStore(Protocol):
    """API keys. An `audit` event is kept in the same transaction as the change, and only if there was one."""

    async def create_api_key(self, account: bytes, key: ApiKey, *, audit: AuditEvent | None = None) -> None:
        """Keeps a new key. Raises `LimitReached` when the account has 100 that are good at `key.created`."""

    async def get_api_key(self, account: bytes, key_id: bytes) -> ApiKey | None:
        """A key of the account, ended ones too."""

    async def list_api_keys(self, account: bytes, window: Window) -> Listed[ApiKey]:
        """Keys of the account, newest first, ended ones too."""

    async def revoke_api_key(
        self, account: bytes, key_id: bytes, at: int, *, keep_admin: bool = False, audit: AuditEvent | None = None
    ) -> bool:
        """Ends a key; False when the account has no such key, or it was revoked before. With `keep_admin` raises
        `Conflict` for the last good key with the scope `admin`."""

    async def rotate_api_key(
        self, account: bytes, key_id: bytes, successor: ApiKey, ends: int, *, audit: AuditEvent | None = None
    ) -> bool:
        """Keeps the successor of a key, which itself ends at `ends` (ms) if it would not end before; False, and nothing
        is kept, when the account has no such key that is good at `successor.created`. Raises `LimitReached` when the
        account would have more than 100 good keys."""

    async def renew_api_key(self, account: bytes, key: ApiKey, before: bytes) -> bool:
        """Keeps the hash of another secret of a key whose secret nobody was told: its answer was lost. False, and
        nothing changes, when its hash is not the one before any more."""

    async def find_caller(self, key_id: bytes) -> Caller | None:
        """The key with this id, of whichever account, and that account."""

    async def touch_api_key(self, account: bytes, key_id: bytes, at: int) -> None:
        """Notes that a key was used; a note less than a minute after the last changes nothing."""

    async def prune_api_keys(self, account: bytes, before: int, *, limit: int) -> int:
        """Removes at most `limit` keys that ended before a moment (ms); how many it removed."""


class KeyMaker(Protocol):
    """Makes what callers identify themselves with. What it gives out is kept nowhere."""

    def api_key(
        self,
        account: bytes,
        *,
        name: str,
        scopes: Sequence[Scope],
        created: int,
        expires: int | None,
        ident: bytes | None = None,
    ) -> tuple[ApiKey, str]:
        """A new API key, not kept yet, and its secret. `ident` is its id; without one it gets a fresh one."""

    def renewed(self, key: ApiKey) -> tuple[ApiKey, str]:
        """The key with another secret, not kept yet, and that secret."""

    def registration_token(self, grant: RegistrationGrant) -> str:
        """The token of a grant: `hgr_` and what it grants, signed."""
