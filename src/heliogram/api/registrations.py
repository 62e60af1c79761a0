"""Device registrations: a user's devices in one app, added and removed one by one."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import MAX_APP_NAME, Environment, ProviderName
from ..domain.devices import (
    MAX_EXTERNAL_ID,
    Device,
    DeviceRegistration,
    DeviceState,
    InvalidDeviceToken,
    TokenKind,
    normalize_token,
    token_text,
)
from ..domain.errors import Code, Conflict, FieldProblem, Invalid
from ..rest import Call, PageQuery, Pagination, Result, endpoint, not_found
from .answers import (
    ResourceAccepted,
    account_of,
    listing,
    locate,
    moment,
    path_id,
    query_id,
    resource_accepted,
    window_of,
)
from .auth import check_grant
from .registering import MAX_TOKEN_TEXT, RegisterDevice, read_device
from .state import ApiState


class DeviceOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A device. A quarantined one gets nothing until it is registered anew; `stateReason` says why. `createdAt` is when
    its user's app first registered its token, `registeredAt` when it last did so.
    `environmentLearned`: the app did not say the environment, APNs' answers told it."""

    token: str
    provider: ProviderName
    kind: TokenKind
    state: DeviceState
    registered_at: str
    created_at: str
    environment: Environment | None = None
    environment_learned: bool = False
    state_reason: str | None = None
    installation_id: str | None = None
    activity_id: str | None = None
    app_version: str | None = None
    locale: str | None = None
    time_zone: str | None = None


class Related(msgspec.Struct, frozen=True):
    """A pointer to an associated resource."""

    name: str
    id: str
    uri: str


class RegistrationOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A user's devices in an app, at most 50."""

    id: str
    app_name: str
    user_id: str
    devices: list[DeviceOut]
    related: list[Related]
    created_at: str
    updated_at: str


class RegistrationPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of device registrations, newest first."""

    device_registrations: list[RegistrationOut]
    pagination: Pagination


class RegistrationQuery(PageQuery, kw_only=True):
    """Filters of the list of device registrations: `userId`, `externalId` or `token`, one of them."""

    user_id: Annotated[str | None, msgspec.Meta(description="Whose registrations. Or give externalId or token.")] = None
    external_id: (
        Annotated[str, msgspec.Meta(max_length=MAX_EXTERNAL_ID, description="Whose registrations. Or give userId.")]
        | None
    ) = None
    token: (
        Annotated[
            str,
            msgspec.Meta(max_length=MAX_TOKEN_TEXT, description="Those in which this device token is, whoever has it."),
        ]
        | None
    ) = None
    app_name: Annotated[str, msgspec.Meta(max_length=MAX_APP_NAME)] | None = None


DeviceToken = Annotated[str, msgspec.Meta(description="The device token, as the app registered it.")]


class DeviceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which of a token's devices are meant."""

    kind: Annotated[TokenKind | None, msgspec.Meta(description="Only the device of this kind; default: all.")] = None


@endpoint(
    "POST",
    "/PushNotifications/DeviceRegistrations",
    summary="Register a device",
    tag="DeviceRegistrations",
    body=RegisterDevice,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.REGISTER,
    errors=(404, 409),
    response_headers={"Location": "The registration's address."},
)
async def register_device(call: Call[ApiState]) -> Result:
    """Adds a device to a user's registration in an app, or renews it. Safe to repeat at every launch of the app.

    A token that another user of the app had moves to this one; a new token of an installation replaces the
    installation's old one of the same kind (and Live Activity); the 51st device displaces the one registered longest
    ago. An unknown app or user is a 404; 409 says that another user has the externalId, or that the token is
    registered under an app with another bundle id. With a registration token the user is the token's.
    """
    device = read_device(call.body)
    user_id = check_grant(call, device.app_name, device.user_id)
    if call.auth.registration is not None and device.external_id is not None:
        message = "a registration token names its user already: leave externalId out"
        raise Invalid([FieldProblem("$.externalId", message)])
    device = msgspec.structs.replace(device, user_id=user_id)
    try:
        registered = await call.state.store.register_device(account_of(call), device, call.state.now())
    except Conflict as error:
        if call.auth.registration is None:
            raise
        raise _for_phones(error) from None
    ident = ids.encode(ids.DEVICE_REGISTRATION, registered.registration_id)
    return resource_accepted(call, "DeviceRegistrations", ident)


@endpoint(
    "GET",
    "/PushNotifications/DeviceRegistrations",
    summary="List a user's device registrations",
    tag="DeviceRegistrations",
    query=RegistrationQuery,
    returns=RegistrationPage,
    scope=Scope.READ,
)
async def list_device_registrations(call: Call[ApiState]) -> dict[str, Any]:
    """A user's registrations, one per app, newest first: give `userId` or `externalId`. Or those in which a device
    token is: give `token`, as the app spelt it; the registrations come with all of their devices."""
    query, cursor, window = window_of(call.query)
    account, store, app_name = account_of(call), call.state.store, query.app_name
    if query.token is not None:
        tokens = tokens_of_query(query)
        listed = await store.registrations_with_token(account, window, tokens=tokens, app_name=app_name)
    else:
        user_id = await user_of_query(call, query)
        listed = await store.list_registrations(account, window, user_id=user_id, app_name=app_name)
    items = [_out(call, each) for each in listed.items]
    return listing("deviceRegistrations", items, listed, query, cursor)


@endpoint(
    "GET",
    "/PushNotifications/DeviceRegistrations/{deviceRegistrationId}",
    summary="Get a device registration",
    tag="DeviceRegistrations",
    returns=RegistrationOut,
    scope=Scope.READ,
    errors=(404,),
)
async def get_device_registration(call: Call[ApiState]) -> RegistrationOut:
    """A registration with its devices."""
    ident = path_id(call, "deviceRegistrationId", ids.DEVICE_REGISTRATION, "DeviceRegistration")
    registration = await call.state.store.get_registration(account_of(call), ident)
    if registration is None:
        raise not_found("DeviceRegistration", call.path["deviceRegistrationId"])
    return _out(call, registration)


@endpoint(
    "DELETE",
    "/PushNotifications/DeviceRegistrations/{deviceRegistrationId}",
    summary="Delete a device registration",
    tag="DeviceRegistrations",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.REGISTER,
    errors=(404,),
)
async def delete_device_registration(call: Call[ApiState]) -> Result:
    """Removes a registration with all its devices: the user gets nothing more in that app."""
    ident = path_id(call, "deviceRegistrationId", ids.DEVICE_REGISTRATION, "DeviceRegistration")
    if not await call.state.store.delete_registration(account_of(call), ident):
        raise not_found("DeviceRegistration", call.path["deviceRegistrationId"])
    return resource_accepted(call, "DeviceRegistrations", call.path["deviceRegistrationId"])


@endpoint(
    "DELETE",
    "/PushNotifications/DeviceRegistrations/{deviceRegistrationId}/devices/{token}",
    summary="Remove a device",
    tag="DeviceRegistrations",
    query=DeviceQuery,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.REGISTER,
    errors=(404,),
    basis="ours",
    params={"token": DeviceToken},
)
async def delete_device(call: Call[ApiState]) -> Result:
    """Removes a device token from a registration: in both environments, and all kinds of it or the one of `kind`.

    The answer points at the registration. When its last device goes, it goes too: from then on its address is a 404.
    """
    ident = path_id(call, "deviceRegistrationId", ids.DEVICE_REGISTRATION, "DeviceRegistration")
    account, store = account_of(call), call.state.store
    if call.auth.registration is not None:
        registration = await store.get_registration(account, ident)
        if registration is None:
            raise not_found("DeviceRegistration", call.path["deviceRegistrationId"])
        check_grant(call, registration.app_name, registration.user_id)
    if not await store.delete_devices(account, ident, _tokens(call.path["token"]), kind=call.query.kind):
        raise not_found("Device", call.path["token"])
    return resource_accepted(call, "DeviceRegistrations", call.path["deviceRegistrationId"])


def _for_phones(error: Conflict) -> Conflict:
    """The same without names and bundle ids: what other apps the account has is not for phones."""
    if error.code is not Code.TOKEN_OF_OTHER_APP:
        return error
    message = "this device token is registered under another app: register the token that the system gave this app"
    return Conflict(message, error.code, path=error.path)


def _tokens(text: str) -> set[tuple[ProviderName, bytes]]:
    """What a text may be as a token of each provider."""
    found = set()
    for provider in ProviderName:
        with contextlib.suppress(InvalidDeviceToken):
            found.add((provider, normalize_token(provider, text)))
    return found


def tokens_asked(text: str) -> set[tuple[ProviderName, bytes]]:
    """What the query parameter `token` may mean, one at least. Raises `Invalid` for a text that is no token."""
    found = _tokens(text)
    if not found:
        try:
            normalize_token(ProviderName.APN, text)
        except InvalidDeviceToken as error:
            raise Invalid([FieldProblem("token", str(error), Code.INVALID_DEVICE_TOKEN)]) from None
    return found


def tokens_of_query(query: RegistrationQuery) -> set[tuple[ProviderName, bytes]]:
    """The token whose registrations are asked for. Raises `Invalid` for a text that is none."""
    if query.user_id is not None or query.external_id is not None:
        raise Invalid([FieldProblem("token", "give either token or a user (userId, externalId), not both")])
    return tokens_asked("" if query.token is None else query.token)


async def user_of_query(call: Call[ApiState], query: RegistrationQuery) -> bytes:
    """The user whose registrations are asked for; no user's id for one that nobody has."""
    if query.user_id is not None and query.external_id is not None:
        raise Invalid([FieldProblem("externalId", "give either userId or externalId, not both")])
    if query.external_id is not None:
        found = await call.state.store.users_by_external_id(account_of(call), [query.external_id])
        return found.get(query.external_id, b"")
    if query.user_id is None:
        raise Invalid([FieldProblem("userId", "give userId, externalId or token", Code.MISSING_FIELD)])
    return query_id(query.user_id, "userId", ids.USER) or b""


def _out(call: Call[ApiState], registration: DeviceRegistration) -> RegistrationOut:
    user = ids.encode(ids.USER, registration.user_id)
    return RegistrationOut(
        id=ids.encode(ids.DEVICE_REGISTRATION, registration.id),
        app_name=registration.app_name,
        user_id=user,
        devices=[_device(each) for each in registration.devices],
        related=[
            Related("user", user, locate(call, "Users", user)),
            Related("app", registration.app_name, locate(call, "Apps", registration.app_name)),
        ],
        created_at=moment(registration.created),
        updated_at=moment(registration.updated),
    )


def _device(device: Device) -> DeviceOut:
    return DeviceOut(
        token=token_text(device.provider, device.token),
        provider=device.provider,
        kind=device.kind,
        environment=device.environment,
        environment_learned=device.environment_learned,
        state=device.state,
        state_reason=device.state_reason,
        registered_at=moment(device.registered_at),
        created_at=moment(device.created),
        installation_id=device.installation_id,
        activity_id=device.activity_id,
        app_version=device.app_version,
        locale=device.locale,
        time_zone=device.time_zone,
    )
