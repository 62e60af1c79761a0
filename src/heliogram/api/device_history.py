"""What happened to devices: why a phone gets nothing."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import MAX_APP_NAME, Environment, ProviderName
from ..domain.devices import MAX_EXTERNAL_ID, TokenKind
from ..domain.history import DeviceEvent, HistoryEntry
from ..rest import Call, Pagination, endpoint
from .answers import account_of, listing, moment, precise_moment, window_of
from .registering import MAX_TOKEN_TEXT
from .registrations import RegistrationQuery, tokens_of_query, user_of_query
from .state import ApiState


class DeviceHistoryOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Something that happened to a device. `token` is masked, and so is `newToken`: what an installation registered in
    its place. `reason` and `status` are the provider's; `invalidSince` is since when, by its word, the token is dead.
    Of a token that the user has no more, `firstRegisteredAt` and `lastRegisteredAt` say when the app handed it over.

    `REGISTERED`: for the first time. `REVIVED`: anew, after a quarantine. `MOVED_HERE`: the token was another user's.
    `MOVED_AWAY`: it is another user's. `TOKEN_CHANGED`: the installation has another one. `ENVIRONMENT_LEARNED`: APNs'
    answers told it. `REFUSED`: dead by the provider's word, but the app has registered it since, so it is kept.
    `QUARANTINED`: it gets nothing until it is registered anew. `REMOVED`: dead by the provider's word. `DISPLACED`: the
    user had 50 devices, and this one was registered longest ago. `DELETED`: by request."""

    at: str
    event: DeviceEvent
    app_name: str
    user_id: str
    token: str
    provider: ProviderName
    kind: TokenKind
    environment: Environment | None = None
    reason: str | None = None
    status: int | None = None
    invalid_since: str | None = None
    first_registered_at: str | None = None
    last_registered_at: str | None = None
    new_token: str | None = None


class DeviceHistoryPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of what happened, newest first."""

    device_history: list[DeviceHistoryOut]
    pagination: Pagination


class DeviceHistoryQuery(RegistrationQuery, kw_only=True):
    """Whose devices: `userId`, `externalId` or `token`, one of them."""

    user_id: Annotated[str | None, msgspec.Meta(description="Whose devices. Or give externalId or token.")] = None
    external_id: (
        Annotated[str, msgspec.Meta(max_length=MAX_EXTERNAL_ID, description="Whose devices. Or give userId.")] | None
    ) = None
    token: (
        Annotated[
            str,
            msgspec.Meta(max_length=MAX_TOKEN_TEXT, description="This device token, whoever has or had it."),
        ]
        | None
    ) = None
    app_name: Annotated[str, msgspec.Meta(max_length=MAX_APP_NAME)] | None = None


@endpoint(
    "GET",
    "/PushNotifications/DeviceHistory",
    summary="List what happened to devices",
    tag="DeviceRegistrations",
    query=DeviceHistoryQuery,
    returns=DeviceHistoryPage,
    scope=Scope.READ,
    basis="ours",
)
async def list_device_history(call: Call[ApiState]) -> dict[str, Any]:
    """Why does this phone get nothing? What happened to a user's devices in all apps or one, or to one device token,
    newest first; give `userId`, `externalId` or `token`. It is told after the registration has gone, too.

    A registration that only renews is no entry. Kept are the newest 20 entries of each device, for as many days as the
    service is told to (`--history-days`, 90); how a device that is there was first registered is always told. A device
    that was deleted by request leaves one entry, that it was; a deleted user and a deleted app leave nothing.
    """
    query, cursor, window = window_of(call.query)
    account, store, app_name = account_of(call), call.state.store, query.app_name
    if query.token is not None:
        listed = await store.device_history(account, window, tokens=tokens_of_query(query), app_name=app_name)
    else:
        user_id = await user_of_query(call, query)
        listed = await store.device_history(account, window, user_id=user_id, app_name=app_name)
    return listing("deviceHistory", [_out(each) for each in listed.items], listed, query, cursor)


def _out(entry: HistoryEntry) -> DeviceHistoryOut:
    return DeviceHistoryOut(
        at=precise_moment(entry.at),
        event=entry.event,
        app_name=entry.app_name,
        user_id=ids.encode(ids.USER, entry.user_id),
        token=entry.token,
        provider=entry.provider,
        kind=entry.kind,
        environment=entry.environment,
        reason=entry.reason,
        status=entry.status,
        invalid_since=_moment(entry.invalid_since),
        first_registered_at=_moment(entry.first_registered),
        last_registered_at=_moment(entry.last_registered),
        new_token=entry.successor,
    )


def _moment(ms: int | None) -> str | None:
    return None if ms is None else moment(ms)
