"""One address for machines and people: the API, and the dashboard beside it."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .static import ROOT, at


class Front:
    """The API, with the dashboard at `/dashboard`; a browser that asks for `/` is led there."""

    def __init__(self, api: ASGIApp, dashboard: ASGIApp) -> None:
        self._api, self._dashboard = api, dashboard

    def __repr__(self) -> str:
        return f"Front({self._dashboard!r})"

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One request."""
        path = scope.get("path", "")
        if path.startswith(ROOT) and (len(path) == len(ROOT) or path[len(ROOT)] == "/"):
            return self._dashboard(scope, receive, send)
        if path == "/" and _wants_html(scope):
            return RedirectResponse(at("/"), status_code=307)(scope, receive, send)
        return self._api(scope, receive, send)


def _wants_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope.get("headers", ()))
