"""What the control API reads and writes of the simulator as a whole."""

from __future__ import annotations

from msgspec import Struct


class IndexOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where things are."""

    name: str
    listeners: dict[str, str]
    ca_file: str
    connections: int
    links: dict[str, str]
