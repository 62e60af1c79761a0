"""What the structs of the client have in common: how they are named on the wire, what they show of themselves."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import msgspec


class Open(enum.StrEnum):
    """A word out of a list that later versions of the service may make longer: a word that is new to this client is
    kept as it came. Members equal their text, so `operation.status == "COMPLETED"` is as good as the member."""

    @classmethod
    def _missing_(cls, value: object) -> Open | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_, member._value_ = value, value
        return member


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    hidden: ClassVar[frozenset[str]] = frozenset()
    """Fields whose values no representation shows: secrets."""

    def __repr__(self) -> str:
        shown = []
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value is msgspec.UNSET or (value is None and field.default is None):
                continue
            shown.append(f"{field.name}={'…' if field.name in self.hidden and value is not None else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        pairs = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [(name, "…" if name in self.hidden and value is not None else value) for name, value in pairs]


class Told(_Shown, frozen=True, kw_only=True, rename="camel"):
    """Part of an answer. Fields that later versions of the service add are passed over."""


class Given(_Shown, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Part of a request. What is left out is not sent; what the service makes of it is said with each field."""
