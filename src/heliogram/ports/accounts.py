"""Accounts: the tenants of an instance."""

from __future__ import annotations

from typing import Protocol

from ..domain.accounts import Account, AccountCounts, AccountLimits, AuditEvent


class AccountStore(Protocol):
    """Accounts. An `audit` event is kept in the same transaction as the change, in the account itself."""

    async def default_account(self) -> Account:
        """The account that the first start of an instance made."""

    async def create_account(self, account: Account, *, audit: AuditEvent | None = None) -> None:
        """Keeps a new account. Raises `Conflict` when its name is taken, `LimitReached` at 1,000 accounts."""

    async def get_account(self, account: bytes) -> Account | None:
        """The account with this id."""

    async def account_named(self, name: str) -> Account | None:
        """The account with this name."""

    async def list_accounts(self) -> list[Account]:
        """All accounts, the oldest first; at most 1,000."""

    async def limit_account(self, account: bytes, limits: AccountLimits, *, audit: AuditEvent | None = None) -> bool:
        """Sets its limits; False when there is no such account."""

    async def disable_account(self, account: bytes, at: int | None, *, audit: AuditEvent | None = None) -> bool:
        """Disables it since a moment (ms), or enables it again (None); False when there is no such account."""

    async def count_account(self, account: bytes, now: int) -> AccountCounts:
        """How much of its limits it uses."""
