"""What a disk may do to the file beneath us, noticed and told: once, not for every job that meets it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from ..errors import StoreError, StoreGone

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 60.0
"""How often trouble that lasts is told again."""
WELL_SECONDS = 5.0
"""How long nothing must have failed until it is told that all is well: on a disk that is nearly full small writes
succeed between larger ones that fail."""


class Place:
    """Whether the database and its log are still the files that were opened.

    A file that was removed or replaced goes on working for whoever has it open, and all of it is lost at their end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files = (path, path.with_name(path.name + "-wal"))
        self._known = [(str(file), known) for file in files if (known := _identity(str(file))) is not None]

    def __repr__(self) -> str:
        return f"Place({str(self._path)!r}, files={len(self._known)})"

    def check(self) -> None:
        """Raises `StoreGone` when one of them is not there, or another. Costs two calls of the system."""
        for file, known in self._known:
            if _identity(file) != known:
                raise StoreGone(
                    f"{file} was moved, removed or replaced beneath the running service: nothing is written any more;"
                    " move it back and it goes on, or stop the service and restore a backup"
                )


def _identity(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - a path's own takes as long again, for each commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Trouble:
    """Tells the log what is wrong with a database when it begins, every minute while it lasts, and when it is over."""

    def __init__(self, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._monotonic = monotonic
        self._kind: type[StoreError] | None = None
        self._begun = self._told = self._last = 0.0
        self.met = 0

    def __repr__(self) -> str:
        return f"Trouble({self._name}, now={None if self._kind is None else self._kind.__name__}, met={self.met})"

    def meet(self, error: StoreError) -> None:
        """A job failed for a reason that is the database's own."""
        now = self._monotonic()
        self.met, self._last = self.met + 1, now
        if type(error) is self._kind and now - self._told < AGAIN_SECONDS:
            return
        if self._kind is None:
            self._begun = now
        self._kind, self._told = type(error), now
        log.error("store.trouble", thread=self._name, error=str(error), failed=self.met)

    def well(self) -> None:
        """A job succeeded."""
        if self._kind is None:
            return
        now = self._monotonic()
        if now - self._last < WELL_SECONDS:
            return
        self._kind = None
        log.info("store.well_again", thread=self._name, seconds=round(now - self._begun, 1), failed=self.met)
        self.met = 0
