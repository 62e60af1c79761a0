"""What of a chunk waits because its credential is refused: put off until that works, or until its time is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import methodcaller

import msgspec

from heliogram import _accel

from ..domain.notifications import DeliveryRecord, Outcome
from ..ports import LeasedChunk, PushResult
from .breaker import CANNOT_REACH, UNREACHABLE, Gate
from .plan import Progress, Target
from .policy import Deadline
from .recorder import Recorder

_copied = methodcaller("__copy__")  # the copy module takes twice as long to get there


class Waiting:
    """Puts off pushes of one chunk, each with a record that says why.

    What was put off before for the same reason gets no further record: a long wait must not fill the disk. With
    `Deadline.again` the wait is over, and the reason is what it ends with.
    """

    def __init__(self, chunk: LeasedChunk, progress: Progress, recorder: Recorder, deadline: Deadline) -> None:
        self._chunk, self._progress, self._recorder, self._deadline = chunk, progress, recorder, deadline
        self._until: dict[bytes, int] = {}
        self._at = 0
        self.ended: set[bytes] = set()
        """Credentials that something waited for in vain."""

    def __repr__(self) -> str:
        return f"Waiting(credentials={len(self._until)})"

    @property
    def credential(self) -> bytes | None:
        """A credential that something waits for."""
        return next(iter(self._until), None)

    def due(self, now: int, rest: int) -> int:
        """When to look after what waits (ms). What waits for two credentials is told by one alone: in `rest` ms at the
        latest. A clock that was set back since makes no wait longer."""
        set_back = max(0, self._at - now)
        waits = [until - set_back for until in self._until.values()]
        return min(waits) if len(waits) == 1 else min([now + rest, *waits])

    def hold(self, gate: Gate, targets: Iterable[Target], now: int) -> None:
        """Puts off what did not leave."""
        reason = gate.reason
        for target in targets:
            earlier = self._progress.device(target.sequence, target.slot)
            until = self._wait(gate, target, now)
            if earlier is not None and earlier.held:
                if until is None:
                    self._recorder.take(_ended(earlier, target, now))
                    continue
                if earlier.reason == reason or (earlier.reason.startswith(UNREACHABLE) and reason == CANNOT_REACH):
                    continue
            result = PushResult(tag=target, outcome=Outcome.NOT_SENT, reason=reason)
            attempt = target.attempt if until is None else target.attempt - 1
            self._recorder.take(record_of(self._chunk, result, now, until, attempt=attempt, held=until is not None))

    def refused(self, gate: Gate, result: PushResult, now: int) -> None:
        """Puts off what met the refusal."""
        until = self._wait(gate, result.tag, now)
        self._recorder.take(
            record_of(self._chunk, result, now, until, attempt=result.tag.attempt, held=until is not None)
        )

    def _wait(self, gate: Gate, target: Target, now: int) -> int | None:
        if now >= self._deadline.again:
            self.ended.add(target.credential)
            return None
        until, self._at = min(gate.due(now), self._deadline.again), now
        known = self._until.get(target.credential, until)
        self._until[target.credential] = min(until, known)
        return until


def _ended(waiting: DeliveryRecord, target: Target, now: int) -> DeliveryRecord:
    """The end of one that waited, saying still why."""
    attempt = max(waiting.attempt, 1)
    return msgspec.structs.replace(
        waiting, final=True, at=now, retry_at=None, of=target.of, held=False, attempt=attempt
    )


def record_of(
    chunk: LeasedChunk,
    result: PushResult,
    now: int,
    retry_at: int | None,
    *,
    attempt: int,
    reason: str | None = None,
    held: bool = False,
) -> DeliveryRecord:
    """What is written of an attempt at the device that the result is tagged with; final without `retry_at`."""
    target: Target = result.tag
    return DeliveryRecord(
        sequence=target.sequence,
        slot=target.slot,
        outcome=result.outcome,
        final=retry_at is None,
        at=now,
        token=target.token,
        provider=target.provider,
        environment=target.environment,
        credential=target.credential,
        status=result.status,
        reason=result.reason if reason is None else reason,
        timestamp=result.timestamp,
        unique_id=result.unique_id,
        attempt=attempt,
        queued_ms=max(0, now - chunk.start - result.wire_ms),
        wire_ms=result.wire_ms,
        retry_at=retry_at,
        of=target.of,
        held=held,
    )


def records_of_accepted(chunk: LeasedChunk, results: Sequence[PushResult], now: int) -> list[DeliveryRecord]:
    """What `record_of` makes of results that are all `ACCEPTED`: most are alike but for recipient and token, and a copy
    is made sooner than a record."""
    if _records is not None and type(results) is list:
        made: list[DeliveryRecord] | None = _records(results, chunk.start, now)
        if made is not None:
            return made
    records: list[DeliveryRecord] = []
    record: DeliveryRecord
    model, credential, wire_ms = None, b"", -1
    for result in results:
        target: Target = result.tag
        if model is None or target.credential is not credential or result.wire_ms != wire_ms:
            credential, wire_ms = target.credential, result.wire_ms
            record = model = record_of(chunk, result, now, None, attempt=target.attempt)
        else:
            record = _copied(model)
            record.sequence, record.slot, record.token = target.sequence, target.slot, target.token
            record.environment, record.unique_id = target.environment, result.unique_id
            record.attempt, record.of = target.attempt, target.of
        records.append(record)
    return records


_MODEL = DeliveryRecord(sequence=0, slot=0, outcome=Outcome.ACCEPTED, final=True, at=0)
_records = _accel.twin("records", PushResult, Target, DeliveryRecord, _MODEL)
