"""Signing in with an API key, and out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...domain.errors import Unavailable
from ..context import desk, form, redirect, render, session, transport
from ..session import forget

MAX_PART = 256


async def show(request: Request) -> Response:
    """The form; who is signed in already is led on."""
    if session(request) is not None and "ended" not in request.query_params:
        return redirect(request, _onward(request.query_params.get("next", "")))
    ended = "ended" in request.query_params
    return _page(request, next_=request.query_params.get("next", ""), ended=ended)


async def sign_in(request: Request) -> Response:
    """Begins a session with a key that the API accepts."""
    shared, given = desk(request), form(request)
    onward = given.get("next", "")
    if not transport(request).may_sign_in:
        return _page(request, next_=onward, status=403)
    address = _address(request)
    wait = shared.throttle.wait(address)
    if wait:
        message = f"Too many wrong keys came from your address. Try again in {wait} s."
        response = _page(request, next_=onward, error=message, status=429)
        response.headers["Retry-After"] = str(wait)
        return response
    key_id, secret = _key(given.get("key_id", ""), given.get("secret", ""))
    account = await _account(request, key_id, secret)
    if account is None:
        shared.throttle.failed(address)
        message = "This key is not known, or it has expired or been revoked. Check both parts."
        return _page(request, next_=onward, error=message, key_id=key_id, status=401)
    shared.throttle.succeeded(address)
    before = session(request)
    if before is not None:
        await shared.sessions.end(before)
    response = redirect(request, _onward(onward))
    shared.sessions.keep(shared.sessions.begin(key_id, secret, account), response, transport(request))
    return response


async def sign_out(request: Request) -> Response:
    """Ends the session."""
    who, message = session(request), "You are signed out."
    try:
        if who is not None:
            await desk(request).sessions.end(who)
    except Unavailable:
        message = (
            "You are signed out here. The store could not be reached to tell the other nodes: if somebody may have"
        )
        message += " copied the session's cookie, revoke its key."
    response = redirect(request, "/sign-in", message=message)
    forget(response, transport(request))
    return response


def _page(
    request: Request, *, next_: str, status: int = 200, error: str = "", key_id: str = "", ended: bool = False
) -> Response:
    return render(
        request,
        "sign_in/form.html",
        status=status,
        next=next_,
        error=error,
        key_id=key_id,
        ended=ended,
        allowed=transport(request).may_sign_in,
    )


def _key(key_id: str, secret: str) -> tuple[str, str]:
    """Both parts; they may have been put into the first field as one (`keyId:secret` or `keyId.secret`)."""
    if not secret:
        for mark in ":.":
            first, found, rest = key_id.partition(mark)
            if found:
                return first, rest
    return key_id, secret


async def _account(request: Request, key_id: str, secret: str) -> bytes | None:
    """The account of a key that is good now, whatever it may do; None for any other."""
    if not key_id.startswith("key_") or not secret or len(key_id) > MAX_PART or len(secret) > MAX_PART:
        return None
    principal = await desk(request).authenticator.authenticate(key_id, secret)
    return None if principal is None else principal.account_id


def _onward(path: str) -> str:
    """Where to go after signing in: a page of the dashboard and nowhere else."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path
    return path if safe else "/"


def _address(request: Request) -> str:
    """Whose failures are counted."""
    return request.client.host if request.client is not None else ""


ROUTES = [
    Route("/sign-in", show, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
