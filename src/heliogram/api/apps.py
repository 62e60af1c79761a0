"""Apps: get, list and make the default. They are born with their first credential and die with their last."""

from __future__ import annotations

from typing import Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import App, CredentialType
from ..domain.errors import FieldProblem, Invalid
from ..ports import Window
from ..rest import Call, Pagination, Result, endpoint, not_found
from .answers import DatedQuery, ResourceAccepted, account_of, listing, moment, resource_accepted, window_of
from .audit import audit_event
from .credential_schemas import AppName, DefaultFlag
from .state import ApiState

MOST_CREDENTIALS = 1000
"""No app may have more, whatever an account's limits."""


class DefaultCredentialOut(msgspec.Struct, frozen=True, rename="camel"):
    """The credential used for a type when a send names none."""

    credential_type: CredentialType
    id: str


class AppCountsOut(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of an app: credentials, revoked ones too, and users with devices in it, counted to 10,000."""

    credentials: int
    users: int


class AppOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An app. Lists leave `counts` out."""

    name: str
    is_default: bool
    default_credentials: list[DefaultCredentialOut]
    created_at: str
    updated_at: str
    counts: AppCountsOut | msgspec.UnsetType = msgspec.UNSET


class AppPage(msgspec.Struct, frozen=True):
    """A page of apps, newest first."""

    apps: list[AppOut]
    pagination: Pagination


class AppQuery(DatedQuery, kw_only=True):
    """Filters of the list of apps."""

    is_default: bool | None = None


@endpoint(
    "GET",
    "/PushNotifications/Apps",
    summary="List apps",
    tag="Apps",
    query=AppQuery,
    returns=AppPage,
    scope=Scope.READ,
)
async def list_apps(call: Call[ApiState]) -> dict[str, Any]:
    """Apps of the account, newest first."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_apps(account_of(call), window, is_default=query.is_default)
    return listing("apps", [_out(each) for each in listed.items], listed, query, cursor)


@endpoint(
    "GET",
    "/PushNotifications/Apps/{appName}",
    summary="Get an app",
    tag="Apps",
    returns=AppOut,
    scope=Scope.READ,
    errors=(404,),
    params={"appName": AppName},
)
async def get_app(call: Call[ApiState]) -> AppOut:
    """An app, its default credentials, and how much there is of it."""
    app = await app_in_path(call)
    account, store = account_of(call), call.state.store
    credentials = await store.list_credentials(account, Window(limit=MOST_CREDENTIALS), app_name=app.name)
    counts = AppCountsOut(credentials=len(credentials.items), users=await store.count_users(account, app.name))
    return msgspec.structs.replace(_out(app), counts=counts)


@endpoint(
    "PATCH",
    "/PushNotifications/Apps/{appName}",
    summary="Make an app the default",
    tag="Apps",
    body=DefaultFlag,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.CREDENTIALS,
    errors=(404,),
    params={"appName": AppName},
)
async def update_app(call: Call[ApiState]) -> Result:
    """With `isDefault: true` the account sends from this app whenever a send names no other. The resource id of an app
    is its name."""
    app = await app_in_path(call)
    if call.body.is_default and not app.is_default:
        event = audit_event(call, "app.made_default", app.name)
        if not await call.state.store.make_default_app(account_of(call), app.name, call.state.now(), audit=event):
            raise not_found("App", app.name)
    elif app.is_default and not call.body.is_default:
        message = "this is the default app, and there is always one: make another app the default instead"
        raise Invalid([FieldProblem("$.isDefault", message)])
    return resource_accepted(call, "Apps", app.name)


async def app_in_path(call: Call[ApiState]) -> App:
    """The app that the path names. Raises a 404."""
    app = await call.state.store.get_app(account_of(call), call.path["appName"])
    if app is None:
        raise not_found("App", call.path["appName"])
    return app


def _out(app: App) -> AppOut:
    return AppOut(
        name=app.name,
        is_default=app.is_default,
        default_credentials=[
            DefaultCredentialOut(each.type, ids.encode(ids.CREDENTIAL, each.id)) for each in app.default_credentials
        ],
        created_at=moment(app.created),
        updated_at=moment(app.updated),
    )
