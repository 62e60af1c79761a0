"""Workers: they lease chunks and deliver them, a few at a time, and keep every lease alive meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from ..domain.errors import Unavailable, Unreadable
from ..domain.operations import CHUNK_SIZE, Lane
from ..lines import named
from ..pacing import first_of, pause
from ..ports import LeasedChunk, Slots
from .heartbeats import HEARTBEAT_S, Heartbeats
from .single import delivery_of
from .tools import Tools

log = structlog.get_logger(__name__)

RETRY_AFTER_CRASH_MS = 5_000
"""A chunk whose delivery failed waits so long for each attempt it has had, but not longer than the most."""
MOST_AFTER_CRASH_MS = 900_000


class Worker:
    """Takes chunks of some lanes, at most `slots` at a time; one takes a slot for every `each` recipients.

    Small sends have a worker of their own, so that no campaign can hold all the slots. No account gets all of them
    either, nor the credentials of one app: `Slots`.
    """

    def __init__(
        self, tools: Tools, lanes: Sequence[Lane], *, slots: int, each: int = CHUNK_SIZE, heartbeat: float = HEARTBEAT_S
    ) -> None:
        self._tools = tools
        self._lanes = tuple(lanes)
        self._slots = Slots.of(slots, each)
        self._beats = Heartbeats(tools.queue, tools.clock, heartbeat)
        self._running: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = asyncio.Event()
        self.delivered = 0

    def __repr__(self) -> str:
        lanes = ",".join(lane.name for lane in self._lanes)
        return f"Worker({lanes}, running={len(self._running)}/{self._slots.total}, delivered={self.delivered})"

    async def run(self) -> None:
        """Works until `drain`, or until the queue is closed: returns when no chunk is held any more."""
        queue = self._tools.queue
        ends = [
            queue.straight(lane, self._slots, may=self._may, take=self._take, work=self._deliver)
            for lane in self._lanes
        ]
        try:
            await self._work()
        finally:
            self._closing.set()
            for end in ends:
                end()
        if self._running:
            await asyncio.wait(self._running)

    async def _work(self) -> None:
        while True:
            await self._room.wait()
            if self._closing.is_set():
                break
            if self._tools.stall.is_on:
                # Until what was answered can be written again, or until `drain`.
                await first_of(self._tools.stall.over(), self._closing.wait())
                continue
            chunks = await self._lease(self._slots.total - len(self._running))
            if chunks is not None and not chunks:
                break
            for chunk in chunks or ():
                self._begin(chunk)

    def _may(self) -> bool:
        return not self._closing.is_set() and not self._tools.stall.is_on

    def _take(self, chunk: LeasedChunk) -> bool:
        """Begins with a chunk that was not asked for, in the task that this is called in, unless this is ending."""
        task = asyncio.current_task()
        if task is None or self._closing.is_set():
            return False
        self._run(task)
        return True

    def _begin(self, chunk: LeasedChunk) -> None:
        self._run(asyncio.create_task(self._deliver(chunk)))

    def _run(self, task: asyncio.Task[Any]) -> None:
        self._running.add(task)
        task.add_done_callback(self._ended)
        if len(self._running) >= self._slots.total and not self._closing.is_set():
            self._room.clear()

    def drain(self) -> None:
        """Leases nothing more; `run` returns when what is held is finished. Close the queue to end its waiting."""
        self._closing.set()
        self._room.set()

    async def _lease(self, free: int) -> list[LeasedChunk] | None:
        """Chunks; none when the queue is closed, None when it failed."""
        try:
            return await self._tools.queue.lease(self._lanes, free, slots=self._slots)
        except Exception as error:
            # The store may be full or locked for a while; accepted work waits there and nothing is lost.
            if not isinstance(error, Unavailable | Unreadable):  # the store tells the log, once for all
                log.exception("worker.lease_failed")
            await pause(self._tools.clock, 1.0)
            return None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._room.set()

    async def _deliver(self, chunk: LeasedChunk) -> None:
        delivery = delivery_of(chunk, self._tools)
        end_beats = self._beats.add(chunk, delivery.stop)
        unwatch = self._tools.queue.watch(chunk, delivery.stop)
        try:
            if await self._may_begin(chunk):
                with self._tools.around(chunk):
                    await delivery.run()
                self.delivered += 1
        except Exception as error:
            if isinstance(error, Unavailable | Unreadable):
                log.warning("chunk.put_off", **named(chunk), error=str(error))
            else:
                log.exception("chunk.failed", **named(chunk))
            await self._give_back(chunk)
        finally:
            unwatch()
            end_beats()

    async def _may_begin(self, chunk: LeasedChunk) -> bool:
        """Waits while outcomes cannot be written; False when the lease was lost meanwhile."""
        stall = self._tools.stall
        if not stall.is_on:
            return True
        await stall.over()
        return await stall.write(self._tools.clock, lambda: self._tools.queue.extend(chunk))

    async def _give_back(self, chunk: LeasedChunk) -> None:
        try:
            wait = min(RETRY_AFTER_CRASH_MS * chunk.attempt, MOST_AFTER_CRASH_MS)
            due = int(self._tools.clock.time() * 1000) + wait
            await self._tools.queue.retry(chunk, due)
        except Unavailable:
            log.warning("chunk.not_given_back", **named(chunk))  # its lease runs out by itself
        except Exception:
            log.exception("chunk.give_back_failed", **named(chunk))  # its lease runs out by itself
