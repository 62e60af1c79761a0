"""Apps: get and list. They are born with their first credential and die with their last."""

from __future__ import annotations

from typing import Any

import msgspec

from ..domain import ids
from ..domain.accounts import Scope
from ..domain.apps import App, CredentialType
from ..rest import Call, Pagination, endpoint, not_found
from .answers import DatedQuery, account_of, listing, moment, window_of
from .credentials import AppName
from .state import ApiState


class DefaultCredentialOut(msgspec.Struct, frozen=True, rename="camel"):
    """The credential used for a type when a send names none."""

    credential_type: CredentialType
    id: str


class AppOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An app."""

    name: str
    is_default: bool
    default_credentials: list[DefaultCredentialOut]
    created_at: str
    updated_at: str


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
    """An app and its default credentials."""
    app = await call.state.store.get_app(account_of(call), call.path["appName"])
    if app is None:
        raise not_found("App", call.path["appName"])
    return _out(app)


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
