"""Long lists in request bodies, decoded in slices: JSON of 1.5 MB would keep the event loop for 10 to 30 ms."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import msgspec

from ..pacing import turn
from ..rest import decode_body

T = TypeVar("T", bound=msgspec.Struct)
SLICE = 200
"""Entries of the list that are decoded in one go: half a millisecond."""


class LongBody(Generic[T]):
    """Reads bodies of a struct of which one field is a list that may be long. The rest is decoded first, with the
    list's entries left as they are; then the list, a slice in each turn."""

    def __init__(self, type_: type[T], field: str) -> None:
        self._type = type_
        self._field = field
        self._whole = msgspec.json.Decoder(type_)
        fields = {each.name: each for each in msgspec.structs.fields(type_)}
        self._names = tuple(fields)
        self._entries: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(fields[field].type)
        self._rest = msgspec.json.Decoder(_without(type_, field))

    def __repr__(self) -> str:
        return f"LongBody({self._type.__name__}, {self._field!r})"

    async def read(self, raw: bytes) -> T:
        """The body. Raises `Problem` 400, told as by `decode_body`."""
        try:
            rest = self._rest.decode(raw)
            values = {name: getattr(rest, name) for name in self._names}
            values[self._field] = await self._read_entries(values[self._field])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # What is wrong is looked for from the start, beside the loop: it may take a tenth of a second.
            return await asyncio.to_thread(decode_body, self._type, raw, self._whole)
        return self._type(**values)

    async def _read_entries(self, raw: list[msgspec.Raw]) -> list[Any]:
        entries: list[Any] = []
        for first in range(0, len(raw), SLICE):
            await turn(is_request=True)
            entries += self._entries.decode(b"[" + b",".join(raw[first : first + SLICE]) + b"]")
        return entries


def _without(type_: type[msgspec.Struct], field: str) -> type[msgspec.Struct]:
    """The same struct, the entries of one list left as they are."""
    config = type_.__struct_config__
    fields: list[tuple[str, Any, Any]] = []
    for each in msgspec.structs.fields(type_):
        kind = list[msgspec.Raw] if each.name == field else each.type
        fields.append((each.name, kind, msgspec.field(default=each.default, name=each.encode_name)))
    return msgspec.defstruct(type_.__name__, fields, kw_only=True, forbid_unknown_fields=config.forbid_unknown_fields)
