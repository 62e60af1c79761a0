"""The slots of a registration: how a device leaves its own, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import apsw

from ...domain import ids
from ...domain.apps import ProviderName
from ...domain.devices import token_text
from ...domain.history import DeviceEvent, TokenRefusal, ends_of
from ...domain.ids import MAX_SLOT
from ...domain.webhooks import EventType
from . import statements
from .events import emit
from .history import Seat, Token, forget_token, note

_sql = statements.load("registrations")

ALL_SLOTS = bytes(range(1, MAX_SLOT + 1))


class Place(NamedTuple):
    """A slot of a registration."""

    registration: bytes
    slot: int


Told = tuple[Mapping[str, Any], EventType, str]
"""The device that left, the event that says so, and why."""


def take_out(
    connection: apsw.Connection,
    account: bytes,
    place: Place,
    at: int,
    reason: str,
    past: DeviceEvent,
    *,
    refusal: TokenRefusal | None = None,
    successor: bytes | None = None,
) -> None:
    """Removes a device and gives its slot back; a registration without devices goes too."""
    remove(connection, account, place, at, reason, past, refusal=refusal, successor=successor)
    give_back(connection, account, place, at)


def remove(
    connection: apsw.Connection,
    account: bytes,
    place: Place,
    at: int,
    reason: str,
    past: DeviceEvent | None,
    *,
    refusal: TokenRefusal | None = None,
    successor: bytes | None = None,
) -> bytes:
    """Removes a device whose slot stays taken; its token. `past` is what its history says of it, if anything, beside
    the provider's answer and the token that comes in its place."""
    where = {"account": account, "registration": place.registration, "slot": place.slot}
    rows: Any = connection.execute(_sql.delete_device, where).fetchall()
    app_name, provider, environment, kind, token, created, registered_at = rows[0]
    device = {"app": app_name, "provider": provider, "environment": environment, "kind": kind, "token": token}
    displaced = past is DeviceEvent.DISPLACED
    event = EventType.DEVICE_DISPLACED if displaced else EventType.DEVICE_REMOVED
    tell(connection, account, event, at, place.registration, device, reason)
    if past is None:
        return bytes(token)
    seat, it = seat_of(connection, account, place), Token(provider, kind, environment, token)
    if past is DeviceEvent.DELETED:
        forget_token(connection, account, seat, it)
    more: dict[str, Any] = {"first_registered": created, "last_registered": registered_at}
    if past is DeviceEvent.REMOVED:
        more |= said(reason, refusal)
    if successor is not None:
        more["successor"] = ends_of(ProviderName(provider), successor)
    note(connection, account, seat, it, past, at, **more)
    return bytes(token)


def said(reason: str, refusal: TokenRefusal | None) -> dict[str, Any]:
    """What the provider said, for `note`."""
    more: dict[str, Any] = {"reason": reason or None}
    return more if refusal is None else {**more, "status": refusal.status, "invalid_since": refusal.since}


def seat_of(connection: apsw.Connection, account: bytes, place: Place) -> Seat:
    """Which device of whom a place is."""
    owner: Any = connection.execute(_sql.owner, {"account": account, "registration": place.registration}).fetchone()
    return Seat(owner[0], owner[1], place.slot)


def note_kept(
    connection: apsw.Connection, where: dict[str, Any], reason: str, refusal: TokenRefusal | None, at: int
) -> None:
    """Writes down that the provider called a token dead, for devices that registered it since."""
    rows: Any = connection.execute(_sql.dead_devices, {**where, "before": None}).fetchall()
    for registration, slot, environment, kind, registered_at in rows:
        seat = seat_of(connection, where["account"], Place(registration, slot))
        it = Token(where["provider"], kind, environment, where["token"])
        more = {**said(reason, refusal), "last_registered": registered_at}
        note(connection, where["account"], seat, it, DeviceEvent.REFUSED, at, **more)


def give_back(connection: apsw.Connection, account: bytes, place: Place, at: int, told: Told | None = None) -> None:
    """A slot that no device is in any more; a registration without devices goes. Tells who left it, if asked."""
    where: dict[str, Any] = {"account": account, "registration": place.registration, "at": at}
    if told is not None:
        tell(connection, account, told[1], at, place.registration, told[0], told[2])
    free: Any = connection.execute(_sql.free_slots, where).get
    if len(free) + 1 == len(ALL_SLOTS):
        connection.execute(_sql.delete_registration, where)
    else:
        connection.execute(_sql.set_free_slots, {**where, "free": free + bytes([place.slot])})


def tell(
    connection: apsw.Connection,
    account: bytes,
    event: EventType,
    at: int,
    registration: bytes,
    device: Mapping[str, Any],
    reason: str,
) -> None:
    """Writes down what happened to a device, for webhooks. `device` has app, provider, environment, kind and token."""
    emit(connection, account, event, at, _data(connection, account, registration, device, reason))


def _data(
    connection: apsw.Connection, account: bytes, registration: bytes, device: Mapping[str, Any], reason: str
) -> Callable[[], Mapping[str, Any]]:
    def make() -> Mapping[str, Any]:
        where = {"account": account, "registration": registration}
        owner: Any = connection.execute(_sql.owner, where).fetchone()
        data = {
            "registrationId": ids.encode(ids.DEVICE_REGISTRATION, registration),
            "userId": ids.encode(ids.USER, owner[1]),
            "appName": device["app"],
            "token": token_text(ProviderName(device["provider"]), device["token"]),
            "provider": device["provider"],
            "environment": device["environment"] or None,
            "kind": device["kind"],
        }
        return {**data, "reason": reason} if reason else data

    return make
