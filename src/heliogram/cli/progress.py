"""How far something is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Progress:
    """A bar on standard error, while it is a terminal."""

    def __init__(self, *, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None
        self._task: Any = None

    def __repr__(self) -> str:
        return f"Progress({self._unit!r})"

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(self._unit),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def at(self, done: int, total: int | None, note: str = "") -> None:
        """So many are done of so many."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
