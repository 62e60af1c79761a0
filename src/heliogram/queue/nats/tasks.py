"""Tasks that nobody waits for until the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Tasks:
    """Keeps tasks alive, tells the log what they raise, and waits for them at the end."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"Tasks(running={len(self._running)})"

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Has something done."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("queue.task_failed", exc_info=error)

    async def finish(self) -> None:
        """Waits until nothing runs any more."""
        while self._running:
            await asyncio.wait(set(self._running))
