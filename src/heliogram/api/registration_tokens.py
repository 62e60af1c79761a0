"""Registration tokens: what a back end gives an app, so that a phone registers itself without holding an API key."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..domain import ids
from ..domain.accounts import RegistrationGrant, Scope
from ..domain.errors import Code, FieldProblem, Invalid, NotFound
from ..rest import Call, endpoint
from .answers import account_of, moment
from .credential_schemas import AppName, app_name_problem
from .registering import ExternalId, UserId, external_id_problem
from .state import ApiState

MIN_SECONDS = 60
MAX_SECONDS = 86_400
DEFAULT_SECONDS = 3600


class CreateRegistrationToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Whose devices may be registered in which app, and for how many seconds. Give `userId` or `externalId`, not both;
    an `externalId` that no user has makes a user."""

    app_name: AppName
    user_id: UserId | None = None
    external_id: ExternalId | None = None
    expires_in: Annotated[int, msgspec.Meta(ge=MIN_SECONDS, le=MAX_SECONDS)] | None = DEFAULT_SECONDS


class RegistrationTokenOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A registration token. It is kept nowhere."""

    registration_token: str
    expires_at: str
    user_id: str
    app_name: str


@endpoint(
    "POST",
    "/PushNotifications/RegistrationTokens",
    summary="Make a registration token for an app",
    tag="RegistrationTokens",
    body=CreateRegistrationToken,
    returns=RegistrationTokenOut,
    status=201,
    scope=Scope.REGISTER,
    errors=(404,),
    basis="ours",
    response_headers={"Cache-Control": "no-store: the answer holds a secret."},
)
async def create_registration_token(call: Call[ApiState]) -> RegistrationTokenOut:
    """Makes a signed token that registers and removes the devices of one user in one app, and does nothing else.

    The app sends it as `Authorization: Bearer hgr_…`, or as the password of the user `registration` in HTTP Basic. It
    ends after `expiresIn` seconds (60 to 86,400), or within a second when the API key that made it ends.
    """
    account, body = account_of(call), call.body
    named = _named(body)
    if await call.state.store.get_app(account, body.app_name) is None:
        raise NotFound("app", body.app_name, path="$.appName", code=Code.UNKNOWN_APP)
    user = await _user(call, named)
    expires = int(call.state.clock.time()) + (DEFAULT_SECONDS if body.expires_in is None else body.expires_in)
    grant = RegistrationGrant(
        account_id=account, key_id=call.auth.key_id, app_name=body.app_name, user_id=user, expires=expires
    )
    return RegistrationTokenOut(
        registration_token=call.state.key_maker.registration_token(grant),
        expires_at=moment(expires * 1000),
        user_id=ids.encode(ids.USER, user),
        app_name=body.app_name,
    )


def _named(body: CreateRegistrationToken) -> bytes | None:
    """The user's id that was given, if one was. Raises `Invalid` with all that is wrong."""
    problems = app_name_problem(body.app_name)
    user = None
    if body.external_id is not None:
        problems += external_id_problem(body.external_id)
    if (body.user_id is None) == (body.external_id is None):
        problems.append(FieldProblem("$.userId", "give either userId or externalId", Code.MISSING_FIELD))
    elif body.user_id is not None:
        try:
            user = ids.decode(ids.USER, body.user_id)
        except ids.InvalidId as error:
            problems.append(FieldProblem("$.userId", f"not a user id: {error}"))
    if problems:
        raise Invalid(problems)
    return user


async def _user(call: Call[ApiState], named: bytes | None) -> bytes:
    account, store = account_of(call), call.state.store
    if named is None:
        return await store.ensure_user(account, call.body.external_id, call.state.now())
    if await store.missing_users(account, [named]):
        raise NotFound("user", call.body.user_id, path="$.userId", code=Code.UNKNOWN_USER)
    return named
