"""Users, by id or by the caller's own name for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from ...domain.devices import NewDevice, User
from ...domain.errors import Code, Conflict, NotFound
from ...domain.history import DeviceEvent
from ...domain.ids import USER, encode
from ...domain.lookups import Wanted
from ...ports import Listed, Window
from . import statements
from .base import Base, cut_window, nobodys, page_of
from .history import forget_user
from .slots import Place, give_back, remove

_sql = statements.load("users")
_registrations = statements.load("registrations")

USER_DELETED = "UserDeleted"


def _user(row: Any) -> User:
    account, ident, created, updated, deleted, external_id = row
    return User(
        account_id=account, id=ident, created=created, updated=updated, deleted=deleted, external_id=external_id
    )


def owner_of(
    connection: apsw.Connection, where: dict[str, Any], new: NewDevice, current: bytes | None, fresh: bytes
) -> tuple[bytes, bool]:
    """The user that a registration is for, and whether it was made for it with the id `fresh`. `current` is who has
    the token now."""
    if new.external_id is not None:
        return _named(connection, where, new, fresh)
    if new.user_id is None:
        if current is not None:
            return current, False
        connection.execute(_sql.insert_user, {**where, "user": fresh, "external": None})
        return fresh, True
    if new.user_id != current and connection.execute(_sql.user_exists, {**where, "user": new.user_id}).get is None:
        raise _unknown(new.user_id)
    return new.user_id, False


def _named(connection: apsw.Connection, where: dict[str, Any], new: NewDevice, fresh: bytes) -> tuple[bytes, bool]:
    """The user with the external id: the one that has it, the one that gets it, or a new one."""
    row: Any = connection.execute(_sql.named_user, {**where, "external": new.external_id}).fetchone()
    found = None if row is None else _user(row)
    if new.user_id is None:
        if found is not None:
            return found.id, False
        connection.execute(_sql.insert_user, {**where, "user": fresh, "external": new.external_id})
        return fresh, True
    if found is not None and found.id == new.user_id:
        return found.id, False
    row = connection.execute(_sql.get_user, {**where, "user": new.user_id}).fetchone()
    if row is None or _user(row).deleted is not None:
        raise _unknown(new.user_id)
    if found is not None:
        raise _taken()
    if _user(row).external_id is not None:
        message = "the user with this userId has another externalId: leave one of the two out, or change the externalId"
        raise Conflict(f"{message} with PATCH /PushNotifications/Users", Code.EXTERNAL_ID_TAKEN, path="$.externalId")
    connection.execute(_sql.name_user, {**where, "user": new.user_id, "external": new.external_id})
    return new.user_id, False


def _unknown(user_id: bytes) -> NotFound:
    return NotFound("user", encode(USER, user_id), path="$.userId", code=Code.UNKNOWN_USER)


def _taken() -> Conflict:
    message = "another user of this account has this externalId: name that user, or choose another externalId"
    return Conflict(message, Code.EXTERNAL_ID_TAKEN, path="$.externalId")


def empty_registration(
    connection: apsw.Connection, account: bytes, registration: bytes, at: int, reason: str, past: DeviceEvent | None
) -> int:
    """Removes a registration with all its devices; how many these were. `past` as for `slots.remove`."""
    where = {"account": account, "registration": registration}
    rows: Any = connection.execute(_registrations.devices, where).fetchall()
    for slot, *_ in rows:
        place = Place(registration, slot)
        remove(connection, account, place, at, reason, past)
        give_back(connection, account, place, at)
    return len(rows)


class Users(Base):
    """`ports.UserStore`."""

    async def get_user(self, account: bytes, user_id: bytes) -> User | None:
        """A user, deleted ones too."""
        where = {"account": account, "user": user_id}
        row = await self._read(lambda c: c.execute(_sql.get_user, where).fetchone())
        return None if row is None else _user(row)

    async def list_users(self, account: bytes, window: Window, *, external_id: str | None = None) -> Listed[User]:
        """Users, newest first; with `external_id` the one that has it."""
        where: dict[str, Any] = {"account": account, **cut_window(window)}
        if nobodys(external_id):
            return Listed(items=(), next=None)
        if external_id is None:
            rows: Any = await self._read(lambda c: c.execute(_sql.list_users, where).fetchall())
        else:
            named = {"account": account, "external": external_id}
            rows = await self._read(lambda c: c.execute(_sql.named_user, named).fetchall())
            rows = [row for row in rows if where["low"] <= row[1] < where["before"]]
        return page_of([_user(row) for row in rows], window, lambda user: user.id)

    async def users_by_external_id(self, account: bytes, external_ids: Iterable[str]) -> dict[str, bytes]:
        """The users with these external ids."""
        wanted = {name for name in external_ids if "\0" not in name}  # nobody is called so, and carray takes none
        if not wanted:
            return {}
        values = {"account": account, "names": self._array(sorted(wanted))}
        rows: Any = await self._read(lambda c: c.execute(_sql.named_users, values).fetchall())
        return dict(rows)

    async def ensure_user(self, account: bytes, external_id: str, at: int) -> bytes:
        """The user with this external id; made if nobody has it."""
        fresh = self._ids.new()
        where = {"account": account, "external": external_id, "user": fresh, "at": at}

        def job(connection: apsw.Connection) -> bytes:
            row: Any = connection.execute(_sql.named_user, where).fetchone()
            if row is not None:
                return _user(row).id
            connection.execute(_sql.insert_user, where)
            return fresh

        return await self._write(job)

    async def missing_users(self, account: bytes, user_ids: Iterable[bytes]) -> set[bytes]:
        """Which of these the account does not have (deleted ones count as missing)."""
        wanted = set(user_ids)
        if not wanted:
            return wanted
        values = {"account": account, "users": self._array(sorted(wanted))}
        rows: Any = await self._read(lambda c: c.execute(_sql.missing_users, values).fetchall())
        return {missing for (missing,) in rows}

    async def look_ahead(self, account: bytes, wanted: Wanted) -> set[bytes]:
        """`missing_users` of those that are wanted."""
        return await self.missing_users(account, wanted.users)

    async def name_user(self, account: bytes, user_id: bytes, external_id: str | None, at: int) -> bool:
        """Gives a user an external id, another one, or none. Raises `Conflict` when another user has it."""
        where = {"account": account, "user": user_id, "external": external_id, "at": at}

        def job(connection: apsw.Connection) -> bool:
            row: Any = None if external_id is None else connection.execute(_sql.named_user, where).fetchone()
            if connection.execute(_sql.user_exists, where).get is None:
                return False
            if row is not None and _user(row).id != user_id:
                raise _taken()
            connection.execute(_sql.name_user, where)
            return True

        return await self._write(job)

    async def delete_user(self, account: bytes, user_id: bytes, at: int) -> bool:
        """Marks a user as deleted and removes its registrations in all apps, and what happened to its devices."""
        where = {"account": account, "user": user_id, "at": at}

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.mark_deleted, where)
            if not connection.changes():
                return False
            rows: Any = connection.execute(_sql.registrations_of_user, where).fetchall()
            for (registration,) in rows:
                empty_registration(connection, account, registration, at, USER_DELETED, None)
            forget_user(connection, account, user_id)
            return True

        return await self._write(job)
