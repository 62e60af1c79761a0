"""A request whose headers and address are looked up often and cost little."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request as PlainRequest
from starlette.types import Scope

KNOWN_ADDRESSES = 256
"""Addresses that callers know the service by, and are kept in mind."""
MAX_HOST = 255
"""Characters of a host that is kept in mind."""


class QuickHeaders(Headers):
    """Headers, found by name without going through all of them. Of one that is there twice the first counts, as in
    `Headers`."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first = dict(reversed(self._list))

    def __getitem__(self, key: str) -> str:
        return self._first[key.lower().encode("latin-1")].decode("latin-1")

    def __contains__(self, key: Any) -> bool:
        return key.lower().encode("latin-1") in self._first

    def get(self, key: str, /, default: Any = None) -> Any:
        """The first value of a header."""
        value = self._first.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class Request(PlainRequest):
    """Starlette's request with such headers."""

    @cached_property
    def headers(self) -> Headers:
        """The request's headers."""
        return QuickHeaders(self.scope)

    @property
    def base(self) -> str:
        """`base_url` as text."""
        scope, host = self.scope, self.headers.get("host")
        if host is None or len(host) > MAX_HOST:
            return str(self.base_url)
        root = scope.get("app_root_path", scope.get("root_path", ""))
        return _base(scope.get("scheme", "http"), host, scope.get("server"), root)


@lru_cache(KNOWN_ADDRESSES)
def _base(scheme: str, host: str, server: tuple[str, int | None] | None, root: str) -> str:
    """The `base_url` of a request with these parts, which are all that it is made of."""
    headers = [(b"host", host.encode("latin-1"))]
    scope = {"type": "http", "scheme": scheme, "server": server, "root_path": root, "headers": headers}
    return str(PlainRequest(scope).base_url)
