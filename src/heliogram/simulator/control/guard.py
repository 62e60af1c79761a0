"""The control API has no password: on loopback only programs of this machine may use it, and no web page.

A page can point a name of its own at 127.0.0.1 (DNS rebinding), or post across sites; both show in the headers.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from heliogram.rest import Problem, problem_response

_FORBIDDEN = 20403
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether a bind address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackGuard:
    """Refuses requests whose Host, or Origin when there is one, is not ``host`` or a loopback name."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = _LOOPBACK_NAMES | {host.lower()} if is_loopback(host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._names is not None and scope["type"] == "http":
            problem = self._objection(Headers(scope=scope), self._names)
            if problem is not None:
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    @staticmethod
    def _objection(headers: Headers, names: frozenset[str]) -> Problem | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if _name(host) not in names:
            detail = f"Host {host[:100]!r} is not this machine. Call the control API by 127.0.0.1 or localhost."
            return Problem(403, _FORBIDDEN, "Forbidden", detail)
        if origin is not None and _name(origin.partition("://")[2]) not in names:
            return Problem(403, _FORBIDDEN, "Forbidden", "Pages of other sites may not call the control API.")
        return None


def _name(authority: str) -> str:
    """Host without port and brackets, in lower case."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower()
