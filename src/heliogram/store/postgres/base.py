"""What the parts of the store share, in place of the embedded store's threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from ...domain.ids import IdFactory
from ...measures import StoreStats
from ...ports import Clock
from ..sqlite.base import Base
from ..sqlite.depth import Doorkeeper
from ..sqlite.turns import Turns
from .jobs import Jobs
from .steps import NodeSteps

T = TypeVar("T")


class PostgresBase(Base):
    """Runs the embedded store's jobs on PostgreSQL. `_jobs` runs what has statements of its own."""

    _steps: NodeSteps

    def __init__(self, place: str, jobs: Jobs, ids: IdFactory, clock: Clock) -> None:
        self._place = place
        self._jobs = jobs
        self._ids = ids
        self._clock = clock
        self._turns = Turns()
        self._steps = NodeSteps(clock)
        self._doorkeeper = Doorkeeper(clock)

    def stats(self) -> StoreStats:
        """How it is just now; asks no database."""
        return self._jobs.stats()

    async def _write(
        self,
        job: Callable[[apsw.Connection], T],
        *,
        long: bool = False,
        bare: bool = False,
        undone: Callable[[], object] | None = None,  # not called: what failed here may have been committed all the same
    ) -> T:
        return await self._jobs.write(job)

    async def _read(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self._jobs.read(job)

    async def _list(self, job: Callable[[apsw.Connection], T]) -> T:
        return await self._jobs.read(job)

    def _array(self, values: Sequence[bytes] | Sequence[str]) -> Any:
        return values
