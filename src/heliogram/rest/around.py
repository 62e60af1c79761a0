"""A hook around writes: what is to be done with the request as a whole, before and after its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from .endpoint import Call, Endpoint

GET = "GET"


@dataclass(frozen=True, slots=True)
class Writing:
    """A write whose caller is known and whose body is read, but not yet looked into: `call.body` is None.

    `answer` makes a response of what a handler of this endpoint might return.
    """

    endpoint: Endpoint
    call: Call[Any]
    raw: bytes
    answer: Callable[[Any], Response] = field(repr=False)


Proceed = Callable[[], Awaitable[Response]]
"""Decodes, handles and answers; a problem is a response like any other."""


@dataclass(frozen=True, kw_only=True)
class Around:
    """What goes around every write (each method but GET) of an authenticated caller that carries `header`.

    `handle` may answer by itself or let the request proceed, and may raise `Problem`. `description`, `schema` and the
    headers it may add to an answer are for the document; `errors` are the statuses it may answer with.
    """

    header: str
    handle: Callable[[Writing, Proceed], Awaitable[Response]] = field(repr=False)
    description: str
    schema: Mapping[str, Any]
    response_headers: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()

    def covers(self, endpoint: Endpoint) -> bool:
        """Whether it goes around this endpoint."""
        return endpoint.method != GET and not endpoint.public
