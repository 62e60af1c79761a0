"""What happened to devices."""

from __future__ import annotations

from datetime import datetime

from .enums import DeviceEvent, Environment, Provider, TokenKind
from .outcomes import Pagination
from .structs import Told


class DeviceHistory(Told, frozen=True, kw_only=True):
    """Something that happened to a device. `token` and `newToken`, which an installation registered in its place, are
    masked. `reason` and `status` are the provider's; `invalidSince` is since when, by its word, the token is dead. Of a
    token that the user has no more, `firstRegisteredAt` and `lastRegisteredAt` say when the app handed it over."""

    at: datetime
    event: DeviceEvent
    app_name: str
    user_id: str
    token: str
    provider: Provider
    kind: TokenKind
    environment: Environment | None = None
    reason: str | None = None
    status: int | None = None
    invalid_since: datetime | None = None
    first_registered_at: datetime | None = None
    last_registered_at: datetime | None = None
    new_token: str | None = None


class DeviceHistoryPage(Told, frozen=True, kw_only=True):
    """A page of what happened, newest first."""

    device_history: list[DeviceHistory]
    pagination: Pagination
