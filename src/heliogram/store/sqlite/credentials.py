"""Credentials while they are in use: defaults, rotation, revocation, and the end of certificates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import msgspec

from ...domain import ids
from ...domain.accounts import AuditEvent
from ...domain.apps import WARN_DAYS, Credential, CredentialCheck, CredentialState, key_of
from ...domain.errors import Code, Conflict
from ...domain.webhooks import EventType
from . import statements
from .apps import clear_default, credential_of, get, promote_default, touch_app
from .audit import write_audit
from .base import Base
from .events import emit

_sql = statements.load("credentials")

DAY_MS = 86_400_000


def _good(connection: apsw.Connection, account: bytes, credential_id: bytes) -> Credential | None:
    """The credential, if there is one. Raises `Conflict` for one that was revoked."""
    found = get(connection, account, credential_id)
    if found is not None and found.revoked is not None:
        raise Conflict("this credential was revoked: upload a new one", Code.CREDENTIAL_REVOKED)
    return found


def _make_default_app(
    connection: apsw.Connection, account: bytes, name: str, at: int, audit: AuditEvent | None
) -> bool:
    where = {"account": account, "app": name, "at": at}
    is_default = connection.execute(_sql.app_is_default, where).get
    if is_default is None:
        return False
    if not is_default:
        connection.execute(_sql.clear_default_app, where)
        connection.execute(_sql.make_default_app, where)
        write_audit(connection, account, audit)
    return True


def _make_default(
    connection: apsw.Connection, account: bytes, credential_id: bytes, at: int, audit: AuditEvent | None
) -> Credential | None:
    found = _good(connection, account, credential_id)
    if found is None or found.is_default:
        return found
    clear_default(connection, found, at)
    connection.execute(_sql.make_default_credential, {"account": account, "id": credential_id, "at": at})
    touch_app(connection, account, found.app_name, at)
    write_audit(connection, account, audit)
    return get(connection, account, credential_id)


def _rotate(
    connection: apsw.Connection, account: bytes, credential_id: bytes, public: dict[str, Any], sealed: bytes, at: int
) -> Credential | None:
    if _good(connection, account, credential_id) is None:
        return None
    values = {
        "account": account,
        "id": credential_id,
        "public": msgspec.json.encode(public).decode(),
        "sealed": sealed,
        "at": at,
    }
    connection.execute(_sql.rotate, values)
    return get(connection, account, credential_id)


def _reconnect(connection: apsw.Connection, account: bytes, credential_id: bytes, at: int) -> Credential | None:
    if _good(connection, account, credential_id) is None:
        return None
    connection.execute(_sql.reconnect, {"account": account, "id": credential_id, "at": at})
    return get(connection, account, credential_id)


def _revoke(connection: apsw.Connection, account: bytes, credential_id: bytes, at: int) -> list[Credential] | None:
    found = get(connection, account, credential_id)
    if found is None:
        return None
    if found.revoked is not None:
        return []
    values = {"account": account, "id": credential_id, "key": key_of(found)}
    same = [credential_of(row) for row in connection.execute(_sql.same_key, values).fetchall()]
    for each in same:
        connection.execute(_sql.revoke, {"account": account, "id": each.id, "at": at})
        touch_app(connection, account, each.app_name, at)
    for each in same:
        if each.is_default:
            promote_default(connection, each, at)
    return [msgspec.structs.replace(each, revoked=at, is_default=False, updated=at) for each in same]


def _warn(connection: apsw.Connection, now: int) -> list[tuple[Credential, int]]:
    told: dict[bytes, tuple[Credential, int]] = {}
    for days in WARN_DAYS:  # the least last: of a certificate that was away for long, only that is told
        rows = connection.execute(_sql.ending, {"before": now + days * DAY_MS, "days": days}).fetchall()
        for row in rows:
            credential = credential_of(row)
            told[credential.id] = credential, days
            connection.execute(_sql.warn, {"account": credential.account_id, "id": credential.id, "days": days})
    for credential, days in told.values():
        _emit(connection, EventType.CREDENTIAL_EXPIRING, credential, now, expiresInDays=days)
    return list(told.values())


def _tell_of_failing(connection: apsw.Connection, account: bytes, credential_id: bytes, reason: str, at: int) -> bool:
    found = get(connection, account, credential_id)
    return found is not None and _emit(connection, EventType.CREDENTIAL_FAILING, found, at, reason=reason)


def _emit(connection: apsw.Connection, type_: EventType, credential: Credential, at: int, **more: Any) -> bool:
    data: dict[str, Any] = {
        "credentialId": ids.encode(ids.CREDENTIAL, credential.id),
        "appName": credential.app_name,
        "credentialType": credential.type.value,
        **more,
    }
    return emit(connection, credential.account_id, type_, at, data)


class Credentials(Base):
    """`ports.CredentialStore`."""

    async def make_default_app(self, account: bytes, name: str, at: int, *, audit: AuditEvent | None = None) -> bool:
        """Makes an app the account's default; False when there is none of that name."""
        return await self._write(lambda c: _make_default_app(c, account, name, at, audit))

    async def make_default_credential(
        self, account: bytes, credential_id: bytes, at: int, *, audit: AuditEvent | None = None
    ) -> Credential | None:
        """Makes it the default of its app and type. Raises `Conflict` for a revoked one."""
        return await self._write(lambda c: _make_default(c, account, credential_id, at, audit))

    async def rotate_credential(
        self,
        account: bytes,
        credential_id: bytes,
        *,
        public: dict[str, Any],
        sealed: bytes,
        at: int,
        audit: Callable[[Credential], AuditEvent] | None = None,
    ) -> Credential | None:
        """New content under the same id. Raises `Conflict` for a revoked one."""

        def job(connection: apsw.Connection) -> Credential | None:
            rotated = _rotate(connection, account, credential_id, public, sealed, at)
            if audit is not None and rotated is not None:
                write_audit(connection, account, audit(rotated))
            return rotated

        return await self._write(job)

    async def reconnect_credential(
        self, account: bytes, credential_id: bytes, at: int, *, audit: AuditEvent | None = None
    ) -> Credential | None:
        """Counts its epoch up. Raises `Conflict` for a revoked one."""

        def job(connection: apsw.Connection) -> Credential | None:
            found = _reconnect(connection, account, credential_id, at)
            write_audit(connection, account, None if found is None else audit)
            return found

        return await self._write(job)

    async def revoke_credential(
        self,
        account: bytes,
        credential_id: bytes,
        at: int,
        *,
        audit: Callable[[Credential], AuditEvent] | None = None,
    ) -> list[Credential] | None:
        """Ends it, and every other credential of the account with the same key."""

        def job(connection: apsw.Connection) -> list[Credential] | None:
            ended = _revoke(connection, account, credential_id, at)
            if audit is not None:
                for each in ended or ():
                    write_audit(connection, account, audit(each))
            return ended

        return await self._write(job)

    async def note_check(self, account: bytes, credential_id: bytes, revision: int, check: CredentialCheck) -> None:
        """Keeps what the provider said of this content of the credential."""
        values = {
            "account": account,
            "id": credential_id,
            "revision": revision,
            "check": msgspec.json.encode(check).decode(),
        }
        await self._write(lambda c: c.execute(_sql.note_check, values))

    async def credential_states(self, account: bytes) -> dict[bytes, CredentialState]:
        """What the connections of the account's credentials must follow."""
        rows: Any = await self._read(lambda c: c.execute(_sql.states, {"account": account}).fetchall())
        return {ident: CredentialState(*rest) for ident, *rest in rows}

    async def warn_of_ending_credentials(self, now: int) -> list[tuple[Credential, int]]:
        """Certificates of every account that end within 30, 7 or 1 days, each told once for each of these."""
        return await self._write(lambda c: _warn(c, now))

    async def tell_of_failing_credential(self, account: bytes, credential_id: bytes, *, reason: str, at: int) -> bool:
        """Writes the event down, if a webhook wants it."""
        return await self._write(lambda c: _tell_of_failing(c, account, credential_id, reason, at))
