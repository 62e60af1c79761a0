"""Accounts: the tenants of an instance."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ...domain.accounts import MAX_ACCOUNTS, Account, AccountCounts, AccountLimits, AuditEvent
from ...domain.errors import Code, Conflict, LimitReached
from . import statements
from .audit import write_audit
from .base import Base

_sql = statements.load("accounts")
_limits = msgspec.json.Decoder(AccountLimits)

DEFAULT_ACCOUNT = "default"


def ensure_account(connection: apsw.Connection, account_id: bytes, created: int) -> None:
    """Makes the first account, unless there is one."""
    connection.execute(_sql.insert_first_account, {"id": account_id, "name": DEFAULT_ACCOUNT, "created": created})


def limits_of(connection: apsw.Connection, account: bytes) -> AccountLimits:
    """What an account may have, as of this transaction."""
    text: Any = connection.execute(_sql.get_limits, {"account": account}).get
    return AccountLimits() if text is None else _limits.decode(text)


def account_of(row: Any) -> Account:
    """An account from its id, name, moment of birth, limits, and moment of being disabled."""
    ident, name, created, limits, disabled = row
    return Account(id=ident, name=name, created=created, limits=_limits.decode(limits), disabled=disabled)


def _create(connection: apsw.Connection, account: Account) -> None:
    if connection.execute(_sql.name_taken, {"name": account.name}).get is not None:
        raise Conflict(f"there is an account named {account.name!r} already: take another name", Code.INVALID_VALUE)
    count: Any = connection.execute(_sql.count_accounts).get
    if count >= MAX_ACCOUNTS:
        raise LimitReached(f"an instance has at most {MAX_ACCOUNTS} accounts", Code.TOO_MANY_ACCOUNTS)
    values = {
        "id": account.id,
        "name": account.name,
        "created": account.created,
        "limits": msgspec.json.encode(account.limits).decode(),
        "disabled": account.disabled,
    }
    connection.execute(_sql.insert_account, values)


class Accounts(Base):
    """`ports.AccountStore`."""

    async def default_account(self) -> Account:
        """The account that the first start of an instance made."""
        return account_of(await self._read(lambda c: c.execute(_sql.first_account).fetchone()))

    async def create_account(self, account: Account, *, audit: AuditEvent | None = None) -> None:
        """Keeps a new account. Raises `Conflict` when its name is taken, `LimitReached` at 1,000 accounts."""

        def job(connection: apsw.Connection) -> None:
            _create(connection, account)
            write_audit(connection, account.id, audit)

        await self._write(job)

    async def get_account(self, account: bytes) -> Account | None:
        """The account with this id."""
        row = await self._read(lambda c: c.execute(_sql.get_account, {"account": account}).fetchone())
        return None if row is None else account_of(row)

    async def account_named(self, name: str) -> Account | None:
        """The account with this name."""
        row = await self._read(lambda c: c.execute(_sql.account_named, {"name": name}).fetchone())
        return None if row is None else account_of(row)

    async def list_accounts(self) -> list[Account]:
        """All accounts, the oldest first."""
        rows = await self._list(lambda c: c.execute(_sql.list_accounts).fetchall())
        return [account_of(row) for row in rows]

    async def limit_account(self, account: bytes, limits: AccountLimits, *, audit: AuditEvent | None = None) -> bool:
        """Sets its limits; False when there is no such account."""
        values = {"account": account, "limits": msgspec.json.encode(limits).decode()}
        return await self._change(_sql.set_limits, values, audit)

    async def disable_account(self, account: bytes, at: int | None, *, audit: AuditEvent | None = None) -> bool:
        """Disables it since a moment (ms), or enables it again (None); False when there is no such account."""
        return await self._change(_sql.set_disabled, {"account": account, "at": at}, audit)

    async def count_account(self, account: bytes, now: int) -> AccountCounts:
        """How much of its limits it uses."""
        values = {"account": account, "now": now}
        row: Any = await self._read(lambda c: c.execute(_sql.count_account, values).fetchone())
        apps, credentials, api_keys, webhooks, waiting = row
        return AccountCounts(
            apps=apps, credentials=credentials, api_keys=api_keys, webhooks=webhooks, waiting=waiting or 0
        )

    async def _change(self, sql: str, values: dict[str, Any], audit: AuditEvent | None) -> bool:
        def job(connection: apsw.Connection) -> bool:
            connection.execute(sql, values)
            if not connection.changes():
                return False
            write_audit(connection, values["account"], audit)
            return True

        return await self._write(job)
