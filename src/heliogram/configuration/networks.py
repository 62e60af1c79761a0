"""Addresses and networks as a setting's value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..settings import parse_networks
from .kinds import Kind


@dataclass(frozen=True)
class Networks(Kind):
    """Addresses and networks, with commas between, or as a list."""

    words: ClassVar[str] = "addresses or networks, with commas between"
    metavar: ClassVar[str] = "ADDRESS,…"

    def read(self, text: str) -> Any:
        """With commas between."""
        try:
            return parse_networks(text, option="")
        except ValueError as error:
            raise ValueError(str(error).removeprefix(": ")) from None

    def take(self, value: Any, base: Path) -> Any:
        """Text, or a list of texts."""
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return self.read(",".join(value))
        return super().take(value, base)

    def show(self, value: Any) -> Any:
        """The networks; an address is one of its own."""
        return [str(each).removesuffix(f"/{each.max_prefixlen}") for each in value]
