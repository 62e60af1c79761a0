"""Device registrations: users' devices in apps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import apsw

from ...domain.apps import Environment, ProviderName
from ...domain.devices import Device, DeviceRegistration, DeviceState, NewDevice, Reached, Registered, TokenKind
from ...domain.history import DeviceEvent, TokenRefusal
from ...domain.webhooks import EventType
from ...ports import Listed, Window
from . import statements
from .base import Base, cut_window, page_of
from .devices import FreshIds, register
from .history import Token, note
from .refused import refuse
from .slots import Place, note_kept, said, seat_of, take_out, tell
from .users import empty_registration

_sql = statements.load("registrations")

DELETED = "DeletedByRequest"
MANNER_OF_ENVIRONMENT = {None: 0, Environment.PRODUCTION: 1, Environment.SANDBOX: 2}
MANNER_OF_PROVIDER = {ProviderName.APN: 0, ProviderName.FCM: 1}
MANNER_OF_KIND = {
    TokenKind.ALERT: 0,
    TokenKind.VOIP: 1,
    TokenKind.COMPLICATION: 2,
    TokenKind.FILE_PROVIDER: 3,
    TokenKind.LOCATION: 4,
    TokenKind.PUSH_TO_TALK: 5,
    TokenKind.LIVE_ACTIVITY_START: 6,
    TokenKind.LIVE_ACTIVITY_UPDATE: 7,
    TokenKind.WIDGETS: 8,
    TokenKind.CONTROLS: 9,
}
"""What `device.manner` is made of, as the migration that made it says."""


def _manners() -> dict[int | str, tuple[ProviderName, Environment | None, TokenKind]]:
    """What each manner stands for; PostgreSQL tells it in words."""
    made: dict[int | str, tuple[ProviderName, Environment | None, TokenKind]] = {}
    for kind, six in MANNER_OF_KIND.items():
        for environment, two in MANNER_OF_ENVIRONMENT.items():
            for provider, one in MANNER_OF_PROVIDER.items():
                ways = provider, environment, kind
                made[6 * six + 2 * two + one] = made[f"{provider} {environment or ''} {kind}"] = ways
    return made


_MANNERS = _manners()
"""By number or words: asked of the classes, each would cost as much as the device itself."""


def _device(row: Any) -> Device:
    slot, token, provider, environment, kind, state, reason, registered_at, created, *more = row
    learned, installation, activity, app_version, locale, time_zone = more
    return Device(
        slot=slot,
        token=token,
        provider=ProviderName(provider),
        environment=Environment(environment) if environment else None,
        kind=TokenKind(kind),
        state=DeviceState(state),
        state_reason=reason,
        registered_at=registered_at,
        created=created,
        environment_learned=bool(learned),
        installation_id=installation,
        activity_id=activity,
        app_version=app_version,
        locale=locale,
        time_zone=time_zone,
    )


def _registration(connection: apsw.Connection, row: Any) -> DeviceRegistration:
    account, ident, app_name, user_id, created, updated = row
    devices = connection.execute(_sql.devices, {"account": account, "registration": ident}).fetchall()
    return DeviceRegistration(
        account_id=account,
        id=ident,
        app_name=app_name,
        user_id=user_id,
        devices=tuple(_device(device) for device in devices),
        created=created,
        updated=updated,
    )


class Registrations(Base):
    """`ports.RegistrationStore`."""

    async def register_device(self, account: bytes, device: NewDevice, at: int) -> Registered:
        """Adds a device to a user's registration, or renews it. Raises `NotFound` for an unknown app or user."""
        fresh = FreshIds(user=self._ids.new(), registration=self._ids.new())
        return await self._write(lambda c: register(c, account, device, at, fresh))

    async def get_registration(self, account: bytes, registration_id: bytes) -> DeviceRegistration | None:
        """A registration with its devices."""

        def job(connection: apsw.Connection) -> DeviceRegistration | None:
            where = {"account": account, "registration": registration_id}
            row = connection.execute(_sql.get_registration, where).fetchone()
            return None if row is None else _registration(connection, row)

        return await self._read(job)

    async def list_registrations(
        self, account: bytes, window: Window, *, user_id: bytes, app_name: str | None = None
    ) -> Listed[DeviceRegistration]:
        """A user's registrations, newest first."""
        where = {"account": account, "user": user_id, "app": app_name, **cut_window(window)}

        def job(connection: apsw.Connection) -> list[DeviceRegistration]:
            rows = connection.execute(_sql.list_registrations, where).fetchall()
            return [_registration(connection, row) for row in rows]

        return page_of(await self._read(job), window, lambda registration: registration.id)

    async def registrations_with_token(
        self,
        account: bytes,
        window: Window,
        *,
        tokens: Collection[tuple[ProviderName, bytes]],
        app_name: str | None = None,
    ) -> Listed[DeviceRegistration]:
        """The registrations in which one of these tokens is, newest first."""
        spelt = dict(tokens)
        token, text = (spelt.get(provider, b"") for provider in (ProviderName.APN, ProviderName.FCM))
        where = {"account": account, "token": token, "text": text, "app": app_name, **cut_window(window)}

        def job(connection: apsw.Connection) -> list[DeviceRegistration]:
            rows = connection.execute(_sql.registrations_with, where).fetchall()
            return [_registration(connection, row) for row in rows]

        return page_of(await self._read(job), window, lambda registration: registration.id)

    async def delete_registration(self, account: bytes, registration_id: bytes) -> bool:
        """Removes a registration and all its devices."""
        now = self._now()
        return await self._write(
            lambda c: empty_registration(c, account, registration_id, now, DELETED, DeviceEvent.DELETED) > 0
        )

    async def delete_devices(
        self,
        account: bytes,
        registration_id: bytes,
        tokens: Collection[tuple[ProviderName, bytes]],
        *,
        kind: TokenKind | None = None,
    ) -> int:
        """Removes these tokens from a registration; how many devices that were."""
        now = self._now()

        def job(connection: apsw.Connection) -> int:
            where = {"account": account, "registration": registration_id}
            rows: Any = connection.execute(_sql.devices, where).fetchall()
            gone = [
                device
                for device in map(_device, rows)
                if (device.provider, device.token) in tokens and kind in (None, device.kind)
            ]
            for device in gone:
                take_out(connection, account, Place(registration_id, device.slot), now, DELETED, DeviceEvent.DELETED)
            return len(gone)

        return await self._write(job)

    async def devices_of_users(
        self,
        account: bytes,
        app_name: str,
        user_ids: Iterable[bytes],
        *,
        kind: TokenKind | None = None,
        activity_id: str | None = None,
    ) -> dict[bytes, list[Reached]]:
        """The devices of users in an app, quarantined ones left out; users without any are not in it."""
        wanted = set(user_ids)
        if not wanted:
            return {}
        values = {
            "account": account,
            "app": app_name,
            "users": self._array(sorted(wanted)),
            "kind": None if kind is None else kind.value,
            "activity": activity_id,
        }
        return reached_of(await self._read(lambda c: c.execute(_sql.devices_of_users, values).fetchall()))

    async def learn_environments(self, account: bytes, app_name: str, learned: Mapping[bytes, Environment]) -> int:
        """Keeps what APNs' answers showed of tokens whose environment was not known; how many devices that were."""
        now = self._now()

        def job(connection: apsw.Connection) -> int:
            count = 0
            for token, environment in learned.items():
                where = {"account": account, "app": app_name, "token": token, "environment": environment.value}
                rows: Any = connection.execute(_sql.learn_environment, where).fetchall()
                for registration, slot, kind in rows:
                    here = {"account": account, "registration": registration, "at": now}
                    connection.execute(_sql.touch_registration, here)
                    seat = seat_of(connection, account, Place(registration, slot))
                    it = Token(ProviderName.APN.value, kind, environment.value, token)
                    note(connection, account, seat, it, DeviceEvent.ENVIRONMENT_LEARNED, now)
                count += len(rows)
            return count

        return await self._write(job) if learned else 0

    async def remove_device(
        self,
        account: bytes,
        app_name: str,
        provider: ProviderName,
        token: bytes,
        *,
        dead_since: int | None,
        environment: Environment | None = None,
        reason: str = "",
        kind: TokenKind | None = None,
        remember: bytes | None = None,
        refusal: TokenRefusal | None = None,
    ) -> bool:
        """Removes a token that the provider called dead, but only if it was registered before `dead_since`."""
        where = {**_verdict(account, app_name, provider, token, environment, kind), "before": dead_since}
        now = self._now()

        def job(connection: apsw.Connection) -> bool:
            dead: Any = connection.execute(_sql.dead_devices, where).fetchall()
            for registration, slot, *_ in dead:
                place = Place(registration, slot)
                take_out(connection, account, place, now, reason, DeviceEvent.REMOVED, refusal=refusal)
            if not dead and dead_since is not None:
                note_kept(connection, where, reason, refusal, now)
            if remember is not None:
                _remember(connection, where, remember, reason, now)
            return bool(dead)

        return await self._write(job)

    async def quarantine_device(
        self,
        account: bytes,
        app_name: str,
        provider: ProviderName,
        token: bytes,
        *,
        reason: str,
        at: int,
        environment: Environment | None = None,
        kind: TokenKind | None = None,
        remember: bytes | None = None,
        refusal: TokenRefusal | None = None,
    ) -> bool:
        """Stops sending to a token until it is registered anew; False when it is not there or was since `at`."""
        where = {**_verdict(account, app_name, provider, token, environment, kind), "reason": reason, "at": at}

        def job(connection: apsw.Connection) -> bool:
            rows: Any = connection.execute(_sql.quarantine, where).fetchall()
            for registration, of, of_kind, slot in rows:
                here = {"account": account, "registration": registration, "at": at}
                connection.execute(_sql.touch_registration, here)
                device = {**where, "environment": of, "kind": of_kind}
                tell(connection, account, EventType.DEVICE_QUARANTINED, at, registration, device, reason)
                seat = seat_of(connection, account, Place(registration, slot))
                it = Token(provider.value, of_kind, of, token)
                note(connection, account, seat, it, DeviceEvent.QUARANTINED, at, **said(reason, refusal))
            if remember is not None:
                _remember(connection, where, remember, reason, at)
            return bool(rows)

        return await self._write(job)


def reached_of(rows: Any) -> dict[bytes, list[Reached]]:
    """The devices of users, from the rows of `devices_of_users`."""
    found: dict[bytes, list[Reached]] = {}
    manners = _MANNERS
    for user_id, slot, token, manner in rows:
        provider, environment, kind = manners[manner]
        device = Reached(slot, token, provider, environment, kind)
        others = found.get(user_id)
        if others is None:
            found[user_id] = [device]
        else:
            others.append(device)
    return found


def environments_of(
    connection: apsw.Connection,
    where: dict[str, Any],
    tokens: Sequence[bytes],
    array: Callable[[Sequence[bytes]], Any],
    assumed: Environment | None = None,
) -> dict[bytes, Environment]:
    """The known environments of tokens of an account's app, of two the later registered. Those of the `assumed`
    environment may be left out: where all are sent to that one alone, only what is no part of it has to be known."""
    if assumed is Environment.PRODUCTION:
        sandbox: Any = connection.execute(_sql.sandbox_tokens, {**where, "tokens": array(tokens)}).fetchall()
        if not sandbox:
            return {}
        tokens = [token for (token,) in sandbox]  # some may be in both
    rows: Any = connection.execute(_sql.token_environments, {**where, "tokens": array(tokens)}).fetchall()
    found: dict[bytes, str] = {}
    twice = {token for token, environment in rows if found.setdefault(token, environment) != environment}
    if twice:  # seldom: their devices have to be read
        rows += connection.execute(_sql.later_environments, {**where, "tokens": array(tuple(twice))}).fetchall()
    return {token: Environment(environment) for token, environment in rows}


def _remember(connection: apsw.Connection, where: dict[str, Any], credential: bytes, reason: str, at: int) -> None:
    """Of a token that is not registered: that it was refused."""
    if where["kind"] is not None and where["environment"] is not None:
        refuse(connection, {**where, "reason": reason, "credential": credential, "at": at})


def _verdict(
    account: bytes,
    app_name: str,
    provider: ProviderName,
    token: bytes,
    environment: Environment | None,
    kind: TokenKind | None,
) -> dict[str, Any]:
    """What the provider's word is about."""
    return {
        "account": account,
        "app": app_name,
        "provider": provider.value,
        "token": token,
        "environment": None if environment is None else environment.value,
        "kind": None if kind is None else kind.value,
    }
