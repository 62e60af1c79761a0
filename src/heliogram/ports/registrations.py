"""Users and their devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..domain.apps import Environment, ProviderName
from ..domain.devices import Device, DeviceRegistration, NewDevice, Registered
from .basics import Listed, Window


class RegistrationStore(Protocol):
    """Users and their devices."""

    async def register_device(self, account: bytes, device: NewDevice, at: int) -> Registered:
        """Adds a device to a user's registration, or renews it. Idempotent: the same token again renews
        `registered_at` and revives a quarantined one; a token of another user of the app moves to this one.
        The 51st device displaces the least recently registered.
        Raises `NotFound` for an unknown app or user."""

    async def get_registration(self, account: bytes, registration_id: bytes) -> DeviceRegistration | None:
        """A registration with its devices."""

    async def list_registrations(
        self, account: bytes, window: Window, *, user_id: bytes, app_name: str | None = None
    ) -> Listed[DeviceRegistration]:
        """A user's registrations, newest first."""

    async def delete_registration(self, account: bytes, registration_id: bytes) -> bool:
        """Removes a registration and all its devices."""

    async def missing_users(self, account: bytes, user_ids: Iterable[bytes]) -> set[bytes]:
        """Which of these the account does not have (deleted ones count as missing)."""

    async def devices_of_users(
        self, account: bytes, app_name: str, user_ids: Iterable[bytes]
    ) -> dict[bytes, list[Device]]:
        """The devices of users in an app, in one query, quarantined ones left out."""

    async def token_environments(
        self, account: bytes, app_name: str, tokens: Iterable[bytes]
    ) -> dict[bytes, Environment]:
        """For APNs tokens known under the app with an environment: which."""

    async def remove_device(
        self, account: bytes, app_name: str, provider: ProviderName, token: bytes, *, dead_since: int | None
    ) -> bool:
        """Removes a token that the provider called dead, but only if the app registered it before `dead_since` (ms,
        ERR-1); without a time always. False when it was registered later, or is not there."""

    async def quarantine_device(
        self, account: bytes, app_name: str, provider: ProviderName, token: bytes, *, reason: str, at: int
    ) -> bool:
        """Stops sending to a token, keeping it and the reason, until it is registered anew."""
