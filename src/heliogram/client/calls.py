"""What is asked of the service, as values: no socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from .structs import Given

T = TypeVar("T")


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One request of the API. `route` is the path as the OpenAPI document has it, `path` fills its parameters.

    Every write carries an idempotency key (`key`; one is made where it is None), so that it may be sent again.
    `alone`: the path is not below a version, needs no key, and its answer is told as it is.
    """

    method: str
    route: str
    returns: Any
    path: Mapping[str, str] = {}
    query: Mapping[str, Any] = {}
    body: Given | None = None
    key: str | None = None
    alone: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    def target(self) -> str:
        """Path and query. Raises `ValueError` for an id that would make another path of it."""
        filled = self.route.format_map({name: _segment(name, text) for name, text in self.path.items()})
        pairs = [(name, _text(value)) for name, value in self.query.items() if value is not None]
        return f"{filled}?{urlencode(pairs)}" if pairs else filled

    def content(self) -> bytes | None:
        """The body as JSON."""
        return None if self.body is None else msgspec.json.encode(self.body)


class Pages(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list: the request of its first page, and the field of a page that holds the entries."""

    call: Call[Any]
    entries: str

    def after(self, token: str | None) -> Call[Any]:
        """The request of the page with this token; of the first one without."""
        if token is None:
            return self.call
        return msgspec.structs.replace(self.call, query={**self.call.query, "pageToken": token})

    def read(self, page: Any) -> tuple[list[T], str | None]:
        """The entries of a page, and the token of the next one. A page is a struct, or JSON as it came."""
        if isinstance(page, dict):
            [entries] = [value for value in page.values() if isinstance(value, list)]
            return entries, page["pagination"]["next"]
        found: list[T] = getattr(page, self.entries)
        return found, page.pagination.next


def moment(value: datetime | str | None) -> str | None:
    """A date-time as the API takes it; what has no offset is in UTC. Text goes as it is."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def _segment(name: str, text: str) -> str:
    if not text or text in (".", ".."):
        raise ValueError(f"{name}: expected an id, got {text!r}")
    return quote(text, safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment(value) or ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):  # tags
        return ";".join(f"{name}:{text}" for name, text in value.items())
    return str(value)
