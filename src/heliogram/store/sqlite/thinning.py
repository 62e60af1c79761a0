"""Taking out of a chunk's results what later ones superseded, so that days of retries do not fill the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from ...domain.packing import pack_records, unpack_records
from ...domain.thinning import thinned
from . import statements
from .canceling import Where

_sql = statements.load("thinning")

MOST_PARTS = 4
"""Result parts that a chunk may have when it is given back; with more it is thinned out."""


class Part(NamedTuple):
    """A result part. `packed` is None for one that stays as it is, empty for one that goes."""

    sequence: int
    packed: bytes | None


class Parts(NamedTuple):
    """A chunk's result parts as read, and how many of them, from the first on, every webhook was told."""

    rows: list[tuple[int, bytes]]
    told: int

    @property
    def bytes(self) -> int:
        """How much there is to open."""
        return sum(len(packed) for _, packed in self.rows)


def count_parts(connection: apsw.Connection, where: Where) -> int:
    """How many result parts a chunk has; 0 when another attempt holds it."""
    found: Any = connection.execute(_sql.count_parts, where).get
    return 0 if found is None else int(found)


def read_parts(connection: apsw.Connection, where: Where) -> Parts:
    """A chunk's result parts."""
    rows: list[Any] = connection.execute(_sql.parts, where).fetchall()
    told: Any = connection.execute(_sql.told, where).get
    count = len(rows) if told is None else sum(sequence <= told for sequence, _ in rows)
    return Parts(rows, count)


def thin(parts: Parts) -> list[Part]:
    """What becomes of each part. Raises `Unpackable`."""
    before = [unpack_records(packed) for _, packed in parts.rows]
    after = thinned(before, parts.told)
    return [
        Part(sequence, None if len(had) == len(has) else pack_records(has) if has else b"")
        for (sequence, _), had, has in zip(parts.rows, before, after, strict=True)
    ]


def replace_parts(connection: apsw.Connection, where: Where, parts: Sequence[Part]) -> bool:
    """Writes what is left, numbered anew from 1. False when another attempt holds the chunk, or more was written."""
    if count_parts(connection, where) != len(parts):
        return False
    number = 0
    for sequence, packed in parts:
        if packed == b"":
            connection.execute(_sql.delete_part, {**where, "sequence": sequence})
            continue
        number += 1
        sql = _sql.renumber_part if packed is None else _sql.replace_part
        connection.execute(sql, {**where, "sequence": sequence, "part": number, "packed": packed})
    connection.execute(_sql.set_parts, {**where, "parts": number})
    return True
