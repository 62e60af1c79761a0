"""Apps and credentials. An app is born with its first credential and dies with its last."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ...domain.accounts import AuditEvent
from ...domain.apps import (
    App,
    Credential,
    CredentialCheck,
    CredentialForm,
    CredentialType,
    DefaultCredential,
)
from ...domain.errors import Code, Conflict, LimitReached
from ...domain.webhooks import EventType
from ...ports import Listed, Window
from ...ports.apps import MOST_USERS
from . import statements
from .accounts import limits_of
from .audit import write_audit
from .base import Base, bad_cursor, cut_window, nobodys, page_of
from .events import emit
from .history import forget_app

_sql = statements.load("apps")

SLICE = 200
"""The most registrations that one write removes with an app: no other write waits long for it. An app that has fewer
goes at once."""


def credential_of(row: Any) -> Credential:
    """The credential of a row that begins with its thirteen columns."""
    account, ident, app_name, kind, form, public, is_default, created, updated, revision, epoch, revoked, check = row[
        :13
    ]
    return Credential(
        account_id=account,
        id=ident,
        app_name=app_name,
        type=CredentialType(kind),
        form=CredentialForm(form),
        public=msgspec.json.decode(public),
        is_default=bool(is_default),
        created=created,
        updated=updated,
        revision=revision,
        epoch=epoch,
        revoked=revoked,
        last_check=None if check is None else msgspec.json.decode(check, type=CredentialCheck),
    )


def get(connection: apsw.Connection, account: bytes, credential_id: bytes) -> Credential | None:
    """The credential with this id, if the account has it."""
    row = connection.execute(_sql.get_credential, {"account": account, "id": credential_id}).fetchone()
    return None if row is None else credential_of(row)


def touch_app(connection: apsw.Connection, account: bytes, name: str, at: int) -> None:
    """Something about the app's credentials has changed."""
    connection.execute(_sql.touch_app, {"account": account, "app": name, "at": at})


def clear_default(connection: apsw.Connection, like: Credential, at: int) -> None:
    """No credential of this one's app and type is the default any more."""
    connection.execute(_sql.clear_default, _where(like, at))


def promote_default(connection: apsw.Connection, like: Credential, at: int) -> None:
    """The oldest good credential of this one's app and type becomes the default, if there is one."""
    connection.execute(_sql.promote_oldest_credential, _where(like, at))


def _where(like: Credential, at: int) -> dict[str, Any]:
    return {"account": like.account_id, "app": like.app_name, "type": like.type.value, "at": at}


def _create(connection: apsw.Connection, account: bytes, new: Credential, sealed: bytes) -> Credential:
    where = {"account": account, "app": new.app_name, "type": new.type.value, "at": new.created}
    limits = limits_of(connection, account)
    known: Any = connection.execute(_sql.app_exists, where).get
    if known == 0:
        raise Conflict(
            f"the app {new.app_name!r} is being removed with its devices, which takes some minutes: try again later, or"
            " give the app another name",
            Code.APP_LEAVING,
            path="$.appName",
        )
    if known is None:
        apps: Any = connection.execute(_sql.count_apps, where).get
        if apps >= limits.apps:
            raise LimitReached(
                f"the account has its {limits.apps} apps: delete all credentials of another app first",
                Code.TOO_MANY_APPS,
            )
        connection.execute(_sql.insert_app, {**where, "default": apps == 0})
    counts: Any = connection.execute(_sql.count_credentials, where).fetchone()
    total, of_type = counts
    if total >= limits.credentials_per_app:
        raise LimitReached(
            f"the app {new.app_name!r} has its {limits.credentials_per_app} credentials: delete one first",
            Code.TOO_MANY_CREDENTIALS,
        )
    is_default = new.is_default or of_type == 0
    if is_default:
        connection.execute(_sql.clear_default, where)
    values = {
        **where,
        "id": new.id,
        "form": new.form.value,
        "public": msgspec.json.encode(new.public).decode(),
        "sealed": sealed,
        "default": is_default,
        "created": new.created,
        "updated": new.updated,
        "revision": new.revision,
        "epoch": new.epoch,
        "revoked": new.revoked,
    }
    connection.execute(_sql.insert_credential, values)
    connection.execute(_sql.touch_app, where)
    return msgspec.structs.replace(new, account_id=account, is_default=is_default)


def _delete(connection: apsw.Connection, account: bytes, credential_id: bytes, at: int) -> bool:
    found: Any = connection.execute(_sql.credential_to_delete, {"account": account, "id": credential_id}).fetchone()
    if found is None:
        return False
    app_name, is_only = found
    where = {"account": account, "app": app_name, "at": at}
    gone: Any = connection.execute(_sql.delete_credential, {"account": account, "id": credential_id}).fetchall()
    _, kind, was_default = gone[0]
    if is_only:
        emit(connection, account, EventType.APP_DELETED, at, lambda: _deleted(connection, where))
        connection.execute(_sql.leave_app, where)
        connection.execute(_sql.promote_oldest_app, where)
        _remove_some(connection, where)
        return True
    if was_default:
        connection.execute(_sql.promote_oldest_credential, {**where, "type": kind})
    connection.execute(_sql.touch_app, where)
    return True


def _deleted(connection: apsw.Connection, where: dict[str, Any]) -> dict[str, Any]:
    """What webhooks are told: one event for the app, which may have a million devices, and none for each of these."""
    return {"appName": where["app"], "registrations": _users_of(connection, where)}


def _users_of(connection: apsw.Connection, where: dict[str, Any]) -> int:
    """How many registrations an app has, at most `MOST_USERS`: each is another user's."""
    counted: Any = connection.execute(_sql.count_users, {**where, "most": MOST_USERS}).get
    return int(counted)


def _remove_some(connection: apsw.Connection, where: dict[str, Any]) -> int:
    """Removes at most `SLICE` of an app's registrations with their devices, of the devices' history after these, and
    the app when that was the last; how many rows that were, but for devices."""
    some = {**where, "limit": SLICE}
    connection.execute(_sql.some_app_devices, some)
    connection.execute(_sql.some_app_registrations, some)
    count = connection.changes()
    if count < SLICE:
        count += forget_app(connection, where["account"], where["app"], SLICE - count)
    if count == SLICE:
        return count
    connection.execute(_sql.delete_app, where)
    return count + 1


def _remove_leaving(connection: apsw.Connection) -> int:
    row: Any = connection.execute(_sql.first_leaving_app).fetchone()
    return 0 if row is None else _remove_some(connection, {"account": row[0], "app": row[1]})


def _apps(connection: apsw.Connection, account: bytes) -> list[App]:
    """All apps, newest first."""
    apps: dict[str, App] = {}
    rows: Any = connection.execute(_sql.select_apps, {"account": account}).fetchall()
    for name, is_default, created, updated, kind, credential_id in rows:
        known = apps.get(name)
        defaults = known.default_credentials if known else ()
        if kind is not None:
            defaults += (DefaultCredential(CredentialType(kind), credential_id),)
        apps[name] = App(
            account_id=account,
            name=name,
            is_default=bool(is_default),
            default_credentials=defaults,
            created=created,
            updated=updated,
        )
    return list(apps.values())


def app_of(connection: apsw.Connection, account: bytes, name: str | None) -> App | None:
    """The account's app of that name, or its default app; None when it has none."""
    found = (app for app in _apps(connection, account) if (app.is_default if name is None else app.name == name))
    return next(found, None)


def _app_cursor(app: App) -> bytes:
    return app.created.to_bytes(8, "big") + app.name.encode()


class Apps(Base):
    """`ports.AppStore`."""

    async def create_credential(
        self, account: bytes, credential: Credential, sealed: bytes, *, audit: AuditEvent | None = None
    ) -> Credential:
        """Keeps a credential, and makes its app if this is the first. Raises `LimitReached`."""

        def job(connection: apsw.Connection) -> Credential:
            made = _create(connection, account, credential, sealed)
            write_audit(connection, account, audit)
            return made

        return await self._write(job)

    async def get_credential(self, account: bytes, credential_id: bytes) -> Credential | None:
        """A credential without its secret."""
        found = await self.sealed_credential(account, credential_id)
        return None if found is None else found[0]

    async def sealed_credential(self, account: bytes, credential_id: bytes) -> tuple[Credential, bytes] | None:
        """A credential and its sealed secret."""
        values = {"account": account, "id": credential_id}
        row: Any = await self._read(lambda c: c.execute(_sql.get_credential, values).fetchone())
        return None if row is None else (credential_of(row), row[13])

    async def list_credentials(
        self,
        account: bytes,
        window: Window,
        *,
        app_name: str | None = None,
        type: CredentialType | None = None,  # noqa: A002 - the port's name
        is_default: bool | None = None,
    ) -> Listed[Credential]:
        """Credentials, newest first."""
        if nobodys(app_name):
            return Listed(items=(), next=None)
        values = {
            "account": account,
            "app": app_name,
            "type": None if type is None else type.value,
            "default": is_default,
            **cut_window(window),
        }
        rows = await self._read(lambda c: c.execute(_sql.list_credentials, values).fetchall())
        return page_of([credential_of(row) for row in rows], window, lambda credential: credential.id)

    async def delete_credential(
        self, account: bytes, credential_id: bytes, at: int, *, audit: AuditEvent | None = None
    ) -> bool:
        """Removes it; with an app's last credential goes the app. Its device registrations are seen by nobody from then
        on; `remove_leaving_apps` removes those that are more than one slice."""

        def job(connection: apsw.Connection) -> bool:
            gone = _delete(connection, account, credential_id, at)
            write_audit(connection, account, audit if gone else None)
            return gone

        return await self._write(job)

    async def remove_leaving_apps(self) -> int:
        """Removes at most `SLICE` registrations of apps that are being removed."""
        return await self._write(_remove_leaving, long=True)

    async def get_app(self, account: bytes, name: str) -> App | None:
        """An app."""
        return await self._read(lambda c: app_of(c, account, name))

    async def count_users(self, account: bytes, name: str) -> int:
        """How many users have devices in an app, at most `MOST_USERS`."""
        where = {"account": account, "app": name}
        return await self._list(lambda c: _users_of(c, where))

    async def default_app(self, account: bytes) -> App | None:
        """The account's default app, None while it has none."""
        return await self._read(lambda c: app_of(c, account, None))

    async def list_apps(self, account: bytes, window: Window, *, is_default: bool | None = None) -> Listed[App]:
        """Apps, newest first."""
        if window.after is not None and len(window.after) < 9:
            raise bad_cursor()
        apps = await self._read(lambda c: _apps(c, account))
        wanted = [
            app
            for app in apps
            if (is_default is None or app.is_default is is_default)
            and (window.start is None or app.created >= window.start)
            and (window.end is None or app.created < window.end)
            and (window.after is None or _app_cursor(app) < window.after)
        ]
        return page_of(wanted, window, _app_cursor)
