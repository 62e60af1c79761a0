"""Accounts and API keys."""

from __future__ import annotations

from typing import Protocol

from ..domain.accounts import Account, ApiKey


class KeyStore(Protocol):
    """Accounts and API keys."""

    async def default_account(self) -> Account:
        """The account that the first start of an instance made."""

    async def create_api_key(self, account: bytes, key: ApiKey) -> None:
        """Keeps a new key."""

    async def list_api_keys(self, account: bytes) -> list[ApiKey]:
        """All keys of the account, newest first, revoked ones too."""

    async def revoke_api_key(self, account: bytes, key_id: bytes, at: int) -> bool:
        """Ends a key; False when the account has no such key that was still good."""

    async def find_api_key(self, key_id: bytes) -> ApiKey | None:
        """The key with this id, of whichever account."""
