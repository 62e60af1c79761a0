"""Asking once for what many want to know at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """Whoever asks while the same is being asked gets that answer: what is kept for a while and then is over would else
    be asked for by all who are under way just then. One that leaves takes nothing from the others."""

    def __init__(self) -> None:
        self._asking: dict[K, asyncio.Task[V]] = {}

    def __repr__(self) -> str:
        return f"Once(asking={len(self._asking)})"

    async def ask(self, key: K, job: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What `job` returns, or the one that is under way for this key. Raises what that raises."""
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(job())
            task.add_done_callback(lambda ended: self._answered(key, ended))
        return await asyncio.shield(task)

    def _answered(self, key: K, task: asyncio.Task[V]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # told to who asked, if they are still there
