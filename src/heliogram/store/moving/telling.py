"""What a move tells of itself while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Report(Protocol):
    """Is told what happens, by an event's name and its values."""

    def __call__(self, event: str, /, **values: Any) -> object: ...


class Estimate(NamedTuple):
    """What a table is expected to hold."""

    rows: int
    row_bytes: float


class Meter:
    """How fast rows are copied, and how long the rest takes at that pace: by bytes, as rows of one table may be a
    thousand times those of another."""

    def __init__(self, tables: Mapping[str, Estimate], report: Report) -> None:
        self._tables, self._report = tables, report
        self._begun = self._told = time.monotonic()
        self._rows = self._bytes = 0
        self._of_table = 0
        self._left = {name: each.rows * each.row_bytes for name, each in tables.items()}

    def __repr__(self) -> str:
        return f"Meter(rows={self._rows}, bytes={self._bytes})"

    def skip(self, table: str) -> None:
        """It was copied before."""
        self._left.pop(table, None)

    def add(self, table: str, rows: int, size: int, *, done: bool) -> None:
        """So many rows and bytes of a table were copied just now; tells of it once a second, and at its end."""
        self._rows, self._bytes = self._rows + rows, self._bytes + size
        self._of_table += rows
        self._left[table] = 0 if done else max(0, self._left.get(table, 0) - size)
        now = time.monotonic()
        if done or now - self._told >= 1:
            self._told = now
            seconds = max(now - self._begun, 1e-3)
            left = sum(self._left.values())
            self._report(
                "progress",
                table=table,
                tableRows=self._of_table,
                tableDone=done,
                rows=self._rows,
                ofRows=max(self._rows, sum(each.rows for each in self._tables.values())),
                rowsPerSecond=round(self._rows / seconds),
                megabytesPerSecond=round(self._bytes / seconds / 1e6, 1),
                secondsLeft=round(left / max(self._bytes / seconds, 1)),
            )
        if done:
            self._of_table = 0
