"""What happened to devices, written in the job in which it happens; and how it is told.

A device that is there tells of its first registration by itself: so registering a new one writes nothing here, and
devices that are older than this table have a history, too.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import apsw

from ...domain.apps import Environment, ProviderName
from ...domain.devices import TokenKind
from ...domain.history import KEPT, DeviceEvent, HistoryEntry, digest_of, ends_of
from ...domain.ids import floor_of, make, time_of
from ...ports import Listed, Window
from . import statements
from .base import Base, cut_window, nobodys, page_of

_sql = statements.load("history")

SLICE = 500
"""The most entries that one write forgets."""
_ONCE = frozenset({DeviceEvent.REFUSED, DeviceEvent.QUARANTINED})
"""What is written once until something else happens, however often the provider says it."""
_NOTHING: Mapping[str, Any] = {
    "reason": None,
    "status": None,
    "invalid_since": None,
    "first_registered": None,
    "last_registered": None,
    "successor": None,
}


class Seat(NamedTuple):
    """Which device of whom."""

    app: str
    user: bytes
    slot: int


class Token(NamedTuple):
    """A device's token as statements have it."""

    provider: str
    kind: str
    environment: str
    token: bytes


def note(
    connection: apsw.Connection,
    account: bytes,
    seat: Seat,
    token: Token,
    event: DeviceEvent,
    at: int,
    **more: Any,
) -> None:
    """Writes down what happened to a device at a moment (ms), unless it is the same as before; the oldest entry of a
    device that has enough goes. `more` is what else `HistoryEntry` has."""
    provider = ProviderName(token.provider)
    digest = digest_of(provider, token.token)
    where = {"account": account, "app": seat.app, "user": seat.user, "slot": seat.slot}
    rows: Any = connection.execute(_sql.newest, {**where, "limit": KEPT}).fetchall()
    if rows and event in _ONCE and tuple(rows[0][1:]) == (event, digest, more.get("reason")):
        return
    if len(rows) == KEPT:
        connection.execute(_sql.delete_older, {**where, "id": rows[-1][0]})
    values = {
        **_NOTHING,
        **where,
        "id": _after(rows[0][0] if rows else b"", at),
        "event": event.value,
        "token": ends_of(provider, token.token),
        "digest": digest,
        "provider": token.provider,
        "kind": token.kind,
        "environment": token.environment,
    }
    connection.execute(_sql.insert_entry, {**values, **more})


def forget_token(connection: apsw.Connection, account: bytes, seat: Seat, token: Token) -> None:
    """Forgets what happened to a token in its place: who has it deleted wants no more of it to be known."""
    digest = digest_of(ProviderName(token.provider), token.token)
    connection.execute(_sql.forget_token, {"account": account, **seat._asdict(), "digest": digest})


def forget_user(connection: apsw.Connection, account: bytes, user: bytes) -> None:
    """Forgets all that happened to a user's devices."""
    connection.execute(_sql.forget_user, {"account": account, "user": user})


def forget_app(connection: apsw.Connection, account: bytes, app: str, most: int) -> int:
    """Forgets at most so many entries of an app; how many that were."""
    connection.execute(_sql.forget_app, {"account": account, "app": app, "limit": most})
    return connection.changes()


def _after(newest: bytes, at: int) -> bytes:
    """An id of the moment; the next one after the newest of the same. Those of one moment are few, and the last bits
    of an id are free to count them."""
    if newest and time_of(newest) == at:
        return (int.from_bytes(newest, "big") + 1).to_bytes(16, "big")
    return make(at, 0, secrets.randbits(42))


def _entry(row: Any) -> HistoryEntry:
    ident, app_name, user, slot, event, token, provider, kind, environment, reason, status, since, *more = row
    first, last, successor = more
    return HistoryEntry(
        id=ident,
        app_name=app_name,
        user_id=user,
        slot=slot,
        event=DeviceEvent(event),
        token=token,
        provider=ProviderName(provider),
        kind=TokenKind(kind),
        environment=Environment(environment) if environment else None,
        reason=reason,
        status=status,
        invalid_since=since,
        first_registered=first,
        last_registered=last,
        successor=successor,
    )


def _beginnings(connection: apsw.Connection, account: bytes, rows: Any) -> Iterable[HistoryEntry]:
    """The first registrations of devices that are there, but for those that came from another user: how these came is
    an entry, and when the other one registered them is not theirs to show."""
    came: dict[tuple[bytes, str, int], bytes] = {}
    for user in {row[4] for row in rows}:
        arrivals: Any = connection.execute(_sql.arrivals, {"account": account, "user": user}).fetchall()
        for app_name, slot, ident in arrivals:
            came[user, app_name, slot] = max(ident, came.get((user, app_name, slot), b""))
    for registration, slot, created, app_name, user, token, provider, kind, environment, learned in rows:
        if came.get((user, app_name, slot), b"") >= floor_of(created):
            continue
        yield HistoryEntry(
            id=make(created, 0xFFF, int.from_bytes(registration[-8:], "big") >> 26 << 6 | slot),
            app_name=app_name,
            user_id=user,
            slot=slot,
            event=DeviceEvent.REGISTERED,
            token=ends_of(ProviderName(provider), token),
            provider=ProviderName(provider),
            kind=TokenKind(kind),
            environment=Environment(environment) if environment and not learned else None,
        )


class History(Base):
    """That part of `ports.RegistrationStore`."""

    async def device_history(
        self,
        account: bytes,
        window: Window,
        *,
        user_id: bytes | None = None,
        tokens: Collection[tuple[ProviderName, bytes]] = (),
        app_name: str | None = None,
    ) -> Listed[HistoryEntry]:
        """What happened to a user's devices, or to a token, newest first."""
        if nobodys(app_name):
            return Listed(items=(), next=None)
        cut = cut_window(window)
        values: dict[str, Any] = {"account": account, "app": app_name, **cut}
        if user_id is not None:
            values["user"] = user_id
            entries, living = _sql.entries_of_user, _sql.living_of_user
        else:
            spelt = dict(tokens)
            digests = [digest_of(*each) for each in spelt.items()] + [b"", b""]
            values |= {"token": spelt.get(ProviderName.APN, b""), "text": spelt.get(ProviderName.FCM, b"")}
            values |= {"digest": digests[0], "other": digests[1]}
            entries, living = _sql.entries_of_token, _sql.living_with_token

        def job(connection: apsw.Connection) -> list[HistoryEntry]:
            found = [_entry(row) for row in connection.execute(entries, values).fetchall()]
            begun = _beginnings(connection, account, connection.execute(living, values).fetchall())
            found += [each for each in begun if cut["low"] <= each.id < cut["before"]]
            return sorted(found, key=lambda each: each.id, reverse=True)[: cut["limit"]]

        return page_of(await self._list(job), window, lambda each: each.id)

    async def forget_history(self, before: int) -> int:
        """Forgets some of what happened before a moment (ms); how many entries that were."""
        values = {"before": floor_of(before), "limit": SLICE}

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.forget_old, values)
            return connection.changes()

        return await self._write(job)
