"""Who is calling: HTTP Basic `keyId:secret`, or the same pair as a Bearer token `keyId.secret`."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from ..domain.accounts import Principal, Scope
from ..domain.errors import Code
from ..ports import Authenticator
from ..rest import Authenticate, Call, Problem
from .state import ApiState

REALM = 'Basic realm="heliogram"'
_MAX_HEADER = 1024


def key_of(header: str) -> tuple[str, str] | None:
    """The key id and the secret in an Authorization header, None when it holds none."""
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if len(value) > _MAX_HEADER:
        return None
    if scheme.lower() == "bearer":
        key_id, dot, secret = value.partition(".")
        return (key_id, secret) if key_id and dot and secret else None
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    key_id, colon, secret = text.partition(":")
    return (key_id, secret) if key_id and colon and secret else None


def authenticate_with(authenticator: Authenticator) -> Authenticate:
    """The check `build_app` runs before everything that is not public.

    It answers the same 401 to every stranger, whatever was wrong with the key and whether or not the path exists.
    """

    async def authenticate(request: Request, scope: str | None) -> Principal:
        key = key_of(request.headers.get("authorization", ""))
        principal = None if key is None else await authenticator.authenticate(*key)
        if principal is None:
            detail = "Give a valid API key: HTTP Basic with the key id as user name and its secret as password."
            raise Problem(401, Code.UNAUTHORIZED, "Unauthorized", detail, headers={"WWW-Authenticate": REALM})
        if scope is not None and not principal.may(Scope(scope)):
            raise Problem(403, Code.FORBIDDEN, "Forbidden", f"This API key lacks the scope '{scope}'.")
        return principal

    return authenticate


def check_grant(call: Call[ApiState], app_name: str, user_id: bytes | None) -> bytes | None:
    """The user whose device the caller may register or remove in this app.

    With an API key: `user_id` as it was given. With a registration token: the token's own user, also when none was
    given. Raises `Problem` 403 when the token is for another app or another user.
    """
    principal: Principal = call.auth
    grant = principal.registration
    if grant is None:
        return user_id
    if app_name != grant.app_name:
        raise _forbidden("This registration token is for another app.")
    if user_id is not None and user_id != grant.user_id:
        raise _forbidden("This registration token is for another user: leave userId out, or give the token's.")
    return grant.user_id


def _forbidden(detail: str) -> Problem:
    return Problem(403, Code.FORBIDDEN, "Forbidden", detail)
