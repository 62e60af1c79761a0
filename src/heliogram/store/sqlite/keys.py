"""Accounts and API keys."""

from __future__ import annotations

from typing import Any

import apsw

from ...domain.accounts import Account, ApiKey, Scope
from . import statements
from .base import Base

_sql = statements.load("keys")

DEFAULT_ACCOUNT = "default"


def ensure_account(connection: apsw.Connection, account_id: bytes, created: int) -> None:
    """Makes the first account, unless there is one."""
    connection.execute(_sql.insert_first_account, {"id": account_id, "name": DEFAULT_ACCOUNT, "created": created})


def _key(row: Any) -> ApiKey:
    account, ident, name, digest, scopes, created, revoked = row
    return ApiKey(
        account_id=account,
        id=ident,
        name=name,
        hash=digest,
        scopes=tuple(Scope(scope) for scope in scopes.split()),
        created=created,
        revoked=revoked,
    )


class Keys(Base):
    """`ports.KeyStore`."""

    async def default_account(self) -> Account:
        """The account that the first start of an instance made."""
        row: Any = await self._read(lambda c: c.execute(_sql.first_account).fetchone())
        ident, name, created = row
        return Account(id=ident, name=name, created=created)

    async def create_api_key(self, account: bytes, key: ApiKey) -> None:
        """Keeps a new key."""
        values = {
            "account": account,
            "id": key.id,
            "name": key.name,
            "hash": key.hash,
            "scopes": " ".join(key.scopes),
            "created": key.created,
            "revoked": key.revoked,
        }
        await self._write(lambda c: c.execute(_sql.insert_key, values))

    async def list_api_keys(self, account: bytes) -> list[ApiKey]:
        """All keys of the account, newest first, revoked ones too."""
        rows = await self._read(lambda c: c.execute(_sql.list_keys, {"account": account}).fetchall())
        return [_key(row) for row in rows]

    async def revoke_api_key(self, account: bytes, key_id: bytes, at: int) -> bool:
        """Ends a key; False when the account has no such key that was still good."""

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.revoke_key, {"account": account, "id": key_id, "at": at})
            return connection.changes() > 0

        return await self._write(job)

    async def find_api_key(self, key_id: bytes) -> ApiKey | None:
        """The key with this id, of whichever account."""
        row = await self._read(lambda c: c.execute(_sql.find_key, {"id": key_id}).fetchone())
        return None if row is None else _key(row)
