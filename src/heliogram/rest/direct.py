"""An application whose declared paths are found by their segments and called at once.

Starlette asks one route after another, through two layers that answer for exceptions. Declared endpoints answer for
their own, and with a hundred paths asking costs more than handling. Everything else (documents, pages, what does not
exist) goes the usual way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send


class _Node:
    """What may follow after some segments: literal ones first, then a parameter."""

    __slots__ = ("app", "literal", "names", "parameter")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.app: ASGIApp | None = None
        self.names: tuple[str, ...] = ()


class PathTree:
    """Paths with parameters in braces, each a whole segment, and the applications they lead to."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._root = _Node()
        self._count = len(apps)
        for path, app in apps.items():
            node, names = self._root, []
            for segment in path.split("/"):
                if segment.startswith("{") and segment.endswith("}"):
                    names.append(segment[1:-1])
                    if node.parameter is None:
                        node.parameter = _Node()
                    node = node.parameter
                else:
                    node = node.literal.setdefault(segment, _Node())
            node.app, node.names = app, tuple(names)

    def __repr__(self) -> str:
        return f"PathTree(paths={self._count})"

    def find(self, path: str) -> tuple[ASGIApp, dict[str, Any]] | None:
        """The application of a path and its parameters. A literal segment wins over a parameter, wherever it leads
        to something; a parameter is never empty."""
        return _find(self._root, path.split("/"), 0, [])


def _find(node: _Node, segments: list[str], at: int, values: list[str]) -> tuple[ASGIApp, dict[str, Any]] | None:
    if at == len(segments):
        return None if node.app is None else (node.app, dict(zip(node.names, values, strict=True)))
    segment = segments[at]
    following = node.literal.get(segment)
    found = None if following is None else _find(following, segments, at + 1, values)
    if found is None and node.parameter is not None and segment:
        values.append(segment)
        found = _find(node.parameter, segments, at + 1, values)
        if found is None:
            values.pop()
    return found


class DirectApp(Starlette):
    """Starlette with a short cut to what `direct` leads to."""

    direct: PathTree | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request."""
        found = self.direct.find(scope["path"]) if self.direct is not None and scope["type"] == "http" else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        app, scope["path_params"] = found
        await app(scope, receive, send)
