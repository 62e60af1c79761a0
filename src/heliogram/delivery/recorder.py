"""Outcomes on their way to disk: buffered for at most 100 ms or 1,000 answers, then appended as one result part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from ..domain.errors import Unavailable
from ..domain.notifications import DeliveryRecord, NotificationStatus, Outcome, status_of
from ..domain.operations import Counts, counts_of
from ..lines import named, tell
from ..pacing import SLICE, pause, turn
from ..ports import Clock, LeasedChunk, LeaseStore, NoTap, Tap, Timer
from .plan import Progress
from .stalling import BACK_OFF_S, Stall, back_off

log = structlog.get_logger(__name__)

_ACCEPTED = Outcome.ACCEPTED  # named once: to ask the enumeration costs more than all else that is done for a record
FLUSH_AFTER_S = 0.1
FLUSH_AT = 1_000
SLOW_S = 1.0
"""A store that has not answered a write for so long may be out of reach: what is answered meanwhile would be sent again
by whoever takes the chunk over, so no more is sent."""

Write = Callable[[Sequence[DeliveryRecord], Counts], Awaitable[bool]]
"""Writes a result part, and says whether this attempt still holds the chunk."""


class Recorder:
    """Takes the records of one chunk, counts its recipients, and writes both.

    After a crash, what repeats is at most what was answered and not yet written. What the store does not take stays
    here and is tried again; meanwhile it is `full`, so that no more is sent than what is under way. `fenced` says that
    another attempt holds the chunk: nothing more is written, and the delivery should stop.
    """

    def __init__(
        self,
        chunk: LeasedChunk,
        progress: Progress,
        store: LeaseStore,
        clock: Clock,
        stall: Stall | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._tap = NoTap() if tap is None else tap
        self._chunk, self._progress, self._store, self._clock = chunk, progress, store, clock
        self._stall = Stall() if stall is None else stall
        self._stuck = False
        self._counted: set[int] = set()
        self._counts = Counts()
        self._buffer: list[DeliveryRecord] = []
        self._timer: Timer | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._since: float | None = None
        """When the write began that the store has not answered."""
        self.fenced = False
        self._count([record for known in progress.by_sequence.values() for record in known])
        self._told = self._counts
        """What the tap knows, beside what was there before."""

    def __repr__(self) -> str:
        return f"Recorder(buffered={len(self._buffer)}, counts={self._counts}, fenced={self.fenced})"

    @property
    def counts(self) -> Counts:
        """How many recipients have ended how, by this attempt and those before it."""
        return self._counts

    @property
    def full(self) -> bool:
        """Whether the buffer should be written before more is taken."""
        return self._stuck or len(self._buffer) >= FLUSH_AT or self._is_slow()

    def _is_slow(self) -> bool:
        return self._since is not None and self._clock.monotonic() - self._since > SLOW_S

    @property
    def room(self) -> int:
        """How many may be taken before a write."""
        return max(1, FLUSH_AT - len(self._buffer))

    def take(self, record: DeliveryRecord) -> None:
        """Takes one record; it is written at the latest 100 ms from now."""
        self._progress.add(record)
        self._keep((record,))

    def take_accepted(self, records: Sequence[DeliveryRecord], *, last: bool = False) -> None:
        """Takes records that are all `ACCEPTED`, as `take` does. After the `last` ones the chunk is ended or settled at
        once: they need no timer."""
        self._progress.accept(records)
        self._keep(records, last=last)

    def _keep(self, records: Sequence[DeliveryRecord], *, last: bool = False) -> None:
        self._buffer += records
        if self._timer is None and self._buffer and not last:
            self._timer = self._clock.call_later(FLUSH_AFTER_S, self._due)

    async def flush(self) -> None:
        """Writes what is buffered; raises what the store raises, and then keeps it."""
        self._end_timer()
        if len(self._buffer) > SLICE:
            await turn()
        async with self._lock:
            if self._buffer and not self.fenced:
                await self._write(partial(self._store.append_records, self._chunk))

    async def end(self, write: Write) -> bool:
        """Ends the chunk with what is buffered, in one write; False, with all of it kept, when the store does not take
        it."""
        self._end_timer()
        async with self._lock:
            if not self.fenced:
                try:
                    await self._write(write)
                except Unavailable:
                    return False
        return True

    async def _write(self, write: Write) -> None:
        records, self._buffer = self._buffer, []
        self._count(records)
        self._since = self._clock.monotonic()
        try:
            written = await write(records, self._counts)
        except BaseException as error:
            self._buffer[:0] = records
            if isinstance(error, Unavailable):
                self._stuck = True
                self._stall.begin(self)
            raise
        finally:
            self._since = None
        self.fenced = not written
        self._free()
        if written and records:
            self._tap.wrote(self._chunk, records, self._counts - self._told)
            self._told = self._counts

    async def settle(self) -> None:
        """Writes what is buffered, however long it takes: what was answered must not be sent again."""
        for wait in back_off():
            try:
                await self.flush()
            except Unavailable:
                await pause(self._clock, wait)
            else:
                break

    def _free(self) -> None:
        self._stuck = False
        self._stall.end(self)

    async def close(self) -> None:
        """Ends the timer and waits for a write that is under way."""
        self._end_timer()
        if self._writing:
            await asyncio.wait(self._writing)
        self._end_timer()  # set again by a write that failed
        self._free()

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        task = asyncio.ensure_future(self.flush())
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Unavailable):  # the store tells the log, once for all
            if self._timer is None:
                self._timer = self._clock.call_later(BACK_OFF_S[-1], self._due)
            return
        # What could not be written is still in the buffer; the next flush tries again or ends the attempt.
        log.warning("records.write_failed", **named(self._chunk), error=str(error))

    def _count(self, records: Sequence[DeliveryRecord]) -> None:
        """Counts each recipient once, when it is first known how it went; SENT, once said, stays."""
        counted = self._counted
        before = len(counted)
        counted.update([record.sequence for record in records if record.outcome is _ACCEPTED])
        sent = len(counted) - before  # whatever the recipients' other devices have
        others = {record.sequence for record in records if record.outcome is not _ACCEPTED} - counted
        ended = []
        for sequence in others:
            verdict = status_of(self._progress.by_sequence[sequence])
            if verdict[0] is not NotificationStatus.QUEUED:
                counted.add(sequence)
                ended.append(verdict)
        self._counts += counts_of(ended) + Counts(sent=sent)


def tell_ended(chunk: LeasedChunk, counts: Counts) -> None:
    """The log's line of a chunk that has ended."""
    tell(
        log,
        chunk.lane,
        "chunk.ended",
        chunk.operation_id,
        first=chunk.first,
        attempt=chunk.attempt,
        sent=counts.sent,
        failed=counts.failed,
        unaddressable=counts.unaddressable,
    )
