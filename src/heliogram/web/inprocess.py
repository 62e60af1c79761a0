"""The REST API, called in the same process: a request without a socket."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.types import ASGIApp, Message, Scope

from .plain import plain

PUSH = "/v1/PushNotifications"


class ApiProblem(Exception):
    """What the API answered instead of doing it: `status` and `code` as in its reference, `errors` one entry for each
    field (`code`, `message`, `context`), `retry_after` seconds if it says when to try again."""

    def __init__(
        self,
        status: int,
        code: int,
        title: str,
        detail: str,
        errors: Sequence[Mapping[str, Any]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.errors = tuple({**each, "message": plain(str(each.get("message", "")))} for each in errors)
        self.retry_after = retry_after

    def of(self, field: str) -> str:
        """What is wrong with a field (`content.signingKey`, or its last part alone); nothing when it is fine."""
        for each in self.errors:
            context = str(each.get("context", ""))
            if context == f"$.{field}" or context.endswith(f".{field}"):
                return str(each.get("message", ""))
        return ""


class Api:
    """The API as one key sees it. Every method raises `ApiProblem` for an answer of 400 or more."""

    def __init__(self, app: ASGIApp, scope: Scope, key_id: str, secret: str) -> None:
        self._app, self._scope = app, scope
        self._authorization = b"Basic " + base64.b64encode(f"{key_id}:{secret}".encode())

    def __repr__(self) -> str:
        return "Api()"

    async def get(self, path: str, **query: Any) -> Any:
        """What is at a path such as `/v1/PushNotifications/Apps`, decoded. A query parameter that is None or empty is
        left out."""
        return await self._call("GET", path, query)

    async def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Makes or does something; without a body the request has none."""
        return await self._call("POST", path, {}, body, idempotency_key)

    async def put(self, path: str, body: Any = None) -> Any:
        """Replaces something."""
        return await self._call("PUT", path, {}, body)

    async def patch(self, path: str, body: Any = None) -> Any:
        """Changes something."""
        return await self._call("PATCH", path, {}, body)

    async def delete(self, path: str, **query: Any) -> Any:
        """Removes something."""
        return await self._call("DELETE", path, query)

    async def _call(
        self, method: str, path: str, query: Mapping[str, Any], body: Any = None, idempotency_key: str | None = None
    ) -> Any:
        content = b"" if body is None else msgspec.json.encode(body)
        told = {name: value for name, value in query.items() if value is not None and value != ""}
        headers = self._headers(content, idempotency_key)
        scope = {
            "type": "http",
            "asgi": self._scope.get("asgi", {"version": "3.0"}),
            "http_version": "1.1",
            "method": method,
            "scheme": self._scope.get("scheme", "http"),
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": urlencode(told, doseq=True).encode(),
            "root_path": "",
            "headers": headers,
            "client": self._scope.get("client"),
            "server": self._scope.get("server"),
            "state": {},
        }
        status, answered, data = await _ask(self._app, scope, content)
        return _read(status, answered, data)

    def _headers(self, content: bytes, idempotency_key: str | None) -> list[tuple[bytes, bytes]]:
        kept = [(name, value) for name, value in self._scope["headers"] if name == b"host"]
        kept += [(b"authorization", self._authorization), (b"accept", b"application/json")]
        if content:
            kept += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if idempotency_key is not None:
            kept.append((b"idempotency-key", idempotency_key.encode()))
        return kept


def segment(text: str) -> str:
    """A text as one segment of a path: an id that came from a form or an address cannot lead elsewhere. The API is
    asked by decoded path, so what would be another segment is refused here."""
    if not text or "/" in text or text in (".", ".."):
        raise ApiProblem(404, 20404, "Not found", f"There is nothing called {text[:100]!r}.")
    return text


async def _ask(app: ASGIApp, scope: Scope, content: bytes) -> tuple[int, dict[str, str], bytes]:
    status, headers, parts = 500, {}, list[bytes]()
    begun = False

    async def receive() -> Message:
        nonlocal begun
        if begun:
            return {"type": "http.disconnect"}
        begun = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, headers, b"".join(parts)


def _read(status: int, headers: Mapping[str, str], data: bytes) -> Any:
    told = "json" in headers.get("content-type", "")
    body = msgspec.json.decode(data) if data and told else data.decode("utf-8", "replace") or None
    if status < 400:
        return body
    problem = body if isinstance(body, dict) else {}
    wait = headers.get("retry-after", "")
    raise ApiProblem(
        status,
        int(problem.get("code", status)),
        str(problem.get("title", "Error")),
        str(problem.get("detail", "The service could not do this.")),
        problem.get("errors") or (),
        int(wait) if wait.isdigit() else None,
    )
