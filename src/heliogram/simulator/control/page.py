"""The web page of the simulator: static files out of the package, under a strict content security policy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; trusted-types 'none'; require-trusted-types-for 'script'"
)
"""Nothing inline, nothing from elsewhere, and no text that becomes HTML: what is shown comes out of pushes."""

INDEX = "index.html"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_ACCEPTED = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q=([^;,\s]*))?[^,]*")
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The page's files, read once. ``names`` are theirs; nothing else can be asked for."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for each in (files("heliogram.simulator") / "page").iterdir():
            media_type = _TYPES.get(each.name.rpartition(".")[2])
            if media_type is not None:
                content = each.read_bytes()
                self._files[each.name] = (content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    def __repr__(self) -> str:
        return f"<Page files={len(self._files)}>"

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def respond(self, name: str, known: str | None = None) -> Response:
        """The file of that name; 304 when the browser's ``known`` entity tag is its."""
        content, media_type, tag = self._files[name]
        headers = {**_HEADERS, "ETag": tag}
        if known == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    def routes(self) -> list[BaseRoute]:
        """``/page/NAME`` for each file."""
        return [Route(f"/page/{name}", self._server(name)) for name in self._files]

    def _server(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            return self.respond(name, request.headers.get("if-none-match"))

        return serve


def wants_html(accept: str) -> bool:
    """Whether ``text/html`` is asked for by name and no less than ``application/json`` is: a browser, not a program."""
    weights = {kind.lower(): _weight(q) for kind, q in _ACCEPTED.findall(accept)}
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
