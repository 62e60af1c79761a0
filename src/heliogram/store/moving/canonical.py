"""Checksums of rows that SQLite's side and PostgreSQL each compute by themselves.

A row's bytes are those of PostgreSQL's `record_send`: the number of columns, then for each its type's number and its
value with the length before it (-1 for NULL), integers and lengths with the highest byte first. A row counts as the
first eight bytes of SHA-256 over that, a signed number; a table as the sum of its rows, in whatever order they come.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .tables import OIDS, Layout

_WIDTHS = {"bigint": 8, "integer": 4, "smallint": 2}
_NOTHING = b"\xff\xff\xff\xff"


class Sum(NamedTuple):
    """How many rows, and the sum of what they count as."""

    rows: int = 0
    checksum: int = 0

    def plus(self, other: Sum) -> Sum:
        """Both together."""
        return Sum(self.rows + other.rows, self.checksum + other.checksum)


def row_bytes(types: Sequence[str]) -> Callable[[Sequence[Any]], bytes]:
    """What makes a row of these types into its bytes."""
    head = struct.pack(">i", len(types))
    plan = []
    for kind in types:
        oid, width = struct.pack(">I", OIDS[kind]), _WIDTHS.get(kind, 0)
        plan.append((oid, width, oid + struct.pack(">i", width)))

    def encode(row: Sequence[Any]) -> bytes:
        parts = [head]
        for value, (oid, width, fixed) in zip(row, plan, strict=True):
            if value is None:
                parts.append(oid + _NOTHING)
            elif width:
                parts.append(fixed + value.to_bytes(width, "big", signed=True))
            else:
                raw = value.encode() if isinstance(value, str) else value
                parts.append(oid + len(raw).to_bytes(4, "big"))
                parts.append(raw)
        return b"".join(parts)

    return encode


def summer(layout: Layout) -> Callable[[Iterable[Sequence[Any]]], Sum]:
    """What adds up rows of a table."""
    encode = row_bytes(layout.types)
    sha256, from_bytes = hashlib.sha256, int.from_bytes

    def add(rows: Iterable[Sequence[Any]]) -> Sum:
        count = total = 0
        for row in rows:
            count += 1
            total += from_bytes(sha256(encode(row)).digest()[:8], "big", signed=True)
        return Sum(count, total)

    return add


def sum_in_target(layout: Layout, alias: str = "t") -> str:
    """The two expressions by which PostgreSQL computes the same over rows of a table."""
    columns = ", ".join(f'{alias}."{name}"' for name in layout.columns)
    number = f"('x' || encode(substr(sha256(record_send(ROW({columns}))), 1, 8), 'hex'))::bit(64)::bigint"
    return f"count(*), coalesce(sum({number}), 0)"
