"""What stands before every page: who is asking, whether a form is the session's own, and the headers of all answers."""

from __future__ import annotations

import asyncio
import hmac
import logging
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..domain.errors import Unavailable
from .context import Desk, render, without_session
from .inprocess import ApiProblem
from .session import forget, transport_of
from .static import at
from .streams import Streams

MAX_FORM = 2 * 1024 * 1024
"""Bytes of a form: a list of recipients or a certificate fits in."""
MAX_FIELDS = 1000
FORM_SECONDS = 60.0
"""How long a form may take to arrive: strangers may send one, too."""
TIMEOUT = 408
CSRF_HEADER = "x-csrf-token"
_log = logging.getLogger("heliogram.web")
STATIC = "/static/"
PUBLIC = (STATIC, "/sign-in")
SIGN_OUT = "/sign-out"
RETRY_SECONDS = 5

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """The ASGI application of the dashboard around its pages."""

    def __init__(self, pages: Starlette, desk: Desk) -> None:
        self._pages, self._desk = pages, desk

    def __repr__(self) -> str:
        return f"Gate({self._pages!r})"

    @property
    def streams(self) -> Streams:
        """Who looks at live figures."""
        return self._desk.streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        scope["app"] = self._pages
        scope["root_path"] = at("")
        scope["path"] = scope["path"] if scope["path"] != at("") else at("/")
        state = scope.setdefault("state", {})
        request = Request(scope, receive)
        state["transport"] = transport_of(request, behind_proxy=self._desk.behind_proxy)
        state["session"], state["form"] = None, []
        sender = _Sender(send, secure=state["transport"].secure)
        try:
            await self._recognise(request)
            refusal = await self._refusal(request)
            if refusal is not None:
                await refusal(scope, receive, sender)
                return
            await self._pages.router(scope, receive, sender)
        except ClientDisconnect:
            return
        except (ApiProblem, HTTPException, Unavailable) as error:
            if sender.begun:
                raise
            await self._answer(request, error)(scope, receive, sender)
        except Exception:
            _log.exception("%s %s failed", request.method, request.url.path)
            if sender.begun:
                raise
            problem = ApiProblem(500, 500, "Something failed", "The dashboard failed here; the server's log says how.")
            await self._answer(request, problem)(scope, receive, sender)

    async def _recognise(self, request: Request) -> None:
        """Finds the session; of a page that strangers get, too, it may be missing when the store cannot be asked. Who
        signs out can always: to end what was ended before does no harm."""
        path, sessions = request.scope["path"].removeprefix(at("")), self._desk.sessions
        if path.startswith(STATIC):
            return
        try:
            request.state.session = await sessions.read(request, request.state.transport)
        except Unavailable:
            if path == SIGN_OUT:
                request.state.session = sessions.opened(request, request.state.transport)
            elif not path.startswith(PUBLIC):
                raise

    def _answer(self, request: Request, error: ApiProblem | HTTPException | Unavailable) -> Response:
        """A problem in plain words."""
        if isinstance(error, Unavailable):
            error = ApiProblem(503, error.code, "Try again in a moment", str(error), retry_after=RETRY_SECONDS)
        if isinstance(error, ApiProblem) and error.status == 401:
            had = request.state.session is not None
            response = without_session(request, ended=had)
            forget(response, request.state.transport)
            return response
        if isinstance(error, HTTPException):
            title = "There is no such page" if error.status_code == 404 else str(error.detail)
            error = ApiProblem(error.status_code, error.status_code, title, "")
        response = render(request, "error.html", status=error.status, problem=error)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    async def _refusal(self, request: Request) -> Response | None:
        """Why the request does not come to a page: nobody is signed in, or the form is from elsewhere."""
        path = request.scope["path"].removeprefix(at(""))
        public = path.startswith(PUBLIC)
        if request.method in ("GET", "HEAD"):
            return None if public or request.state.session is not None else self._stranger(request)
        if not _from_here(request):
            return self._forged(request)
        if request.state.session is None and not public:
            return self._stranger(request)
        problem = await _read_form_in_time(request)
        if problem is not None:
            response = self._answer(request, problem)
            if problem.status == TIMEOUT:
                response.headers["Connection"] = "close"
            return response
        who = request.state.session
        if who is None or path == "/sign-in":
            return None
        given = request.headers.get(CSRF_HEADER) or dict(request.state.form).get("csrf", "")
        if not hmac.compare_digest(given.encode(), who.csrf.encode()):
            return self._forged(request)
        request.state.form = [(name, value) for name, value in request.state.form if name != "csrf"]
        return None

    def _stranger(self, request: Request) -> Response:
        if "text/event-stream" in request.headers.get("accept", ""):
            return Response(status_code=204)  # a browser's event source asks again after anything else
        return without_session(request, ended=request.state.transport.cookie in request.cookies)

    def _forged(self, request: Request) -> Response:
        detail = "The form was not from this session: it may be old, or from another site. Nothing was changed."
        problem = ApiProblem(403, 20403, "Refused", f"{detail} Load the page anew and try again.")
        return self._answer(request, problem)


def _from_here(request: Request) -> bool:
    """Whether the browser, where it says so, says that the request comes from a page of this origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _read_form_in_time(request: Request) -> ApiProblem | None:
    try:
        async with asyncio.timeout(FORM_SECONDS):
            return await _read_form(request)
    except TimeoutError:
        return ApiProblem(TIMEOUT, TIMEOUT, "Too slow", f"The form did not arrive within {FORM_SECONDS:g} seconds.")


async def _read_form(request: Request) -> ApiProblem | None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_FORM:
            return ApiProblem(413, 413, "Too large", f"A form may have {MAX_FORM // 1024} KiB.")
        parts.append(part)
    if not size:
        return None
    if kind != "application/x-www-form-urlencoded":
        return ApiProblem(415, 415, "Unknown form", "Forms are application/x-www-form-urlencoded here.")
    try:
        text = b"".join(parts).decode()
        request.state.form = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return ApiProblem(400, 400, "Unreadable form", f"A form is UTF-8 text with at most {MAX_FIELDS} fields.")
    return None


class _Sender:
    """Puts the headers on every answer."""

    def __init__(self, send: Send, *, secure: bool) -> None:
        self._send, self._secure = send, secure
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            if self._secure:
                headers["Strict-Transport-Security"] = "max-age=31536000"
        await self._send(message)
