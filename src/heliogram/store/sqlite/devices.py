"""Registering a device, as one job of the writer: who has the token now, which slot it gets, who must leave."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw
import msgspec

from ...domain.apps import Environment
from ...domain.devices import MAX_DEVICES, NewDevice, Registered
from ...domain.errors import Code, NotFound
from ...domain.ids import MAX_SLOT, USER, encode
from . import statements

_sql = statements.load("registrations")

ALL_SLOTS = bytes(range(1, MAX_SLOT + 1))


class _Known(NamedTuple):
    """A device that has the token already."""

    registration: bytes
    user: bytes
    slot: int
    environment: str
    registered_at: int
    created: int


class FreshIds(msgspec.Struct, frozen=True):
    """Ids for what registering may have to make."""

    user: bytes
    registration: bytes


def register(connection: apsw.Connection, account: bytes, new: NewDevice, at: int, fresh: FreshIds) -> Registered:
    """Adds a device to a user's registration, or renews it. Without a user, a known token stays with the user who
    has it: registering twice must not leave a user without devices behind."""
    where: dict[str, Any] = {
        "account": account,
        "app": new.app_name,
        "token": new.token,
        "provider": new.provider.value,
        "kind": new.kind.value,
        "user": new.user_id,
        "at": at,
    }
    if connection.execute(_sql.app_exists, where).get is None:
        raise NotFound("app", new.app_name, path="$.appName", code=Code.UNKNOWN_APP)
    if new.user_id is not None and connection.execute(_sql.user_exists, where).get is None:
        raise NotFound("user", encode(USER, new.user_id), path="$.userId", code=Code.UNKNOWN_USER)
    known = _known(connection, where, new)
    where["environment"] = new.environment.value if new.environment is not None else known.environment if known else ""
    if known is not None and new.user_id in (None, known.user):
        here = {"account": account, "registration": known.registration, "slot": known.slot, "at": at}
        connection.execute(_sql.renew_device, {**here, "environment": where["environment"]})
        connection.execute(_sql.touch_registration, here)
        return Registered(registration_id=known.registration, user_id=known.user, slot=known.slot)
    where["created"] = at
    if known is not None:
        where["created"] = known.created
        take_out(connection, account, known.registration, known.slot, at)
    if new.user_id is None:
        where["user"] = fresh.user
        connection.execute(_sql.insert_user, where)
    return _add(connection, where, fresh, created_user=new.user_id is None)


def _known(connection: apsw.Connection, where: dict[str, Any], new: NewDevice) -> _Known | None:
    """The device that this registration is about. A token of unknown environment is the same device as the one
    whose environment became known; a token in both environments is two devices, of which the later answers for
    a registration that names none, and production's when both came at the same moment."""
    rows: Any = connection.execute(_sql.same_token, where).fetchall()
    devices = [_Known(*row) for row in rows]
    wanted = "" if new.environment is None else new.environment.value
    for device in devices:
        if device.environment == wanted:
            return device
    if wanted:
        return next((device for device in devices if device.environment == ""), None)
    production = Environment.PRODUCTION.value
    return max(devices, key=lambda device: (device.registered_at, device.environment == production), default=None)


def _add(connection: apsw.Connection, where: dict[str, Any], fresh: FreshIds, *, created_user: bool) -> Registered:
    """Puts the device into the oldest free slot of the user's registration."""
    found: Any = None if created_user else connection.execute(_sql.find_registration, where).fetchone()
    displaced: bytes | None = None
    if found is None:
        where["registration"], free = fresh.registration, ALL_SLOTS
        where["free"] = free[1:]
        connection.execute(_sql.insert_registration, where)
    else:
        where["registration"], free = found
        if len(ALL_SLOTS) - len(free) >= MAX_DEVICES:
            oldest: Any = connection.execute(_sql.oldest_device, where).fetchone()
            slot, displaced = oldest
            connection.execute(_sql.delete_device, {**where, "slot": slot})
            free += bytes([slot])
        where["free"] = free[1:]
        connection.execute(_sql.set_free_slots, where)
    where["slot"] = free[0]
    connection.execute(_sql.insert_device, where)
    return Registered(
        registration_id=where["registration"],
        user_id=where["user"],
        slot=free[0],
        created_user=created_user,
        displaced=displaced,
    )


def take_out(connection: apsw.Connection, account: bytes, registration: bytes, slot: int, at: int) -> None:
    """Removes a device and gives its slot back; a registration without devices goes too."""
    where: dict[str, Any] = {"account": account, "registration": registration, "slot": slot, "at": at}
    connection.execute(_sql.delete_device, where)
    free: Any = connection.execute(_sql.free_slots, where).get
    if len(free) + 1 == len(ALL_SLOTS):
        connection.execute(_sql.delete_registration, where)
    else:
        connection.execute(_sql.set_free_slots, {**where, "free": free + bytes([slot])})
