"""Deadlines of thousands of pushes with one timer."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable

from .clock import Clock, Timer
from .job import DONE, Job

_SLACK = 4096
"""How many ended pushes may be kept beside as many as are not ended."""


class Deadlines:
    """Calls `expire` for each push that is not done at its deadline.

    Pushes with the client's own time-out come in the order of their deadlines: a FIFO. The few with
    another one go to a heap. Ended pushes are dropped in bulk, so memory follows what is open.
    """

    __slots__ = ("_bound", "_clock", "_count", "_due", "_expire", "_heap", "_timer", "fifo")

    def __init__(self, clock: Clock, expire: Callable[[Job], None]) -> None:
        self._clock = clock
        self._expire = expire
        self.fifo: deque[Job] = deque()
        """Those in order, in one object for good: the twin of `append` adds to it."""
        self._heap: list[tuple[float, int, Job]] = []
        self._count = itertools.count()
        self._bound = _SLACK
        self._timer: Timer | None = None
        self._due = 0.0

    def __repr__(self) -> str:
        return f"<Deadlines {len(self.fifo)} in order, {len(self._heap)} beside>"

    def __len__(self) -> int:
        return len(self.fifo) + len(self._heap)

    def append(self, job: Job) -> None:
        """Watch one push, as `extend` does: this runs once per `Client.send`."""
        fifo = self.fifo
        while fifo and fifo[0].state == DONE:
            fifo.popleft()
        fifo.append(job)
        first = fifo[0].deadline
        if self._timer is None or self._due > first or len(fifo) > self._bound:
            self._watch(first)

    def extend(self, jobs: Iterable[Job]) -> None:
        """Watch pushes whose deadlines are not before any given here earlier."""
        fifo = self.fifo
        while fifo and fifo[0].state == DONE:
            fifo.popleft()
        fifo.extend(jobs)
        if fifo:
            self._watch(fifo[0].deadline)

    def insert(self, job: Job) -> None:
        """Watch a push with a deadline of its own. Raises `ValueError` for one that no moment is after."""
        if job.deadline != job.deadline:  # not a number: nothing in the heap would be found again
            raise ValueError("timeout: nan is no number of seconds; give one, or leave it out")
        heapq.heappush(self._heap, (job.deadline, next(self._count), job))
        self._watch(job.deadline)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.fifo.clear()
        self._heap.clear()

    def _watch(self, due: float) -> None:
        if len(self) > self._bound:
            self._compact()
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._clock.call_later(max(0.001, due - self._clock.monotonic()), self._fire)

    def _compact(self) -> None:
        running = [job for job in self.fifo if job.state != DONE]
        self.fifo.clear()
        self.fifo.extend(running)
        self._heap = [entry for entry in self._heap if entry[2].state != DONE]
        heapq.heapify(self._heap)
        self._bound = 2 * len(self) + _SLACK

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        late: list[Job] = []
        fifo, heap = self.fifo, self._heap
        while fifo and (fifo[0].state == DONE or fifo[0].deadline <= now):
            late.append(fifo.popleft())
        while heap and (heap[0][2].state == DONE or heap[0][0] <= now):
            late.append(heapq.heappop(heap)[2])
        if fifo:
            self._watch(fifo[0].deadline)
        if heap:
            self._watch(heap[0][0])
        for job in late:
            if job.state != DONE:
                self._expire(job)
