"""What a page's handler asks for: the API, its form, and an answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from ..ports import Authenticator, Clock, Readiness
from .inprocess import Api, ApiProblem, segment
from .messages import Messages, shown
from .session import Session, Sessions, Transport
from .static import at
from .streams import Streams
from .throttle import SignInThrottle

__all__ = ["ApiProblem", "Desk", "api", "at", "desk", "form", "redirect", "render", "segment", "session"]

_AS_IT_IS = ":/%#?=@[]!$&'()*+,;"
"""What may stand in an address, as in the redirects of browsers without JavaScript."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What all pages share."""

    api: ASGIApp = field(repr=False)
    clock: Clock
    readiness: Readiness
    sessions: Sessions
    messages: Messages
    throttle: SignInThrottle
    authenticator: Authenticator = field(repr=False)
    streams: Streams = field(default_factory=Streams)
    templates: jinja2.Environment = field(repr=False)
    behind_proxy: bool = False
    tick_seconds: float = 1.0


def desk(request: Request) -> Desk:
    """What all pages share."""
    found: Desk = request.app.state.desk
    return found


def session(request: Request) -> Session | None:
    """Who is signed in."""
    found: Session | None = request.state.session
    return found


def transport(request: Request) -> Transport:
    """How the browser came here."""
    found: Transport = request.state.transport
    return found


def api(request: Request) -> Api:
    """The REST API with the key of whoever is signed in. Raises `ApiProblem` 401 when nobody is."""
    who = session(request)
    if who is None:
        raise ApiProblem(401, 20003, "Not signed in", "Sign in with an API key.")
    return Api(desk(request).api, request.scope, who.key_id, who.secret)


def form(request: Request, *, exact: Collection[str] = ()) -> dict[str, str]:
    """The fields of a POST; of several with one name the last. Lines end in LF, for forms send CR LF. Ids and addresses
    are pasted with space around them, which is taken off; fields in `exact`, such as a password or a text that people
    will read, keep it. See `fields` for all."""
    plain = {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in fields(request)}
    return {name: value if name in exact else value.strip() for name, value in plain.items()}


def fields(request: Request) -> list[tuple[str, str]]:
    """All fields of a POST as they came, in order. Its CSRF token has been checked."""
    found: list[tuple[str, str]] = request.state.form
    return found


def is_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of the page."""
    headers = request.headers
    return "hx-request" in headers and "hx-boosted" not in headers and "hx-history-restore-request" not in headers


def render(
    request: Request, template: str, /, *, status: int = 200, block: str | None = None, **context: Any
) -> Response:
    """A page; for htmx the block alone (`content` when none is named). A message left by `redirect` is shown once."""
    found = desk(request).templates.get_template(template)
    fragment = is_fragment(request)
    message = "" if fragment else desk(request).messages.read(request)
    only = (block or "content") if fragment else ""
    html = found.render({**_known(request), "message": message, "only": only, **context})
    response = HTMLResponse(html, status_code=status, headers={"Vary": "HX-Request, Cookie"})
    if message:
        shown(response)
    return response


def part(request: Request, template: str, /, **context: Any) -> str:
    """A template that is a part of a page, as HTML."""
    return desk(request).templates.get_template(template).render({**_known(request), **context})


def _known(request: Request) -> dict[str, Any]:
    """What every template knows."""
    who = session(request)
    return {
        "request": request,
        "path": request.scope["path"].removeprefix(at("")) or "/",
        "now": desk(request).clock.time(),
        "session": who,
        "csrf_token": "" if who is None else who.csrf,
    }


def redirect(request: Request, path: str, *, message: str = "", status: int = 303) -> Response:
    """Leads to another page of the dashboard (`/users`), which shows the message once."""
    response: Response
    if is_fragment(request):
        response = Response(status_code=204, headers={"HX-Redirect": quote(at(path), safe=_AS_IT_IS)})
    else:
        response = RedirectResponse(at(path), status_code=status)
    if message:
        desk(request).messages.leave(response, message, secure=transport(request).secure)
    return response


def without_session(request: Request, *, ended: bool) -> Response:
    """Leads to the sign-in page and from there back. `ended`: there was a session, and the API refused its key."""
    query: Mapping[str, str] = {"ended": "1"} if ended else {}
    page = request.scope["path"].removeprefix(at(""))
    if request.method == "GET" and not is_fragment(request) and page not in ("", "/"):
        query = {**query, "next": page + (f"?{request.url.query}" if request.url.query else "")}
    told = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return redirect(request, "/sign-in" + (f"?{told}" if told else ""))
