"""Signing in with an API key, and out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import desk, form, redirect, render, session, transport
from ..inprocess import Api, ApiProblem
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
    if not await _is_good(request, key_id, secret):
        shared.throttle.failed(address)
        message = "This key is not known, or it has expired or been revoked. Check both parts."
        return _page(request, next_=onward, error=message, key_id=key_id, status=401)
    shared.throttle.succeeded(address)
    before = session(request)
    if before is not None:
        shared.sessions.end(before)
    response = redirect(request, _onward(onward))
    shared.sessions.keep(shared.sessions.begin(key_id, secret), response, transport(request))
    return response


async def sign_out(request: Request) -> Response:
    """Ends the session."""
    who = session(request)
    if who is not None:
        desk(request).sessions.end(who)
    response = redirect(request, "/sign-in", message="You are signed out.")
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


async def _is_good(request: Request, key_id: str, secret: str) -> bool:
    """Whether the API knows the key. It answers 401 to every stranger, whatever a key may do."""
    if not key_id.startswith("key_") or not secret or len(key_id) > MAX_PART or len(secret) > MAX_PART:
        return False
    try:
        await Api(desk(request).api, request.scope, key_id, secret).get("/v1/Account")
    except ApiProblem as problem:
        if problem.status == 401:
            return False
        if problem.status != 403:
            raise
    return True


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
