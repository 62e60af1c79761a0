"""From declared endpoints to a Starlette application: dispatch, authentication, errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Lifespan, Receive, Scope, Send

from .around import Around, Writing
from .body import DEFAULT_BODY_LIMIT, DEFAULT_BODY_SECONDS, read_body
from .decode import NoQuery, decode_body, decode_query
from .direct import DirectApp, PathTree
from .docs import CONTENT_SECURITY_POLICY, docs_page
from .endpoint import LONG_BODY, UNDECLARED, Call, Endpoint, Result
from .openapi import Documented, openapi
from .problem import (
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Problem,
    problem_response,
)
from .request import Request
from .requestid import HEADER, answering, request_id

Authenticate = Callable[[Request, str | None], Awaitable[Any]]
"""`(request, scope) -> auth`. `scope` is what the endpoint asks for, None for a path or method that does not
exist. Raises `Problem` 401 without a valid key and 403 when the key lacks the scope."""

Translate = Callable[[Exception], Problem | None]
"""Makes an exception of the application's own into a problem; None when it is none of those it knows."""

Answered = Callable[[str, int, float], object]
"""`(operation id, status, seconds)` of a request that an endpoint answered."""
OTHER = "other"
"""In place of the operation's id, for paths and methods that do not exist."""

_log = logging.getLogger("heliogram.rest")
_encoder = msgspec.json.Encoder()
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_RAW_HEADERS = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in _HEADERS.items()]
JSON = "application/json"


@lru_cache(256)
def _raw_name(name: str) -> bytes:
    """A header's name as it is written: there are as many as endpoints declare."""
    return name.lower().encode("latin-1")


class _JsonAnswer(Response):
    """A response whose headers are put together once."""

    def __init__(self, content: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.status_code, self.body, self.background = status, content, None
        ours = _RAW_HEADERS if headers.keys().isdisjoint(_HEADERS) else ()
        self.raw_headers = [*ours, (b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")]
        for name, value in (headers if ours else {**_HEADERS, **headers}).items():
            self.raw_headers.append((_raw_name(name), value.encode("latin-1")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers at once where the server can write all of it in one go, and nobody in between wants to see it."""
        answer = getattr(getattr(send, "__self__", None), "answer", None)
        if answer is None or not answer(self.status_code, self.raw_headers, self.body):
            await super().__call__(scope, receive, send)


class _App:
    """What all endpoints of one application share."""

    def __init__(
        self,
        state: Any,
        authenticate: Authenticate | None,
        translate: Translate | None,
        body_limit: int,
        body_seconds: float | None,
        around: Around | None,
        answered: Answered | None,
    ) -> None:
        self.state = state
        self.answered = answered
        self.around = around
        self.translate = translate
        self.authenticate = authenticate
        self.body_limit = body_limit
        self.body_seconds = body_seconds

    async def check(self, request: Request, scope: str | None) -> Any:
        """The authenticated caller; None when the application has no authentication."""
        return None if self.authenticate is None else await self.authenticate(request, scope)

    async def serve(
        self,
        request: Request,
        respond: Callable[[Request], Awaitable[Response]],
        send: Send,
        endpoint: Endpoint | None,
    ) -> None:
        """Answers a request, under its id, and tells how that went."""
        began = time.perf_counter()
        ident = request_id(request.headers.get(HEADER))
        with answering(ident):
            response = await self.guard(request, respond)
        response.raw_headers.append((b"x-request-id", ident.encode("latin-1")))
        if self.answered is not None:
            operation = OTHER if endpoint is None else endpoint.operation_id
            self.answered(operation, response.status_code, time.perf_counter() - began)
        await response(request.scope, request.receive, send)

    async def guard(self, request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
        """`respond`, with every exception made into an answer that leaks nothing."""
        try:
            response = await respond(request)
        except Problem as problem:
            response = problem_response(problem)
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception as error:
            known = self.translate(error) if self.translate is not None else None
            if known is None:
                _log.exception("%s %s failed", request.method, request.scope.get("path", ""))
                known = Problem(500, INTERNAL, "Internal error", "The server failed; its log says how.")
            response = problem_response(known)
        if request.scope["method"] == "HEAD":
            response.body = b""  # the headers of GET, Content-Length included
        return response

    async def call(self, endpoint: Endpoint, prefix: str, request: Request) -> Response:
        """Authenticate, decode, handle, encode: in this order, so that nothing is read for a stranger."""
        auth = None if endpoint.public else await self.check(request, endpoint.scope)
        query = None
        if endpoint.query is not None or request.scope["query_string"]:
            query = decode_query(endpoint.query or NoQuery, request.query_params.multi_items())
        if endpoint.query is None:
            query = None
        raw = b""
        if endpoint.body is not None:
            raw = await read_body(request, limit=self.body_limit, seconds=self.body_seconds)
        call = Call(request, self.state, auth, None, query, request.path_params, prefix)
        around = self.around
        if around is None or around.header not in request.headers or not around.covers(endpoint):
            return await self._handle(endpoint, call, raw)

        async def proceed() -> Response:
            return await self.guard(request, lambda _: self._handle(endpoint, call, raw))

        writing = Writing(endpoint, call, raw, lambda result: _answer(endpoint, result))
        return await around.handle(writing, proceed)

    async def _handle(self, endpoint: Endpoint, call: Call[Any], raw: bytes) -> Response:
        if endpoint.read is not None and len(raw) >= LONG_BODY:
            call.body = await endpoint.read(raw)
        elif endpoint.body is not None:
            call.body = decode_body(endpoint.body, raw, endpoint.decoder)
        return _answer(endpoint, await endpoint.handler(call))


class _Path:
    """The ASGI application of one path: picks the endpoint by method."""

    def __init__(self, app: _App, endpoints: Mapping[str, Endpoint], prefix: str) -> None:
        self.app = app
        self.endpoints = endpoints
        self.prefix = prefix
        methods = {*endpoints, "OPTIONS"} | ({"HEAD"} if "GET" in endpoints else set())
        self.allow = ", ".join(sorted(methods))
        self._respond = {method: partial(app.call, endpoint, prefix) for method, endpoint in endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        respond = self._respond.get(method, self._refuse)
        await self.app.serve(Request(scope, receive), respond, send, self.endpoints.get(method))

    async def _refuse(self, request: Request) -> Response:
        if any(not each.public for each in self.endpoints.values()):
            await self.app.check(request, None)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": self.allow, **_HEADERS})
        detail = f"{request.method[:20]} is not possible here. Allowed: {self.allow}."
        raise Problem(405, METHOD_NOT_ALLOWED, "Method not allowed", detail, headers={"Allow": self.allow})


class _Nowhere:
    """The answer for paths that do not exist: 401 for strangers, 404 for the rest."""

    def __init__(self, app: _App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        await self.app.serve(Request(scope, receive), self._respond, send, None)

    async def _respond(self, request: Request) -> Response:
        await self.app.check(request, None)
        raise Problem(404, NOT_FOUND, "Not found", f"There is nothing at {request.url.path[:200]!r}.")


def build_app(
    endpoints: Iterable[Endpoint],
    *,
    state: Any,
    title: str,
    version: str,
    description: str = "",
    prefixes: Sequence[str] = ("/v1", "/preview"),
    servers: Sequence[str] | None = None,
    authenticate: Authenticate | None = None,
    translate: Translate | None = None,
    codes: Mapping[int, str] | None = None,
    documented: Documented | None = None,
    body_limit: int = DEFAULT_BODY_LIMIT,
    body_seconds: float | None = DEFAULT_BODY_SECONDS,
    around: Around | None = None,
    answered: Answered | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """The application: every endpoint under every prefix, plus `/openapi.json` and `/docs`.

    Without `authenticate` nothing asks for a key. `translate` makes the application's exceptions into problems.
    `servers` are the base URLs named in the document (default: the
    prefixes). `codes` adds meanings of problem codes to `/docs`; `documented` says what in
    the document is not ours. `body_limit` is in bytes, `body_seconds` the time
    a body may take. `around` goes around writes, `answered` hears of every request. Raises ValueError for an
    endpoint without a declared scope and for two of the same method and path.
    """
    declared = tuple(endpoints)
    shared = _App(state, authenticate, translate, body_limit, body_seconds, around, answered)
    document = openapi(
        declared,
        title=title,
        version=version,
        description=description,
        servers=tuple(servers if servers is not None else prefixes),
        secured=authenticate is not None,
        documented=documented,
        around=around,
    )
    paths = _paths(declared, shared, tuple(prefixes))
    routes: list[BaseRoute] = [
        *_documents(document, codes or {}),
        *extra_routes,
        *(Route(path, app, include_in_schema=False) for path, app in paths.items()),
    ]
    app = DirectApp(routes=routes, middleware=list(middleware), lifespan=lifespan)
    if not middleware and not extra_routes:
        app.direct = PathTree(paths)
    app.router.redirect_slashes = False
    app.router.default = _Nowhere(shared)
    return app


def _paths(declared: Sequence[Endpoint], shared: _App, prefixes: Sequence[str]) -> dict[str, _Path]:
    """The application of each path, in the order in which they are to be tried."""
    paths: dict[tuple[str, str], dict[str, Endpoint]] = {}
    for each in declared:
        if shared.authenticate is not None and each.scope == UNDECLARED:
            raise ValueError(f"{each.method} {each.path}: declare a scope, or scope=None for a public endpoint")
        for prefix in prefixes if each.prefixed else ("",):
            methods = paths.setdefault((prefix, each.path), {})
            if each.method in methods:
                raise ValueError(f"{each.method} {each.path} is declared twice")
            methods[each.method] = each
    ordered = sorted(paths.items(), key=lambda item: _specificity(item[0][1]))
    return {prefix + path: _Path(shared, methods, prefix) for (prefix, path), methods in ordered}


def _specificity(path: str) -> tuple[tuple[bool, str], ...]:
    """Sorts literal segments before parameters, so that `/Things/Parts` wins over `/Things/{id}`."""
    return tuple((segment.startswith("{"), segment) for segment in path.split("/"))


def _documents(document: dict[str, Any], codes: Mapping[int, str]) -> list[BaseRoute]:
    raw = msgspec.json.encode(document)
    html = docs_page(document, codes)

    async def serve_openapi(request: Request) -> Response:
        return Response(raw, media_type="application/json", headers={"X-Content-Type-Options": "nosniff"})

    async def serve_docs(request: Request) -> Response:
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(html, media_type="text/html", headers=headers)

    return [Route("/openapi.json", serve_openapi), Route("/docs", serve_docs)]


def _answer(endpoint: Endpoint, value: Any) -> Response:
    if isinstance(value, Response):
        return value
    result = value if isinstance(value, Result) else Result(value)
    status = result.status or endpoint.status
    if result.body is None and endpoint.returns is None:
        return Response(status_code=status, headers={**_HEADERS, **result.headers})
    content = _encoder.encode(result.body)
    if endpoint.media_type == JSON:
        return _JsonAnswer(content, status, result.headers)
    return Response(content, status_code=status, media_type=endpoint.media_type, headers={**_HEADERS, **result.headers})
