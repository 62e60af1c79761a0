"""Registering a device, as one job of the writer: who has the token now, which slot it gets, who must leave."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import apsw
import msgspec

from ...domain.apps import CredentialForm, Environment, ProviderName
from ...domain.devices import MAX_DEVICES, DeviceState, NewDevice, Registered
from ...domain.errors import Code, Conflict, NotFound
from ...domain.history import DeviceEvent
from ...domain.webhooks import EventType
from . import statements
from .history import Seat, Token, note
from .refused import forget_token
from .slots import ALL_SLOTS, Place, give_back, remove, take_out
from .users import owner_of

_sql = statements.load("registrations")

MOVED = "MovedToOtherUser"
REPLACED = "ReplacedByInstallation"
_UNKNOWN = ""


class _Known(NamedTuple):
    """A device there is already, with the token or of the installation."""

    app: str
    provider: str
    kind: str
    registration: bytes
    user: bytes
    slot: int
    environment: str
    learned: int
    state: str
    installation: str | None
    activity: str | None
    registered_at: int
    token: bytes
    created: int

    @property
    def place(self) -> Place:
        return Place(self.registration, self.slot)

    @property
    def indexed(self) -> tuple[str, int, str | None, str | None]:
        """What indexes hold, and a registration may change."""
        return self.environment, self.learned, self.installation, self.activity


class FreshIds(msgspec.Struct, frozen=True):
    """Ids for what registering may have to make."""

    user: bytes
    registration: bytes


def register(connection: apsw.Connection, account: bytes, new: NewDevice, at: int, fresh: FreshIds) -> Registered:
    """Adds a device to a user's registration, or renews it. Without a user, a known token or installation stays with
    the user who has it: registering twice must not leave a user without devices behind."""
    where = values_of(account, new, at)
    if connection.execute(_sql.app_exists, where).get is None:  # of one that is being removed there may be devices left
        raise NotFound("app", new.app_name, path="$.appName", code=Code.UNKNOWN_APP)
    rows: Any = connection.execute(_sql.same_token, where).fetchall()
    same = [_Known(*row) for row in rows]
    known = _which(same, new)
    forget_token(connection, where)
    if known is None or known.state != DeviceState.ACTIVE:
        _admit(connection, where, new, same)
    holder = _holder(connection, where, known)
    current = known or holder
    user, made = owner_of(connection, where, new, None if current is None else current.user, fresh.user)
    where["user"] = user
    _leave(connection, where, [d for d in _alike(same, new) if d is not known and (holder is None or d != holder)])
    place, replaced = _clear(connection, where, known, holder)
    displaced: bytes | None = None
    if known is not None and known.user == user:
        place = known.place
    elif place is None:
        place, displaced = _room(connection, where, fresh.registration, made=made)
    if known is None:
        connection.execute(_sql.insert_device, {**where, "registration": place.registration, "slot": place.slot})
    else:
        _renew(connection, where, new, known, place)
    return Registered(
        registration_id=place.registration,
        user_id=user,
        slot=place.slot,
        created_user=made,
        displaced=displaced,
        replaced=replaced,
    )


def values_of(account: bytes, new: NewDevice, at: int) -> dict[str, Any]:
    """What is said of the device, for statements."""
    return {
        "account": account,
        "app": new.app_name,
        "token": new.token,
        "provider": new.provider.value,
        "kind": new.kind.value,
        "environment": _UNKNOWN if new.environment is None else new.environment.value,
        "installation": new.installation_id,
        "activity": new.activity_id,
        "app_version": new.app_version,
        "locale": new.locale,
        "time_zone": new.time_zone,
        "at": at,
    }


def _which(same: list[_Known], new: NewDevice) -> _Known | None:
    """The device that this registration is about. A token of unknown environment is the same device as the one
    whose environment became known, and what the app says goes before what was learned; a token in both environments
    is two devices, of which the later answers for a registration that names none, and production's when both came at
    the same moment."""
    devices = _alike(same, new)
    if new.environment is not None:
        exact = next((device for device in devices if device.environment == new.environment.value), None)
        return exact or next((d for d in devices if d.environment == _UNKNOWN or d.learned), None)
    production = Environment.PRODUCTION.value
    return max(devices, key=lambda device: (device.registered_at, device.environment == production), default=None)


def _alike(same: list[_Known], new: NewDevice) -> list[_Known]:
    """The devices with the token that differ in their environment alone."""
    return [d for d in same if (d.app, d.provider, d.kind) == (new.app_name, new.provider.value, new.kind.value)]


def _leave(connection: apsw.Connection, where: dict[str, Any], twins: list[_Known]) -> None:
    """Takes the token from other users in the other environment, too: it is one phone's, and that is this user's now
    (LIFE-3). Left there, what is for them would ring here."""
    for twin in twins:
        if twin.user != where["user"]:
            take_out(connection, where["account"], twin.place, where["at"], MOVED, DeviceEvent.MOVED_AWAY)


def _holder(connection: apsw.Connection, where: dict[str, Any], known: _Known | None) -> _Known | None:
    """Another device that is the installation's token of this kind and activity."""
    installation, activity = where["installation"], where["activity"]
    if known is not None:
        installation, activity = installation or known.installation, activity or known.activity
        if (installation, activity) == (known.installation, known.activity):
            return None
    if installation is None:
        return None
    wanted = {**where, "installation": installation, "activity": activity}
    row: Any = connection.execute(_sql.same_installation, wanted).fetchone()
    return None if row is None else _Known(*row)


def _clear(
    connection: apsw.Connection, where: dict[str, Any], known: _Known | None, holder: _Known | None
) -> tuple[Place | None, bytes | None]:
    """Takes the installation's older token out. Its slot is for the new one, unless that has one with this user, or
    the installation was another user's."""
    if holder is None:
        return None, None
    account, at, token = where["account"], where["at"], where["token"]
    if holder.user != where["user"]:
        take_out(connection, account, holder.place, at, REPLACED, DeviceEvent.MOVED_AWAY)
        return None, holder.token
    if known is not None and known.user == holder.user:
        take_out(connection, account, holder.place, at, REPLACED, DeviceEvent.TOKEN_CHANGED, successor=token)
        return None, holder.token
    remove(connection, account, holder.place, at, REPLACED, DeviceEvent.TOKEN_CHANGED, successor=token)
    connection.execute(_sql.touch_registration, {"account": account, "registration": holder.registration, "at": at})
    return holder.place, holder.token


def _renew(connection: apsw.Connection, where: dict[str, Any], new: NewDevice, known: _Known, place: Place) -> None:
    """The device as the app now tells it, in its place."""
    account, at = where["account"], where["at"]
    named = new.environment is not None
    now = {
        **where,
        "environment": where["environment"] if named else known.environment,
        "learned": 0 if named else known.learned,
        "installation": new.installation_id or known.installation,
        "activity": new.activity_id or known.activity,
        "registration": place.registration,
        "slot": place.slot,
    }
    if place != known.place:
        moved = {"to_registration": place.registration, "to_slot": place.slot, "at": at}
        old = {"account": account, "registration": known.registration, "slot": known.slot}
        connection.execute(_sql.move_device, {**old, **moved})
        give_back(connection, account, known.place, at, (now, EventType.DEVICE_REMOVED, MOVED))
        _moved(connection, where, known, place)
    elif known.state != DeviceState.ACTIVE:
        seat = Seat(known.app, known.user, known.slot)
        note(connection, account, seat, _token(known, now["environment"]), DeviceEvent.REVIVED, at)
    if (now["environment"], now["learned"], now["installation"], now["activity"]) != known.indexed:
        connection.execute(_sql.place_device, now)
    connection.execute(_sql.renew_device, now)
    connection.execute(_sql.touch_registration, now)


def _moved(connection: apsw.Connection, where: dict[str, Any], known: _Known, place: Place) -> None:
    """A token went from one user to another. Neither's history names the other."""
    account, at, token = where["account"], where["at"], _token(known, known.environment)
    left, came = Seat(known.app, known.user, known.slot), Seat(known.app, where["user"], place.slot)
    times = {"first_registered": known.created, "last_registered": known.registered_at}
    note(connection, account, left, token, DeviceEvent.MOVED_AWAY, at, **times)
    note(connection, account, came, token, DeviceEvent.MOVED_HERE, at)


def _token(known: _Known, environment: str) -> Token:
    return Token(known.provider, known.kind, environment, known.token)


def _room(
    connection: apsw.Connection, where: dict[str, Any], fresh: bytes, *, made: bool
) -> tuple[Place, bytes | None]:
    """The oldest free slot of the user's registration, taken; the token that left for it, if there were 50."""
    found: Any = None if made else connection.execute(_sql.find_registration, where).fetchone()
    if found is None:
        connection.execute(_sql.insert_registration, {**where, "registration": fresh, "free": ALL_SLOTS[1:]})
        return Place(fresh, ALL_SLOTS[0]), None
    registration, free = found
    displaced: bytes | None = None
    if len(ALL_SLOTS) - len(free) >= MAX_DEVICES:
        here = {"account": where["account"], "registration": registration}
        oldest = Place(registration, int(connection.execute(_sql.oldest_device, here).get))
        displaced = remove(connection, where["account"], oldest, where["at"], "", DeviceEvent.DISPLACED)
        free += bytes([oldest.slot])
    taken = {"account": where["account"], "registration": registration, "free": free[1:], "at": where["at"]}
    connection.execute(_sql.set_free_slots, taken)
    return Place(registration, free[0]), displaced


def _admit(connection: apsw.Connection, where: dict[str, Any], new: NewDevice, same: list[_Known]) -> None:
    """Refuses a token that is alive under an app with another bundle id: a token is of one app (LIFE-3). One that APNs
    refused under the other app is no claim to it."""
    if new.provider is not ProviderName.APN:
        return
    others = sorted({d.app for d in same if d.provider == new.provider.value and d.state == DeviceState.ACTIVE})
    others = [name for name in others if name != new.app_name]
    mine = _bundle_ids(connection, where["account"], new.app_name) if others else set()
    for other in others:
        theirs = _bundle_ids(connection, where["account"], other)
        if mine and theirs and not mine & theirs:
            raise Conflict(
                f"the token is registered under the app {other!r} ({_listed(theirs)}), and {new.app_name!r} is"
                f" {_listed(mine)}: Apple gives each app on a device a token of its own. Register it under the app it"
                " came from, or remove it there first",
                Code.TOKEN_OF_OTHER_APP,
                path="$.token",
            )


def _bundle_ids(connection: apsw.Connection, account: bytes, app_name: str) -> set[str]:
    """The bundle ids an app's credentials are for. A certificate's topics are all one app's; those of a key are what
    it may send for, which other apps may share."""
    found: set[str] = set()
    rows: Any = connection.execute(_sql.credentials_of_app, {"account": account, "app": app_name}).fetchall()
    for form, text in rows:
        public = json.loads(text)
        found.add(public.get("bundleId") or "")
        if form == CredentialForm.CERTIFICATE:
            found.update(public.get("topics") or ())
    found.discard("")
    return found


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3])
