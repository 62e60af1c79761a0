"""The pushes in front of a pool's connections."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .connection import Connection
from .ends import Ends
from .job import DONE, Job
from .outcomes import Outcome


class Waiting:
    """Two queues: of pushes that any connection may carry, and of picky ones, that need a newer one (`Job.above`)."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self.ready: deque[Job] = deque()
        self.picky: deque[Job] = deque()

    def __repr__(self) -> str:
        return f"<Waiting {len(self.ready)} ready, {len(self.picky)} picky>"

    def __len__(self) -> int:
        return len(self.ready) + len(self.picky)

    def shed(self) -> None:
        """Drop what has had its outcome from the front."""
        for queue in (self.ready, self.picky):
            while queue and queue[0].state == DONE:
                queue.popleft()

    def hand_back(self, jobs: list[Job]) -> None:
        """To the front, oldest first."""
        for job in reversed(jobs):
            (self.picky if job.sent_again else self.ready).appendleft(job)

    def fill(self, connection: Connection, now: float) -> None:
        """Give a connection what it may carry and has room for."""
        fit = deque(job for job in self.picky if job.above < connection.serial)
        if fit:
            rest = [job for job in self.picky if job.above >= connection.serial]
            connection.fill(fit, now)
            self.picky = deque((*fit, *rest))
        connection.fill(self.ready, now)

    def withdraw(self, sink: Callable[[Outcome], object]) -> int:
        """Forget the pushes of this very sink, and tell how many: nobody waits for them."""
        forgotten = 0
        for job in (*self.picky, *self.ready):
            if job.sink is sink and job.state != DONE:
                job.state = DONE
                forgotten += 1
        self.shed()
        return forgotten

    def give_up(self, cause: str) -> None:
        """End all as not sent."""
        jobs = [*self.picky, *self.ready]
        self.picky.clear()
        self.ready.clear()
        self.end(jobs, lambda _: cause)

    def check(self, objection: Callable[[Job], str | None]) -> None:
        """End as not sent what there is an objection to."""
        self.end([*self.picky, *self.ready], objection)

    def end(self, jobs: Iterable[Job], objection: Callable[[Job], str | None]) -> None:
        """End as not sent those to which there is an objection."""
        for job in jobs:
            cause = None if job.state == DONE else objection(job)
            if cause is not None:
                self._ends.not_sent(job, cause)
