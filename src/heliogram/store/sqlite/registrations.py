"""Users and their devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from ...domain.apps import Environment, ProviderName
from ...domain.devices import Device, DeviceRegistration, DeviceState, NewDevice, Registered, TokenKind
from ...ports import Listed, Window
from . import statements
from .base import Base, cut_window, page_of
from .devices import FreshIds, register, take_out

_sql = statements.load("registrations")


def _device(row: Any) -> Device:
    slot, token, provider, environment, kind, state, reason, registered_at, created = row
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

    async def delete_registration(self, account: bytes, registration_id: bytes) -> bool:
        """Removes a registration and all its devices."""

        def job(connection: apsw.Connection) -> bool:
            where = {"account": account, "registration": registration_id}
            connection.execute(_sql.delete_devices, where)
            connection.execute(_sql.delete_registration, where)
            return connection.changes() > 0

        return await self._write(job)

    async def missing_users(self, account: bytes, user_ids: Iterable[bytes]) -> set[bytes]:
        """Which of these the account does not have (deleted ones count as missing)."""
        wanted = set(user_ids)
        if not wanted:
            return wanted
        values = {"account": account, "users": apsw.carray(tuple(wanted))}
        rows = await self._read(lambda c: c.execute(_sql.present_users, values).fetchall())
        return wanted.difference(row[0] for row in rows)

    async def devices_of_users(
        self, account: bytes, app_name: str, user_ids: Iterable[bytes]
    ) -> dict[bytes, list[Device]]:
        """The devices of users in an app, quarantined ones left out; users without any are not in it."""
        wanted = set(user_ids)
        found: dict[bytes, list[Device]] = {}
        if not wanted:
            return found
        values = {"account": account, "app": app_name, "users": apsw.carray(tuple(wanted))}
        rows: Any = await self._read(lambda c: c.execute(_sql.devices_of_users, values).fetchall())
        for user_id, *device in rows:
            found.setdefault(user_id, []).append(_device(device))
        return found

    async def token_environments(
        self, account: bytes, app_name: str, tokens: Iterable[bytes]
    ) -> dict[bytes, Environment]:
        """For APNs tokens known under the app with an environment: which (of two, the later registered)."""
        wanted = set(tokens)
        if not wanted:
            return {}
        values = {"account": account, "app": app_name, "tokens": apsw.carray(tuple(wanted))}
        rows: Any = await self._read(lambda c: c.execute(_sql.token_environments, values).fetchall())
        return {token: Environment(environment) for token, environment in rows}

    async def remove_device(
        self, account: bytes, app_name: str, provider: ProviderName, token: bytes, *, dead_since: int | None
    ) -> bool:
        """Removes a token that the provider called dead, but only if it was registered before `dead_since`."""
        where = {"account": account, "app": app_name, "provider": provider.value, "token": token, "before": dead_since}
        now = self._now()

        def job(connection: apsw.Connection) -> bool:
            dead: Any = connection.execute(_sql.dead_devices, where).fetchall()
            for registration, slot in dead:
                take_out(connection, account, registration, slot, now)
            return bool(dead)

        return await self._write(job)

    async def quarantine_device(
        self, account: bytes, app_name: str, provider: ProviderName, token: bytes, *, reason: str, at: int
    ) -> bool:
        """Stops sending to a token until it is registered anew; False when it is not there or was since `at`."""
        where = {
            "account": account,
            "app": app_name,
            "provider": provider.value,
            "token": token,
            "reason": reason,
            "at": at,
        }

        def job(connection: apsw.Connection) -> bool:
            rows: Any = connection.execute(_sql.quarantine, where).fetchall()
            for (registration,) in rows:
                connection.execute(_sql.touch_registration, {**where, "registration": registration})
            return bool(rows)

        return await self._write(job)
