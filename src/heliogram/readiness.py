"""Whether this node can do what it is there for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from .ports import Clock

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 2.0
"""How long the store or the queue may take to answer until it counts as out of reach."""
KEPT_SECONDS = 1.0
"""An answer is good for so long: anybody may ask, as often as they like."""

Look = Callable[[], Awaitable[object]]


class NodeReadiness:
    """`ports.Readiness`: asks what the node stands on, by name, and knows whether it is being stopped."""

    def __init__(self, clock: Clock, looks: Sequence[tuple[str, Look]]) -> None:
        self._clock = clock
        self._looks = tuple(looks)
        self._kept: tuple[float, list[str]] | None = None
        self._asking: asyncio.Task[list[str]] | None = None
        self.stopping = False

    def __repr__(self) -> str:
        return f"NodeReadiness(of={len(self._looks)}, stopping={self.stopping})"

    async def missing(self) -> list[str]:
        """What does not answer within two seconds, and whether the node is being stopped."""
        if self.stopping:
            return ["it is being stopped"]
        now = self._clock.monotonic()
        if self._kept is not None and now - self._kept[0] < KEPT_SECONDS:
            return self._kept[1]
        if self._asking is None:  # many may ask at once
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def _asked(self, task: asyncio.Task[list[str]]) -> None:
        self._asking = None
        if not task.cancelled() and task.exception() is None:
            self._kept = self._clock.monotonic(), task.result()

    async def _ask(self) -> list[str]:
        missing = []
        for name, look in self._looks:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await look()
            except Exception as error:
                log.warning("node.not_ready", of=name, error=str(error) or type(error).__name__)
                missing.append(f"{name} cannot be reached")
        return missing
