"""Device registrations: users' devices in apps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from ..domain.apps import Environment, ProviderName
from ..domain.devices import DeviceRegistration, NewDevice, Reached, Registered, TokenKind
from ..domain.history import HistoryEntry, TokenRefusal
from ..domain.lookups import Known, Wanted
from .basics import Listed, Window


class DeviceStore(Protocol):
    """Devices as whoever sends to them sees them."""

    async def look_up(self, account: bytes, wanted: Wanted) -> Known:
        """What a send asks of the store, all as it stood at one moment: what `get_app` or `get_credential`,
        `users_by_external_id`, `missing_users` and `devices_of_users` say; of APNs tokens the environments that are
        known under the app (of two the later registered), as far as they decide; and which of them the provider refused
        for good: registered ones that are quarantined, and others for a day, unless they were registered since."""

    async def devices_of_users(
        self,
        account: bytes,
        app_name: str,
        user_ids: Iterable[bytes],
        *,
        kind: TokenKind | None = None,
        activity_id: str | None = None,
    ) -> dict[bytes, list[Reached]]:
        """The devices of users in an app, of one kind and Live Activity where these are given; in one query,
        quarantined ones left out."""

    async def learn_environments(self, account: bytes, app_name: str, learned: Mapping[bytes, Environment]) -> int:
        """Keeps the environment that APNs' answers showed for tokens of unknown environment; how many devices that
        were. What an app said, or what was learned before, stays."""

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
        """Removes a token that the provider called dead, but only if the app registered it before `dead_since` (ms,
        ERR-1); without a time always. With `environment` the token in the other one stays, with `kind` those of other
        kinds; `reason` is the provider's word, `refusal` the rest of its answer. False when it was registered later, or
        is not there: then it is remembered as refused for a day, with the credential `remember` and both of these
        given."""

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
        """Stops sending to a token, keeping it and the reason, until it is registered anew. With `environment` the
        token in the other one goes on, with `kind` those of other kinds. False when it is not there, or was registered
        since `at`; `remember` and `refusal` as in `remove_device`."""


class RegistrationStore(DeviceStore, Protocol):
    """Device registrations: users' devices in apps.

    At any time one (account, app, provider, environment, kind, token) is one device, and an installation of an app has
    at most one token of a kind and activity.
    """

    async def register_device(self, account: bytes, device: NewDevice, at: int) -> Registered:
        """Adds a device to a user's registration, or renews it. Idempotent: the same token again renews
        `registered_at` and revives a quarantined one; a token of another user of the app moves to this one; the
        installation's older token of the same kind and activity leaves, and the new one takes its slot.
        The 51st device displaces the least recently registered.
        Raises `NotFound` for an unknown app or user, `Conflict` when another user has the external id
        (EXTERNAL_ID_TAKEN) or the token is alive under an app with another bundle id (TOKEN_OF_OTHER_APP)."""

    async def get_registration(self, account: bytes, registration_id: bytes) -> DeviceRegistration | None:
        """A registration with its devices."""

    async def list_registrations(
        self, account: bytes, window: Window, *, user_id: bytes, app_name: str | None = None
    ) -> Listed[DeviceRegistration]:
        """A user's registrations, newest first."""

    async def registrations_with_token(
        self,
        account: bytes,
        window: Window,
        *,
        tokens: Collection[tuple[ProviderName, bytes]],
        app_name: str | None = None,
    ) -> Listed[DeviceRegistration]:
        """The registrations in which one of these tokens is, of whichever user, environment and kind, newest first. At
        most one token of each provider."""

    async def delete_registration(self, account: bytes, registration_id: bytes) -> bool:
        """Removes a registration and all its devices."""

    async def delete_devices(
        self,
        account: bytes,
        registration_id: bytes,
        tokens: Collection[tuple[ProviderName, bytes]],
        *,
        kind: TokenKind | None = None,
    ) -> int:
        """Removes these tokens from a registration, in all environments and of all kinds or of one; how many devices
        that were. A registration without devices goes too."""

    async def device_history(
        self,
        account: bytes,
        window: Window,
        *,
        user_id: bytes | None = None,
        tokens: Collection[tuple[ProviderName, bytes]] = (),
        app_name: str | None = None,
    ) -> Listed[HistoryEntry]:
        """What happened to a user's devices, or to one token whoever had it (as in `registrations_with_token`), newest
        first: the newest `history.KEPT` entries of each device, and when those that are there were first registered.

        A renewed registration is no entry. A device that is deleted by request leaves one, that it was; of a deleted
        user, and of an app that is gone, nothing is left."""
