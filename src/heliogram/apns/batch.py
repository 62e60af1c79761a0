"""`send_many`: any number of pushes with bounded memory and no task or future per push."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Literal, Protocol

import msgspec

from heliogram import _accel

from .errors import ApnsError
from .job import Job
from .notification import Notification
from .outcomes import NotSent, Outcome
from .pool import Pool

CHUNK = 1000
"""Pushes taken from the source, or outcomes handed over, before the other side gets its turn."""
_SLOW = 0.1
"""Seconds that a source may take for a chunk at the cost of the pushes in it."""
_address = _accel.twin("address", Job)


class Push(msgspec.Struct, frozen=True, gc=False):
    """One push of `Client.send_many`. `tag` comes back in its outcome."""

    device_token: str
    notification: Notification
    apns_id: str | None = None
    tag: Any = None
    topic: str | None = None


Item = Push | tuple[str, Notification]
Items = Iterable[Item] | AsyncIterable[Item]


class Maker(Protocol):
    """Makes a job of a push, or raises `ApnsError`."""

    def __call__(
        self,
        device_token: str,
        notification: Notification,
        apns_id: str | None,
        tag: Any,
        topic: str | None,
        deadline: float,
        sink: Callable[[Outcome], object],
    ) -> Job:
        """See `Client`."""


class Adder(Protocol):
    """Makes the job of a push that is not plain, or gives it its outcome."""

    def __call__(self, item: object, deadline: float, jobs: list[Job], /) -> None:
        """See `Batch`."""


class BulkMaker(Protocol):
    """Makes the jobs of at most `room` items; what is not plain goes to `add`.

    None when there may be more items, True when there are none, or the error that ended them.
    """

    def __call__(
        self,
        items: Iterator[object],
        room: int,
        deadline: float,
        sink: Callable[[Outcome], object],
        jobs: list[Job],
        add: Adder,
        /,
    ) -> Exception | Literal[True] | None:
        """See `Batch.take`."""


class Batch:
    """The pushes of one `send_many`: at most `limit` queued or open, and at most `limit` outcomes kept."""

    def __init__(
        self, pool: Pool, makers: tuple[Maker, BulkMaker | None], now: Callable[[], float], timeout: float, limit: int
    ) -> None:
        self.limit = limit
        self.outcomes: deque[Outcome] = deque()
        self.open = 0
        self._pool = pool
        self._make, self._make_all = makers
        self._now = now
        self._timeout = timeout
        self._waiter: asyncio.Future[None] | None = None
        self._sink = self.settle  # one object, by which the pool finds what belongs to this batch

    def __repr__(self) -> str:
        return f"<Batch {self.open} open of {self.limit}, {len(self.outcomes)} outcomes to fetch>"

    @property
    def room(self) -> int:
        """How many pushes may be added now."""
        return min(self.limit - self.open, self.limit - len(self.outcomes))

    def add(self, items: Iterable[object]) -> None:
        """Queue pushes; the ones that cannot be sent get their outcome at once."""
        self.take(iter(items), sys.maxsize)

    def take(self, items: Iterator[object], room: int) -> Exception | Literal[True] | None:
        """Queue at most `room` of them. None if there may be more, True if not, or the error that ended them."""
        began = self._now()
        deadline = began + self._timeout
        jobs: list[Job] = []
        if self._make_all is None:
            ended = self._make_each(items, room, deadline, jobs)
        else:
            ended = self._make_all(items, room, deadline, self._sink, jobs, self._add)
        if jobs:
            queued = self._now()
            if queued - began > _SLOW:  # the source kept its pushes waiting: that was none of their own time
                for job in jobs:
                    job.deadline = queued + self._timeout
            self.open += len(jobs)
            self._pool.deadlines.extend(jobs)
            self._pool.add(jobs)
        return ended

    def queue(self, jobs: list[Job]) -> None:
        """Queue jobs that are ready but for deadline and sink."""
        deadline, sink = self._now() + self._timeout, self._sink
        if _address is not None:
            _address(jobs, deadline, sink)
        else:
            for job in jobs:
                job.deadline, job.sink = deadline, sink
        self.open += len(jobs)
        self._pool.deadlines.extend(jobs)
        self._pool.add(jobs)

    def _make_each(
        self, items: Iterator[object], room: int, deadline: float, jobs: list[Job]
    ) -> Exception | Literal[True] | None:
        # One by one: a notification that dies young leaves the processor's cache to the others.
        make, sink = self._make, self._sink
        while room > 0:
            room -= 1
            try:
                item = next(items)
            except StopIteration:
                return True
            except Exception as error:
                return error
            apns_id = tag = topic = None
            if isinstance(item, tuple) and len(item) == 2:
                token, notification = item
            elif isinstance(item, Push):
                token, notification = item.device_token, item.notification
                apns_id, tag, topic = item.apns_id, item.tag, item.topic
            else:
                cause = f"item: a {type(item).__name__}; give (device token, notification) or a Push"
                self._refuse(NotSent("", "", cause))
                continue
            try:
                jobs.append(make(token, notification, apns_id, tag, topic, deadline, sink))
            except ApnsError as error:
                self._refuse(NotSent(_text(token), _text(apns_id), str(error), tag))
            except Exception as error:  # a notification of the application's own may raise anything
                cause = f"item: {str(error) or type(error).__name__}; check the types of its parts"
                self._refuse(NotSent(_text(token), _text(apns_id), cause, tag))
        return None

    def _add(self, item: object, deadline: float, jobs: list[Job]) -> None:
        self._make_each(iter((item,)), 1, deadline, jobs)

    def _refuse(self, outcome: NotSent) -> None:
        self._pool.reporter.never_a_push(outcome)
        self.outcomes.append(outcome)

    def settle(self, outcome: Outcome) -> None:
        """Take an outcome and wake the consumer."""
        self.open -= 1
        self.outcomes.append(outcome)
        if self._waiter is not None:
            self.wake()

    def wake(self) -> None:
        """Let `wait` return."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Until there is news."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def close(self) -> None:
        """What is not on the wire yet is not sent, and gets no outcome; the rest still gets its own."""
        self.open -= self._pool.withdraw(self._sink)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class Source(Protocol):
    """Where the pushes of a batch come from."""

    exhausted: bool
    error: BaseException | None

    def fill(self) -> bool:
        """Take what there is room for; True when there may be more at once."""

    def stop(self) -> None:
        """No more is taken."""

    async def close(self) -> None:
        """The consumer needs no more."""


class PlainSource:
    """Takes pushes from an iterable, in the consumer's own context."""

    def __init__(self, batch: Batch, items: Iterable[object]) -> None:
        self.exhausted = False
        self.error: BaseException | None = None
        self._batch = batch
        self._items: Iterator[object] = iter(items)

    def fill(self) -> bool:
        """See `Source.fill`."""
        room = 0 if self.exhausted else min(self._batch.room, CHUNK)
        if room <= 0:
            return False
        ended = self._batch.take(self._items, room)
        if ended is None:
            return self._batch.room > 0
        self.exhausted = True
        if ended is not True:
            self.error = ended
        return False

    def stop(self) -> None:
        """See `Source.stop`."""
        self.exhausted = True

    async def close(self) -> None:
        """See `Source.close`."""
        self.exhausted = True


class AsyncSource:
    """Takes pushes from an async iterable, in one task of its own."""

    def __init__(self, batch: Batch, items: AsyncIterable[object]) -> None:
        self.exhausted = False
        self.error: BaseException | None = None
        self._batch = batch
        self._items = items
        self._full: asyncio.Future[None] | None = None
        self._stopped = False
        self._task = asyncio.get_running_loop().create_task(self._pull(), name="heliogram-apns-source")

    async def _pull(self) -> None:
        try:
            async for item in self._items:
                self._batch.add((item,))
                self._batch.wake()
                while self._batch.room <= 0:
                    self._full = asyncio.get_running_loop().create_future()
                    await self._full
        except (Exception, asyncio.CancelledError) as error:  # a source that was cancelled has not come to its end
            if not self._stopped:
                self.error = error
        finally:
            self.exhausted = True
            self._batch.wake()

    def fill(self) -> bool:
        """See `Source.fill`."""
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)
        return False

    def stop(self) -> None:
        """See `Source.stop`."""
        self._stopped = True
        self._task.cancel()

    async def close(self) -> None:
        """See `Source.close`."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()


async def outcomes(
    batch: Batch, items: Items, stop: asyncio.Future[None] | None = None
) -> AsyncGenerator[Outcome, None]:
    """Feed a batch and yield its outcomes in the order of their coming.

    An error of the source ends the feeding; it is raised when all outcomes have been handed over. Once `stop` is done
    only what is on the wire already is waited for.
    """
    source: Source
    source = AsyncSource(batch, items) if isinstance(items, AsyncIterable) else PlainSource(batch, items)
    done = batch.outcomes

    def end(_: asyncio.Future[None]) -> None:
        source.stop()
        batch.close()
        batch.wake()

    if stop is not None:
        stop.add_done_callback(end)
    try:
        while True:
            more = False if stop is not None and stop.done() else source.fill()
            if done:
                for _ in range(min(len(done), CHUNK)):
                    yield done.popleft()
                continue  # what was handed over made room
            if source.exhausted and not batch.open:
                break
            if more:
                await asyncio.sleep(0)
            else:
                await batch.wait()
        if source.error is not None:
            raise source.error
    finally:
        if stop is not None:
            stop.remove_done_callback(end)
        batch.close()
        await source.close()
