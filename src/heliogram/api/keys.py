"""API keys: made, listed, rotated and revoked. A secret is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from ..domain import ids
from ..domain.accounts import (
    DEFAULT_GRACE_SECONDS,
    LAST_MOMENT,
    MAX_GRACE_SECONDS,
    MAX_KEY_NAME,
    ApiKey,
    Principal,
    Scope,
)
from ..domain.errors import Code, Conflict, FieldProblem, Invalid
from ..rest import Call, PageQuery, Pagination, Problem, Result, endpoint, not_found
from .answers import NO_NUL, ResourceAccepted, account_of, listing, locate, moment, path_id, window_of
from .audit import audit_event
from .idempotency import key_in_use
from .state import ApiState

ROOT = "/ApiKeys"


class CreateApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A key to make. `scopes` is what it may do: `send`, `register`, `users`, `read`, `credentials`, or `admin` for
    everything. Without `expiresAt` (a date-time in the future) it is good until it is revoked."""

    name: (
        Annotated[
            str,
            msgspec.Meta(max_length=MAX_KEY_NAME, pattern=NO_NUL, description="What it is for; only people read it."),
        ]
        | None
    ) = ""
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
    expires_at: Annotated[str, msgspec.Meta(max_length=64, pattern=NO_NUL)] | None = None


class RotateApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How long the old key goes on beside its successor: 0 seconds to 30 days."""

    grace_seconds: Annotated[int, msgspec.Meta(ge=0, le=MAX_GRACE_SECONDS)] | None = DEFAULT_GRACE_SECONDS


class ApiKeyOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An API key without its secret. `state`: `active`, `expired` or `revoked`. `lastUsedAt` is right to the minute."""

    id: str
    name: str
    scopes: list[Scope]
    state: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class ApiKeyMade(ApiKeyOut, frozen=True, kw_only=True, rename="camel"):
    """A new API key with its secret, which is shown this once and kept nowhere."""

    secret: str


class ApiKeyPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of API keys, newest first."""

    api_keys: list[ApiKeyOut]
    pagination: Pagination


async def _made_before(call: Call[ApiState], ident: bytes) -> Result | None:
    """The answer for a key that an earlier try with the same Idempotency-Key has made. Its secret is kept nowhere, and
    nobody was told it, for that answer was lost: the key gets another."""
    key = await call.state.store.get_api_key(account_of(call), ident)
    if key is None:
        return None
    renewed, secret = call.state.key_maker.renewed(key)
    if not await call.state.store.renew_api_key(account_of(call), renewed, key.hash):
        raise key_in_use()
    return _made(call, renewed, secret)


_MADE = {"Location": "The key's address.", "Cache-Control": "no-store: the answer holds a secret."}


@endpoint(
    "POST",
    ROOT,
    summary="Make an API key",
    tag="ApiKeys",
    body=CreateApiKey,
    returns=ApiKeyMade,
    status=201,
    scope=Scope.ADMIN,
    basis="ours",
    response_headers=_MADE,
    recover=_made_before,
)
async def create_api_key(call: Call[ApiState]) -> Result:
    """Makes a key of this account. At most 100 are active at a time. A key grants no scope that it lacks itself."""
    body: CreateApiKey = call.body
    _require_grantable(call.auth, body.scopes)
    now = call.state.now()
    key, secret = call.state.key_maker.api_key(
        account_of(call),
        name=body.name or "",
        scopes=[scope for scope in Scope if scope in body.scopes],
        created=now,
        expires=_end(body.expires_at, now),
        ident=call.state.ids.new(),
    )
    scopes, end = list(key.scopes), _moment(key.expires)
    event = audit_event(call, "apiKey.created", _id(key), name=key.name, scopes=scopes, expiresAt=end)
    await call.state.store.create_api_key(account_of(call), key, audit=event)
    return _made(call, key, secret)


@endpoint(
    "GET",
    ROOT,
    summary="List API keys",
    tag="ApiKeys",
    query=PageQuery,
    returns=ApiKeyPage,
    scope=Scope.ADMIN,
    basis="ours",
)
async def list_api_keys(call: Call[ApiState]) -> dict[str, Any]:
    """Keys of the account, newest first; those that ended stay listed for 400 days."""
    query, cursor, window = window_of(call.query)
    listed = await call.state.store.list_api_keys(account_of(call), window)
    items = [ApiKeyOut(**_fields(each, call.state.now())) for each in listed.items]
    return listing("apiKeys", items, listed, query, cursor)


@endpoint(
    "GET",
    ROOT + "/{keyId}",
    summary="Get an API key",
    tag="ApiKeys",
    returns=ApiKeyOut,
    scope=Scope.ADMIN,
    errors=(404,),
    basis="ours",
)
async def get_api_key(call: Call[ApiState]) -> ApiKeyOut:
    """A key, never its secret."""
    return ApiKeyOut(**_fields(await _key(call), call.state.now()))


@endpoint(
    "POST",
    ROOT + "/{keyId}/rotate",
    summary="Rotate an API key",
    tag="ApiKeys",
    body=RotateApiKey,
    returns=ApiKeyMade,
    status=201,
    scope=Scope.ADMIN,
    errors=(404, 409),
    basis="ours",
    response_headers=_MADE,
    recover=_made_before,
)
async def rotate_api_key(call: Call[ApiState]) -> Result:
    """Makes a successor with the same name and scopes, and lets the old key expire after `graceSeconds`, unless it
    expires before. A key that was made to expire gets a successor that lives as long. Registration tokens that the old
    key made end with it."""
    old = await _key(call)
    _require_grantable(call.auth, old.scopes)
    now = call.state.now()
    key, secret = call.state.key_maker.api_key(
        account_of(call),
        name=old.name,
        scopes=old.scopes,
        created=now,
        expires=old.successor_expires(now),
        ident=call.state.ids.new(),
    )
    grace: int | None = call.body.grace_seconds
    ends = now + 1000 * (DEFAULT_GRACE_SECONDS if grace is None else grace)
    event = audit_event(call, "apiKey.rotated", _id(old), successor=_id(key), expiresAt=moment(ends))
    if not await call.state.store.rotate_api_key(account_of(call), old.id, key, ends, audit=event):
        raise Conflict("this API key has ended and cannot be rotated: make a new one", Code.KEY_ENDED)
    return _made(call, key, secret)


@endpoint(
    "DELETE",
    ROOT + "/{keyId}",
    summary="Revoke an API key",
    tag="ApiKeys",
    returns=ResourceAccepted,
    status=202,
    scope=Scope.ADMIN,
    errors=(404, 409),
    basis="ours",
)
async def revoke_api_key(call: Call[ApiState]) -> Result:
    """Ends a key, and every registration token it made, within a second. It stays listed; revoking it again changes
    nothing. The account's last active key with the scope `admin` cannot be revoked here (409), only with the command
    line on the server."""
    key = await _key(call)
    event = audit_event(call, "apiKey.revoked", _id(key), name=key.name)
    await call.state.store.revoke_api_key(
        account_of(call), key.id, call.state.now(), keep_admin=key.revoked is None, audit=event
    )
    location = locate(call, _id(key), root=ROOT)
    return Result(ResourceAccepted(_id(key), location), headers={"Location": location})


async def _key(call: Call[ApiState]) -> ApiKey:
    key = await call.state.store.get_api_key(account_of(call), path_id(call, "keyId", ids.API_KEY, "ApiKey"))
    if key is None:
        raise not_found("ApiKey", call.path["keyId"])
    return key


def _require_grantable(maker: Principal, scopes: list[Scope] | tuple[Scope, ...]) -> None:
    lacking = [scope for scope in scopes if not maker.may(scope)]
    if lacking:
        detail = f"This API key cannot grant the scope '{lacking[0]}': it lacks it itself."
        raise Problem(403, Code.FORBIDDEN, "Forbidden", detail)


def _end(text: str | None, now: int) -> int | None:
    """The end of a key in ms. Raises `Invalid` for what is no moment to come."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        end = int(parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp() * 1000)
        if end > LAST_MOMENT + 999:  # by its offset
            raise ValueError(text)
    except (ValueError, OverflowError):
        message = "expected a date-time such as 2027-05-30T17:24:46Z"
        raise Invalid([FieldProblem("$.expiresAt", message)]) from None
    if end <= now:
        raise Invalid([FieldProblem("$.expiresAt", "has passed: give a date-time in the future, or leave it out")])
    return end


def _made(call: Call[ApiState], key: ApiKey, secret: str) -> Result:
    headers = {"Location": locate(call, _id(key), root=ROOT), "Cache-Control": "no-store"}
    return Result(ApiKeyMade(**_fields(key, call.state.now()), secret=secret), headers=headers)


def _id(key: ApiKey) -> str:
    return ids.encode(ids.API_KEY, key.id)


def _fields(key: ApiKey, now: int) -> dict[str, Any]:
    return {
        "id": _id(key),
        "name": key.name,
        "scopes": list(key.scopes),
        "state": key.state_at(now),
        "created_at": moment(key.created),
        "expires_at": _moment(key.expires),
        "last_used_at": _moment(key.last_used),
        "revoked_at": _moment(key.revoked),
    }


def _moment(ms: int | None) -> str | None:
    return None if ms is None else moment(ms)
