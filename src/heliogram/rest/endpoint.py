"""`@endpoint`: one declaration gives the route, the decoders, the scope and the OpenAPI entry."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from .request import Request

S = TypeVar("S")

UNDECLARED = "(undeclared)"
LONG_BODY = 32_768
"""Bytes of a body from which on it is decoded in slices, where the endpoint knows how: about half a millisecond."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(slots=True)
class Call(Generic[S]):
    """One request as its handler sees it.

    `body` and `query` are decoded structs (None when the endpoint declares none), `path` the path parameters,
    `state` what `build_app` was given, `auth` what the authenticator returned, `prefix` the version prefix used.
    """

    request: Request
    state: S
    auth: Any
    body: Any
    query: Any
    path: Mapping[str, str]
    prefix: str


@dataclass(frozen=True, slots=True)
class Result:
    """An answer with headers or a status of its own. `body` is anything msgspec encodes, or None for no body."""

    body: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call[Any]], Awaitable[Any]]
Recover = Callable[[Call[Any], bytes], Awaitable[Any]]
"""`(call, id) -> result`: the answer for what an earlier try of this request has made with this id, None when it made
nothing. The call's body is not decoded."""

Read = Callable[[bytes], Awaitable[Any]]
"""`raw -> body`: decodes a long body without keeping the event loop from everything else. Raises `Problem` 400."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A declared endpoint. `public` ones need no key; unprefixed ones (`/health`) stand outside the versions."""

    method: str
    path: str
    handler: Handler = field(repr=False)
    operation_id: str
    summary: str
    description: str = ""
    tag: str = ""
    body: type[Any] | None = None
    query: type[Any] | None = None
    returns: Any = None
    status: int = 200
    scope: str | None = None
    errors: tuple[int, ...] = ()
    basis: str = "documented"
    response_headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    prefixed: bool = True
    media_type: str = "application/json"
    also: Mapping[int, Any] = field(default_factory=dict)
    decoder: msgspec.json.Decoder[Any] | None = field(default=None, repr=False, compare=False)
    recover: Recover | None = field(default=None, repr=False, compare=False)
    read: Read | None = field(default=None, repr=False, compare=False)

    @property
    def public(self) -> bool:
        """True when the endpoint is declared to need no key (`scope=None`)."""
        return self.scope is None

    @property
    def path_params(self) -> tuple[str, ...]:
        """The names between braces in the path, in order."""
        return tuple(re.findall(r"{(\w+)}", self.path))


def endpoint(
    method: str,
    path: str,
    *,
    summary: str,
    tag: str = "",
    body: type[Any] | None = None,
    query: type[Any] | None = None,
    returns: Any = None,
    status: int = 200,
    scope: str | None = UNDECLARED,
    errors: tuple[int, ...] = (),
    basis: str = "documented",
    response_headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    prefixed: bool = True,
    media_type: str = "application/json",
    also: Mapping[int, Any] | None = None,
    operation_id: str | None = None,
    recover: Recover | None = None,
    read: Read | None = None,
) -> Callable[[Handler], Endpoint]:
    """Declare the decorated coroutine function as the handler of `method path`.

    `scope` names what a key must be allowed to do; None makes the endpoint public. An app with authentication
    refuses to start with an endpoint that declares neither. `errors` are the statuses it may answer beyond those
    the layer adds by itself; `basis` says where the shape comes from ("documented" or "ours"); `params` maps path
    parameters to types for the document; `also` has other statuses of success with their types; the handler's
    docstring becomes the description. `recover` finds what was made by a request whose answer was lost; `read` decodes
    bodies of `LONG_BODY` bytes and more.
    Raises ValueError on a method or path that cannot be routed.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: use one of {', '.join(METHODS)}")
    if not path.startswith("/") or (len(path) > 1 and path.endswith("/")):
        raise ValueError(f"path {path!r}: start with '/' and do not end with one")

    def declare(handler: Handler) -> Endpoint:
        name = getattr(handler, "__name__", "handler")
        return Endpoint(
            method=method,
            path=path,
            handler=handler,
            operation_id=operation_id or re.sub(r"_(\w)", lambda m: m[1].upper(), name.strip("_")),
            summary=summary,
            description=(handler.__doc__ or "").strip(),
            tag=tag,
            body=body,
            query=query,
            returns=returns,
            status=status,
            scope=scope,
            errors=tuple(errors),
            basis=basis,
            response_headers=dict(response_headers or {}),
            params=dict(params or {}),
            prefixed=prefixed,
            media_type=media_type,
            also=dict(also or {}),
            decoder=msgspec.json.Decoder(body) if body is not None else None,
            recover=recover,
            read=read,
        )

    return declare
