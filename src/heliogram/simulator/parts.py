"""What the parts of the simulator have in common: each can be exported, imported and cleared under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from .errors import Invalid

T = TypeVar("T")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a scenario.

    ``export`` gives what the part holds as plain JSON values (dicts, lists, text, numbers; no secrets); ``import_``
    takes that same value, with the part cleared beforehand and every part registered earlier imported already, and
    raises Invalid naming the field. ``clear`` forgets everything. A part without ``export`` is only cleared.
    """

    name: str
    clear: Callable[[], object]
    export: Callable[[], Any] | None = None
    import_: Callable[[Any], object] | None = None


class Parts:
    """The parts, in the order in which they are imported; cleared in the opposite one."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts.values())

    def __repr__(self) -> str:
        return f"<Parts {', '.join(self._parts)}>"

    def add(self, part: Part) -> None:
        """Register a part; one of the same name is replaced in its place."""
        self._parts[part.name] = part

    def clear(self) -> None:
        for part in reversed(list(self._parts.values())):
            part.clear()


def taken_as(value: Any, kind: type[T], name: str) -> T:
    """A part's value as what it is made of. Raises Invalid naming the part and the place."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"{name}: {error}", field=name) from error
