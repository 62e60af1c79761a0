"""API keys."""

from __future__ import annotations

from typing import Any

import apsw

from ...domain.accounts import MAX_KEYS, ApiKey, AuditEvent, Caller, Scope
from ...domain.errors import Code, Conflict, LimitReached
from ...ports import Listed, Window
from . import statements
from .accounts import account_of
from .audit import write_audit
from .base import Base, cut_window, page_of

_sql = statements.load("keys")

KEY_COLUMNS = 10
_SCOPES = frozenset(str(each) for each in Scope)
"""Those that this version knows: what a later one grants beside them is nothing that could be done here."""


def _key(row: Any) -> ApiKey:
    account, ident, name, digest, scopes, created, revoked, expires, last_used, lifetime = row[:KEY_COLUMNS]
    return ApiKey(
        account_id=account,
        id=ident,
        name=name,
        hash=digest,
        scopes=tuple(Scope(scope) for scope in scopes.split() if scope in _SCOPES),
        created=created,
        revoked=revoked,
        expires=expires,
        last_used=last_used,
        lifetime=lifetime,
    )


def _insert(connection: apsw.Connection, account: bytes, key: ApiKey) -> None:
    good: Any = connection.execute(_sql.count_good, {"account": account, "at": key.created}).get
    if good >= MAX_KEYS:
        raise LimitReached(
            f"an account has at most {MAX_KEYS} active API keys: revoke one that is not used", Code.TOO_MANY_KEYS
        )
    values = {
        "account": account,
        "id": key.id,
        "name": key.name,
        "hash": key.hash,
        "scopes": " ".join(key.scopes),
        "created": key.created,
        "revoked": key.revoked,
        "expires": key.expires,
        "lifetime": key.lifetime,
    }
    connection.execute(_sql.insert_key, values)


def _revoke(connection: apsw.Connection, account: bytes, key_id: bytes, at: int, keep_admin: bool) -> bool:
    where = {"account": account, "id": key_id, "at": at}
    if keep_admin and connection.execute(_sql.is_last_admin, where).get:
        raise Conflict(
            "this is the account's last active API key with the scope admin: make another first, "
            "or revoke it with the command line (heliogram api-keys revoke)",
            Code.LAST_ADMIN_KEY,
        )
    connection.execute(_sql.revoke_key, where)
    return connection.changes() > 0


def _rotate(connection: apsw.Connection, account: bytes, key_id: bytes, successor: ApiKey, ends: int) -> bool:
    where = {"account": account, "id": key_id, "at": successor.created, "ends": ends}
    connection.execute(_sql.end_key, where)  # first: a key that ends at once makes room for its successor
    if not connection.changes():
        return False
    _insert(connection, account, successor)
    return True


class Keys(Base):
    """`ports.KeyStore`."""

    async def create_api_key(self, account: bytes, key: ApiKey, *, audit: AuditEvent | None = None) -> None:
        """Keeps a new key. Raises `LimitReached` when the account has 100 that are good at `key.created`."""

        def job(connection: apsw.Connection) -> None:
            _insert(connection, account, key)
            write_audit(connection, account, audit)

        await self._write(job)

    async def get_api_key(self, account: bytes, key_id: bytes) -> ApiKey | None:
        """A key of the account, ended ones too."""
        row = await self._read(lambda c: c.execute(_sql.get_key, {"account": account, "id": key_id}).fetchone())
        return None if row is None else _key(row)

    async def list_api_keys(self, account: bytes, window: Window) -> Listed[ApiKey]:
        """Keys of the account, newest first, ended ones too."""
        values = {"account": account, **cut_window(window)}
        rows = await self._list(lambda c: c.execute(_sql.list_keys, values).fetchall())
        return page_of([_key(row) for row in rows], window, lambda key: key.id)

    async def revoke_api_key(
        self, account: bytes, key_id: bytes, at: int, *, keep_admin: bool = False, audit: AuditEvent | None = None
    ) -> bool:
        """Ends a key; False when the account has no such key, or it was revoked before."""

        def job(connection: apsw.Connection) -> bool:
            ended = _revoke(connection, account, key_id, at, keep_admin)
            write_audit(connection, account, audit if ended else None)
            return ended

        return await self._write(job)

    async def rotate_api_key(
        self, account: bytes, key_id: bytes, successor: ApiKey, ends: int, *, audit: AuditEvent | None = None
    ) -> bool:
        """Keeps the successor of a key, which itself ends at `ends` (ms) if it would not end before."""

        def job(connection: apsw.Connection) -> bool:
            done = _rotate(connection, account, key_id, successor, ends)
            write_audit(connection, account, audit if done else None)
            return done

        return await self._write(job)

    async def renew_api_key(self, account: bytes, key: ApiKey, before: bytes) -> bool:
        """Keeps the hash of another secret of a key; False when its hash is not the one before any more."""
        values = {"account": account, "id": key.id, "hash": key.hash, "before": before}

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.renew_key, values)
            return connection.changes() > 0

        return await self._write(job)

    async def find_caller(self, key_id: bytes) -> Caller | None:
        """The key with this id, of whichever account, and that account."""
        row: Any = await self._read(lambda c: c.execute(_sql.find_caller, {"id": key_id}).fetchone())
        return None if row is None else Caller(_key(row), account_of(row[KEY_COLUMNS:]))

    async def touch_api_key(self, account: bytes, key_id: bytes, at: int) -> None:
        """Notes that a key was used; a note less than a minute after the last changes nothing."""
        values = {"account": account, "id": key_id, "at": at}
        await self._write(lambda c: c.execute(_sql.touch_key, values))

    async def prune_api_keys(self, account: bytes, before: int, *, limit: int) -> int:
        """Removes at most `limit` keys that ended before a moment (ms); how many it removed."""
        values = {"account": account, "before": before, "limit": limit}

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.prune_keys, values)
            return connection.changes()

        return await self._write(job)
