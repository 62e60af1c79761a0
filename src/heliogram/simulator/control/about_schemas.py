"""What the control API reads and writes of the simulator as a whole."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..journal import RequestRecord


class RequestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many of the latest requests")] = 100


class RequestList(Struct, frozen=True):
    """``requests`` newest first; ``outcomes`` counts every request since the start or the last reset."""

    requests: list[RequestRecord]
    outcomes: dict[str, int]


class IndexOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where things are."""

    name: str
    listeners: dict[str, str]
    ca_file: str
    connections: int
    links: dict[str, str]
