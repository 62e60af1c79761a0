"""The dashboard's own files, kept in memory, each with an address that changes when its content does."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROOT = "/dashboard"
"""Where the dashboard is; its addresses are made with `at`."""
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "public, no-cache"


def at(path: str = "/") -> str:
    """The address of a page: `at("/users")` is `/dashboard/users`."""
    return ROOT + path


class StaticFiles:
    """The files below `static/`, by name."""

    def __init__(self) -> None:
        self._files = dict(_read(resources.files(__package__) / "static"))
        self._hashes = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in self._files.items()}

    def __repr__(self) -> str:
        return f"StaticFiles(files={len(self._files)})"

    def url(self, name: str) -> str:
        """The address of a file; raises KeyError for one that is not there."""
        return at(f"/static/{name}?v={self._hashes[name]}")

    def route(self) -> Route:
        """Serves them: for a year by the address of their content, otherwise with a tag to ask by."""
        return Route("/static/{name:path}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        data = self._files.get(name)
        if data is None:
            return Response("Not found", status_code=404, media_type="text/plain")
        tag = self._hashes[name]
        headers = {"ETag": f'"{tag}"', "Cache-Control": _FOREVER if request.query_params.get("v") == tag else _ASK}
        if request.headers.get("if-none-match") == f'"{tag}"':
            return Response(status_code=304, headers=headers)
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        return Response(data, media_type="text/javascript" if name.endswith(".js") else kind, headers=headers)


def _read(folder: Traversable, before: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for each in folder.iterdir():
        if each.is_dir():
            found += _read(each, f"{before}{each.name}/")
        else:
            found.append((before + each.name, each.read_bytes()))
    return found
