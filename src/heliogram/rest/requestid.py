"""The id of a request: the caller's own if it is one, else a new one; in the answer and in every log line."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar

HEADER = "x-request-id"
MAX_CHARS = 128
_SANE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{{0,{MAX_CHARS - 1}}}")


class _Request:
    """A request that is being answered; what goes on in its name afterwards is not part of it."""

    __slots__ = ("ident", "open")

    def __init__(self, ident: str) -> None:
        self.ident, self.open = ident, True


_current: ContextVar[_Request | None] = ContextVar("heliogram_request", default=None)


def request_id(given: str | None) -> str:
    """The given id if it has at most 128 letters, digits and `._:/+=@-`, which a log line and a header take as they
    are; else 16 random hex digits."""
    if given is not None and _SANE.fullmatch(given) is not None:
        return given
    # No secret; and to ask the system for bits lets another thread go first.
    return f"{random.getrandbits(64):016x}"


def current_request_id() -> str | None:
    """The id of the request that is being answered in this task, None when none is."""
    request = _current.get()
    return request.ident if request is not None and request.open else None


class answering:  # noqa: N801 - to be used as a function
    """Within this the request has this id."""

    __slots__ = ("_before", "_request")

    def __init__(self, ident: str) -> None:
        self._request = _Request(ident)

    def __repr__(self) -> str:
        return f"answering({self._request.ident!r})"

    def __enter__(self) -> None:
        self._before = _current.set(self._request)

    def __exit__(self, *_: object) -> None:
        self._request.open = False
        _current.reset(self._before)
