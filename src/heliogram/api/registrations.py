"""Device registrations: a user's devices in one app, added one by one."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import Environment, ProviderName
from ..domain.devices import (
    Device,
    DeviceRegistration,
    DeviceState,
    InvalidDeviceToken,
    NewDevice,
    normalize_token,
    token_text,
)
from ..domain.errors import Code, FieldProblem, Invalid
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
from .credentials import AppName, app_name_problem
from .state import ApiState

MAX_TOKEN_TEXT = 4096


class RegisterDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One device to register. Without `userId` a user is made. `environment` is for APNs: the app knows its
    entitlement."""

    app_name: AppName
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN_TEXT)]
    provider: ProviderName
    user_id: str | None = None
    environment: Environment | None = None


class DeviceOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A device. A quarantined one gets nothing until it is registered anew; `stateReason` says why."""

    token: str
    provider: ProviderName
    state: DeviceState
    registered_at: str
    environment: Environment | None = None
    state_reason: str | None = None


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
    """Filters of the list of device registrations."""

    user_id: Annotated[str, msgspec.Meta(description="Whose registrations.")]
    app_name: str | None = None


@endpoint(
    "POST",
    "/PushNotifications/DeviceRegistrations",
    summary="Register a device",
    tag="DeviceRegistrations",
    body=RegisterDevice,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.REGISTER,
    errors=(404,),
    response_headers={"Location": "The registration's address."},
)
async def register_device(call: Call[ApiState]) -> Result:
    """Adds a device to a user's registration in an app, or renews it. Safe to repeat at every launch of the app.

    A token that another user of the app had moves to this one; the 51st device displaces the one registered longest
    ago. An unknown app or user is a 404.
    """
    device = _new_device(call.body)
    registered = await call.state.store.register_device(account_of(call), device, call.state.now())
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
    """A user's registrations, one per app, newest first."""
    query, cursor, window = window_of(call.query)
    user_id = query_id(query.user_id, "userId", ids.USER) or b""
    listed = await call.state.store.list_registrations(
        account_of(call), window, user_id=user_id, app_name=query.app_name
    )
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


def _new_device(body: RegisterDevice) -> NewDevice:
    problems = app_name_problem(body.app_name)
    token, user_id = b"", None
    try:
        token = normalize_token(body.provider, body.token)
    except InvalidDeviceToken as error:
        problems.append(FieldProblem("$.token", str(error), Code.INVALID_DEVICE_TOKEN))
    if body.user_id is not None:
        try:
            user_id = ids.decode(ids.USER, body.user_id)
        except ids.InvalidId as error:
            problems.append(FieldProblem("$.userId", f"not a user id: {error}"))
    if body.environment is not None and body.provider is not ProviderName.APN:
        problems.append(FieldProblem("$.environment", "only APNs tokens have an environment: leave it out"))
    if problems:
        raise Invalid(problems)
    return NewDevice(
        app_name=body.app_name,
        token=token,
        provider=body.provider,
        user_id=user_id,
        environment=body.environment,
    )


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
        environment=device.environment,
        state=device.state,
        state_reason=device.state_reason,
        registered_at=moment(device.registered_at),
    )
