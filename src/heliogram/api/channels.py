"""Broadcast channels of an app: create, get, list, delete. APNs keeps them; what is said here is what it says now."""

from __future__ import annotations

import bisect
from typing import Annotated, Any, ClassVar

import msgspec

from ..domain.accounts import Scope
from ..domain.apps import App, CredentialType, Environment, OpenedCredential
from ..domain.channels import MAX_CHANNELS, StoragePolicy, channel_of, path_of
from ..domain.errors import Code, FieldProblem, Invalid
from ..ports import Provider
from ..rest import Call, PageQuery, Pagination, Result, endpoint, not_found, page, resume
from . import examples
from .answers import ResourceAccepted, account_of, locate
from .apps import app_in_path
from .audit import audit
from .credential_schemas import AppName
from .credential_uploads import open_credential, provider_of
from .state import ApiState

PATH = "/PushNotifications/Apps/{appName}/Channels"
TYPES = {Environment.PRODUCTION: CredentialType.APN, Environment.SANDBOX: CredentialType.APN_SANDBOX}
EnvironmentIn = Annotated[
    Environment | None, msgspec.Meta(description="Where the channel lives: channels do not cross. Default: production.")
]
ChannelId = Annotated[
    str,
    msgspec.Meta(
        description="The channel's id in base64url: APNs' id with `-` for `+` and `_` for `/`. Its padding may be left"
        " out.",
        extra_json_schema={"pattern": "^[A-Za-z0-9_+-]+={0,2}$", "maxLength": 256},
    ),
]
PARAMS = {"appName": AppName, "channelId": ChannelId}


class CreateChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A channel to make. The policy cannot be changed later: `NO_MESSAGE_STORED` allows more frequent updates,
    `MOST_RECENT_MESSAGE_STORED` keeps the latest for devices that are away, for at most 8 hours."""

    __openapi__: ClassVar[dict[str, Any]] = {"examples": examples.CREATE_CHANNEL}

    storage_policy: StoragePolicy
    environment: EnvironmentIn = None


class ChannelItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A channel in a list. `id` is what stands in paths, `channelId` what apps and Live Activities take."""

    id: str
    channel_id: str


class ChannelOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A channel. `id` is what stands in paths, `channelId` what apps and Live Activities take; `pushType` is APNs'."""

    id: str
    channel_id: str
    app_name: str
    environment: Environment
    storage_policy: StoragePolicy
    push_type: str


class ChannelPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of channels, in the order of their ids. `count` is how many there are, `limit` how many there may be."""

    channels: list[ChannelItem]
    environment: Environment
    count: int
    limit: int
    pagination: Pagination


class ChannelQuery(msgspec.Struct, kw_only=True, rename="camel"):
    """Where the channel lives."""

    environment: EnvironmentIn = None


class ChannelListQuery(PageQuery, kw_only=True):
    """Where the channels live."""

    environment: EnvironmentIn = None


@endpoint(
    "POST",
    PATH,
    summary="Create a broadcast channel",
    tag="Channels",
    body=CreateChannel,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404, 409, 503),
    basis="ours",
    params=PARAMS,
    response_headers={"Location": "The channel's address."},
)
async def create_channel(call: Call[ApiState]) -> Result:
    """Makes a channel at APNs, with the app's default credential for the environment. The app needs the Broadcast
    capability (`FeatureNotEnabled` otherwise). An app has up to 10,000 channels in each environment.

    A 503 may mean that the channel was made and the answer got lost: look at the list before you ask again.
    """
    environment = call.body.environment or Environment.PRODUCTION
    app, provider, opened = await access(call, environment, "$.environment")
    channel_id = await provider.create_channel(opened, call.body.storage_policy)
    await audit(call, "channel.created", channel_id, appName=app.name, environment=environment.value)
    return _pointer(call, app, channel_id, environment)


@endpoint(
    "GET",
    PATH,
    summary="List broadcast channels",
    tag="Channels",
    query=ChannelListQuery,
    returns=ChannelPage,
    scope=Scope.READ,
    errors=(404, 409, 503),
    basis="ours",
    params=PARAMS,
)
async def list_channels(call: Call[ApiState]) -> dict[str, Any]:
    """The ids of the app's channels in one environment, asked of APNs for every page."""
    query, cursor = resume(call.query)
    environment = query.environment or Environment.PRODUCTION
    _, provider, opened = await access(call, environment, "environment")
    found = sorted(await provider.list_channels(opened))
    if cursor is not None and not isinstance(cursor, str):
        raise Invalid([FieldProblem("pageToken", "expected the token of an earlier page of this list")])
    start = 0 if cursor is None else bisect.bisect_right(found, cursor)
    wanted = found[start : start + query.page_size]
    following = wanted[-1] if start + query.page_size < len(found) else None
    items = [ChannelItem(id=path_of(each), channel_id=each) for each in wanted]
    body = page(items, "channels", query=query, cursor=cursor, next_cursor=following)
    return {**body, "environment": environment, "count": len(found), "limit": MAX_CHANNELS}


@endpoint(
    "GET",
    PATH + "/{channelId}",
    summary="Get a broadcast channel",
    tag="Channels",
    query=ChannelQuery,
    returns=ChannelOut,
    scope=Scope.READ,
    errors=(404, 409, 503),
    basis="ours",
    params=PARAMS,
)
async def get_channel(call: Call[ApiState]) -> ChannelOut:
    """A channel as APNs describes it."""
    environment = call.query.environment or Environment.PRODUCTION
    channel_id = channel_in_path(call)
    app, provider, opened = await access(call, environment, "environment")
    found = await provider.read_channel(opened, channel_id)
    return ChannelOut(
        id=path_of(channel_id),
        channel_id=channel_id,
        app_name=app.name,
        environment=environment,
        storage_policy=found.policy,
        push_type=found.push_type,
    )


@endpoint(
    "DELETE",
    PATH + "/{channelId}",
    summary="Delete a broadcast channel",
    tag="Channels",
    query=ChannelQuery,
    returns=ResourceAccepted,
    status=202,
    scope=Scope.SEND,
    errors=(404, 409, 503),
    basis="ours",
    params=PARAMS,
)
async def delete_channel(call: Call[ApiState]) -> Result:
    """Removes a channel for good: its id never comes back. A message that is stored already is not recalled."""
    environment = call.query.environment or Environment.PRODUCTION
    channel_id = channel_in_path(call)
    app, provider, opened = await access(call, environment, "environment")
    await provider.delete_channel(opened, channel_id)
    await audit(call, "channel.deleted", channel_id, appName=app.name, environment=environment.value)
    return _pointer(call, app, channel_id, environment)


def channel_in_path(call: Call[ApiState]) -> str:
    """The channel's id as APNs has it. Raises a 404 for a text that cannot be one."""
    text = call.path["channelId"]
    channel_id = channel_of(text)
    if channel_id is None:
        raise not_found("Channel", text, Code.UNKNOWN_CHANNEL)
    return channel_id


async def access(call: Call[ApiState], environment: Environment, path: str) -> tuple[App, Provider, OpenedCredential]:
    """The app in the path, and its default credential for the environment. Raises a 404 for no such app and `Invalid`
    at `path` when it has no credential there."""
    app = await app_in_path(call)
    type_ = TYPES[environment]
    ident = next((each.id for each in app.default_credentials if each.type is type_), None)
    opened = None if ident is None else await open_credential(call.state, account_of(call), ident)
    provider = provider_of(call.state, type_)
    if opened is None or provider is None:
        message = f"the app {app.name!r} has no {type_.value} credential: upload one, or choose the other environment"
        raise Invalid([FieldProblem(path, message, Code.NO_CREDENTIAL)])
    return app, provider, opened


def _pointer(call: Call[ApiState], app: App, channel_id: str, environment: Environment) -> Result:
    ident = path_of(channel_id)
    location = locate(call, "Apps", app.name, "Channels", ident)
    if environment is not Environment.PRODUCTION:
        location += f"?environment={environment.value}"
    return Result(ResourceAccepted(ident, location), headers={"Location": location})
