"""Who is calling: HTTP Basic `keyId:secret`, the same pair as a Bearer token `keyId.secret`, or a registration token as
Bearer or as the password of the user `registration`."""

from __future__ import annotations

import base64
import binascii
import math
import re

from ..domain.accounts import Principal, Scope
from ..domain.errors import Code
from ..ports import Authenticator
from ..rest import Authenticate, Call, Problem, Request
from .state import ApiState
from .throttle import Throttle

REALM = 'Basic realm="heliogram"'
REGISTRATION = "registration"
"""The user name that goes with a registration token."""
TOKEN_PREFIX = "hgr_"  # noqa: S105 - what every registration token begins with
_MAX_HEADER = 1024

_ID = r"[^/]+"
_FOR_TOKENS = re.compile(
    r"POST /[a-z0-9]+/PushNotifications/DeviceRegistrations"
    rf"|DELETE /[a-z0-9]+/PushNotifications/DeviceRegistrations/{_ID}/devices/{_ID}"
)
"""All that a registration token is for. What these two do they ask `check_grant` about."""


def key_of(header: str) -> tuple[str, str] | None:
    """The key id and the secret in an Authorization header, `registration` and a registration token, or None."""
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if len(value) > _MAX_HEADER:
        return None
    if scheme.lower() == "bearer":
        if value.startswith(TOKEN_PREFIX):
            return REGISTRATION, value
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


def authenticate_with(authenticator: Authenticator, throttle: Throttle) -> Authenticate:
    """The check `build_app` runs before everything that is not public.

    It answers the same 401 to every stranger, whatever was wrong with the key and whether or not the path exists; 429
    to an account that calls faster than it may; 403 to a key that may not do this.
    """

    async def authenticate(request: Request, scope: str | None) -> Principal:
        key = key_of(request.headers.get("authorization", ""))
        principal = None if key is None else await authenticator.authenticate(*key)
        if principal is None:
            detail = "Give a valid API key: HTTP Basic with the key id as user name and its secret as password."
            raise Problem(401, Code.UNAUTHORIZED, "Unauthorized", detail, headers={"WWW-Authenticate": REALM})
        wait = throttle.wait(principal.account_id, principal.limits)
        if wait:
            raise _too_many(principal, wait)
        if principal.registration is not None:
            _require_registering(request)
        elif scope is not None and not principal.may(Scope(scope)):
            raise _forbidden(f"This API key lacks the scope '{scope}'.")
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


def _require_registering(request: Request) -> None:
    """Refuses with a registration token whatever it is not for."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if _FOR_TOKENS.fullmatch(f"{request.method} {path}") is None:
        raise _forbidden(
            "A registration token only registers and removes devices of its own user in its own app: use an API key."
        )


def _forbidden(detail: str) -> Problem:
    return Problem(403, Code.FORBIDDEN, "Forbidden", detail)


def _too_many(principal: Principal, wait: float) -> Problem:
    seconds = max(1, math.ceil(wait))
    detail = (
        f"This account may make {principal.limits.requests_per_second:g} requests a second. "
        f"Try again in {seconds} s, or have the limit raised (heliogram accounts limits)."
    )
    headers = {"Retry-After": str(seconds)}
    return Problem(429, Code.TOO_MANY_REQUESTS, "Too many requests", detail, headers=headers)
