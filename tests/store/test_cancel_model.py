"""Claiming, sending, recording, cancelling, crashing in any order: the counters always add up, nothing that was
cancelled is sent, and no outcome is lost."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.clock import FakeClock, FakeTimer
from support.postgres import require_postgres
from support.stores import FACTORIES, Bench, StoreFactory, token_of

from heliogram.delivery.plan import Progress
from heliogram.delivery.recorder import Recorder
from heliogram.domain.ids import IdFactory, notification_id
from heliogram.domain.notifications import DeliveryRecord, NotificationStatus, Outcome, Recipient
from heliogram.domain.operations import Lane, Operation, OperationStatus
from heliogram.ports import Cancellation, LeasedChunk, NotificationFilter, Store, Window

T = TypeVar("T")
Place = tuple[bytes, int]
"""A recipient: its operation and its sequence."""
DEVICES = {True: (1, 2), False: (0,)}
"""The slots of a user's devices, and of a direct token."""
LEASE = 60_000


class Frozen(FakeClock):
    """A clock whose timers never ring: the machine says when a buffer is written."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        return FakeTimer(0.0, callback)


class Worker:
    """One that holds a chunk: what it has still to send, what is on the wire, and what it wrote down."""

    def __init__(self, chunk: LeasedChunk, store: Store, clock: FakeClock) -> None:
        self.chunk = chunk
        self.progress = Progress(chunk.records)
        self.recorder = Recorder(chunk, self.progress, store, clock)
        self.unsent: list[tuple[int, int]] = []
        self.wire: list[tuple[int, int]] = []
        for index, recipient in enumerate(chunk.recipients):
            sequence = chunk.first + index
            if self.progress.ended(sequence):
                continue
            for slot in DEVICES[bool(recipient.user)]:
                known = self.progress.device(sequence, slot)
                if known is None or (not known.final and (known.retry_at or 0) <= chunk.claimed):
                    self.unsent.append((sequence, slot))

    def record(self, sequence: int, slot: int, outcome: Outcome, now: int, retry_at: int | None) -> DeliveryRecord:
        known = self.progress.device(sequence, slot)
        user = bool(self.chunk.recipients[sequence - self.chunk.first].user)
        return DeliveryRecord(
            sequence=sequence,
            slot=slot,
            outcome=outcome,
            final=retry_at is None,
            at=now,
            token=token_of(slot),
            attempt=1 if known is None else known.attempt + 1,
            retry_at=retry_at,
            of=len(DEVICES[user]),
        )


class CancelMachine(RuleBasedStateMachine):
    """A few operations, a few workers, and somebody who changes their mind."""

    factory: StoreFactory

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = Frozen()
        # The order of claims follows the ids: they are the same in each run.
        ids = IdFactory(lambda: self.clock.ms, random.Random(1).getrandbits)
        self.store: Store = self.run(type(self).factory(self.directory, ids, self.clock))
        self.bench = Bench(self.store, self.clock, ids, self.run(self.store.default_account()).id)
        self.operations: list[Operation] = []
        self.workers: list[Worker] = []
        self.stopped: set[bytes] = set()
        self.gone: set[Place] = set()
        """Recipients whose cancellation was confirmed."""
        self.accepted: set[Place] = set()
        """Recipients of whom an acceptance is on disk."""

    def run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    def teardown(self) -> None:
        try:
            self.everything_ends()
        finally:
            self.run(self.store.close())
            self.runner.close()
            shutil.rmtree(self.directory)

    # ---- callers

    @rule(users=st.lists(st.booleans(), min_size=1, max_size=5), later=st.sampled_from([None, 1_000, 5_000]))
    @precondition(lambda self: len(self.operations) < 3)
    def accept(self, users: list[bool], later: int | None) -> None:
        recipients = [
            Recipient(user=bytes([n]) * 16) if u else Recipient(token=token_of(n)) for n, u in enumerate(users)
        ]
        send_at = None if later is None else self.clock.ms + later
        self.operations.append(self.run(self.bench.accept(recipients, size=2, send_at=send_at)))

    @rule(data=st.data())
    @precondition(lambda self: self.operations)
    def cancel_one(self, data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(self.operations))
        sequence = data.draw(st.integers(0, operation.recipients - 1))
        place = (operation.id, sequence)
        before = self.status(place)
        ident = notification_id(operation.id, sequence)
        done = self.run(self.store.cancel_notification(self.bench.account, ident, self.clock.ms))
        if done is Cancellation.DONE:
            assert before in (NotificationStatus.SCHEDULED, NotificationStatus.QUEUED)
            assert not self.is_leaving(place)
            self.gone.add(place)
        elif done is Cancellation.ALREADY:
            assert before is NotificationStatus.CANCELED
        else:
            assert done is Cancellation.TOO_LATE
            ended = before in (NotificationStatus.SENT, NotificationStatus.FAILED)
            assert ended or any(self.holds(worker, place) for worker in self.workers)

    @rule(data=st.data())
    @precondition(lambda self: self.operations)
    def cancel_all(self, data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(self.operations))
        before = self.run(self.store.get_operation(self.bench.account, operation.id))
        assert before is not None
        done = self.run(self.store.cancel_operation(self.bench.account, operation.id, self.clock.ms))
        if before.status is OperationStatus.COMPLETED and before.canceled is None:
            assert done is Cancellation.TOO_LATE
            return
        again = before.canceled is not None or before.status is OperationStatus.CANCELED
        assert done is (Cancellation.ALREADY if again else Cancellation.DONE)
        self.stopped.add(operation.id)
        for worker in self.workers:
            if worker.chunk.operation_id == operation.id:
                worker.unsent.clear()  # it was asked to stop
        for sequence in range(operation.recipients):
            place = (operation.id, sequence)
            if not any(self.holds(worker, place) for worker in self.workers):
                assert self.status(place) not in (NotificationStatus.SCHEDULED, NotificationStatus.QUEUED)

    # ---- workers

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        now = self.clock.ms
        call = self.store.claim(Lane.TX, 0, limit=limit, now=now, until=now + LEASE, worker="w")
        chunks = self.run(call)
        for worker in list(self.workers):  # a lease that ran out was taken, or ended with its operation
            if not self.run(self.store.extend(worker.chunk, worker.chunk.until)):
                assert worker.chunk.until <= now
                self.workers.remove(worker)
                self.fenced(worker)
        for chunk in chunks:
            assert chunk.operation_id not in self.stopped
            self.workers.append(Worker(chunk, self.store, self.clock))

    def fenced(self, late: Worker) -> None:
        """One whose lease ran out, and whose chunk was taken, changes nothing any more."""
        late.recorder.take(late.record(late.chunk.first, 0, Outcome.ACCEPTED, self.clock.ms, None))
        self.run(late.recorder.flush())
        assert late.recorder.fenced
        assert not self.run(self.store.finish(late.chunk, self.clock.ms))
        assert not self.run(self.store.release(late.chunk, self.clock.ms, self.clock.ms))

    @rule(data=st.data())
    @precondition(lambda self: any(worker.unsent for worker in self.workers))
    def send(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([worker for worker in self.workers if worker.unsent]))
        for _ in range(data.draw(st.integers(1, len(worker.unsent)))):
            sequence, slot = worker.unsent.pop(0)
            assert (worker.chunk.operation_id, sequence) not in self.gone, "a cancelled one was sent"
            worker.wire.append((sequence, slot))

    @rule(data=st.data(), outcome=st.sampled_from(list(Outcome)[:4]), wait=st.sampled_from([None, 1_000, 9_000]))
    @precondition(lambda self: any(worker.wire for worker in self.workers))
    def answer(self, data: st.DataObject, outcome: Outcome, wait: int | None) -> None:
        worker = data.draw(st.sampled_from([worker for worker in self.workers if worker.wire]))
        sequence, slot = worker.wire.pop(data.draw(st.integers(0, len(worker.wire) - 1)))
        retry_at = None if wait is None or outcome is Outcome.ACCEPTED else self.clock.ms + wait
        worker.recorder.take(worker.record(sequence, slot, outcome, self.clock.ms, retry_at))

    @rule(data=st.data())
    @precondition(lambda self: self.workers)
    def flush(self, data: st.DataObject) -> None:
        self.write(data.draw(st.sampled_from(self.workers)))

    def write(self, worker: Worker) -> None:
        self.run(worker.recorder.flush())
        assert not worker.recorder.fenced
        for sequence, records in worker.progress.by_sequence.items():
            if any(record.outcome is Outcome.ACCEPTED for record in records):
                self.accepted.add((worker.chunk.operation_id, sequence))

    @rule(data=st.data())
    @precondition(lambda self: any(not worker.unsent and not worker.wire for worker in self.workers))
    def let_go(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([each for each in self.workers if not each.unsent and not each.wire]))
        self.write(worker)
        self.workers.remove(worker)
        again = worker.progress.next_retry()
        if worker.chunk.operation_id in self.stopped:
            again = self.clock.ms
        assert self.run(self.give_up(worker, again))

    def give_up(self, worker: Worker, again: int | None) -> Awaitable[bool]:
        """The chunk goes back, done or to be tried again."""
        if again is None:
            return self.store.finish(worker.chunk, self.clock.ms)
        return self.store.release(worker.chunk, again, self.clock.ms)

    @rule()
    def crash(self) -> None:
        self.workers.clear()
        self.run(self.store.release_all(self.clock.ms))

    @rule(seconds=st.sampled_from([0.001, 1, 5, 61]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # ---- what must be so

    def holds(self, worker: Worker, place: Place) -> bool:
        operation, sequence = place
        first = worker.chunk.first
        return worker.chunk.operation_id == operation and first <= sequence < first + len(worker.chunk.recipients)

    def is_leaving(self, place: Place) -> bool:
        """Whether a push to it is to be sent, is on the wire, or has an answer that is not written down."""
        for worker in self.workers:
            if self.holds(worker, place):
                written = {(r.sequence, r.slot) for r in worker.recorder._buffer}
                if any(target[0] == place[1] for target in [*worker.unsent, *worker.wire, *written]):
                    return True
        return False

    def status(self, place: Place) -> NotificationStatus:
        found = self.run(self.store.get_notification(self.bench.account, notification_id(*place)))
        assert found is not None
        return found.status

    @invariant()
    def counters_are_what_notifications_say(self) -> None:
        for operation in self.operations:
            now = self.run(self.store.get_operation(self.bench.account, operation.id))
            assert now is not None
            wanted = NotificationFilter(operation_id=operation.id)
            listed = self.run(self.store.list_notifications(self.bench.account, Window(limit=100), wanted)).items
            told = Counter(notification.status for notification in listed)
            stats = now.stats
            assert stats.total == operation.recipients == len(listed)
            assert stats.scheduled + stats.queued + stats.sent + stats.failed + stats.canceled == stats.total
            assert {status: told[status] for status in NotificationStatus} == {
                NotificationStatus.SCHEDULED: stats.scheduled,
                NotificationStatus.QUEUED: stats.queued,
                NotificationStatus.SENT: stats.sent,
                NotificationStatus.FAILED: stats.failed,
                NotificationStatus.CANCELED: stats.canceled,
            }
            for sequence, notification in enumerate(listed):
                place = (operation.id, sequence)
                assert place not in self.gone or notification.status is NotificationStatus.CANCELED
                assert place not in self.accepted or notification.status is NotificationStatus.SENT
            assert (now.finished is not None) == (now.status in (OperationStatus.COMPLETED, OperationStatus.CANCELED))
            assert now.finished is None or stats.scheduled == stats.queued == 0

    def everything_ends(self) -> None:
        """Left to itself the rest is sent, and every operation ends."""
        self.crash()
        for _ in range(200):
            self.clock.advance(10)
            self.claim(100)
            if not self.workers:
                break
            for worker in list(self.workers):
                for sequence, slot in worker.unsent:
                    assert (worker.chunk.operation_id, sequence) not in self.gone
                    worker.recorder.take(worker.record(sequence, slot, Outcome.ACCEPTED, self.clock.ms, None))
                self.write(worker)
                assert self.run(self.give_up(worker, worker.progress.next_retry()))
                self.workers.remove(worker)
        self.counters_are_what_notifications_say()
        for operation in self.operations:
            ended = self.run(self.store.get_operation(self.bench.account, operation.id))
            assert ended is not None
            assert ended.finished is not None
            everybody = ended.counts.canceled == ended.recipients
            stopped = everybody or (ended.canceled is not None and ended.counts.canceled > 0)
            assert ended.status is (OperationStatus.CANCELED if stopped else OperationStatus.COMPLETED)


@pytest.mark.timeout(600)  # 20 s of work on a machine of its own, more than 90 beside thirty others
@pytest.mark.parametrize("kind", sorted(FACTORIES))
def test_cancelling_loses_and_doubles_nothing(kind: str) -> None:
    """Whatever happens in whatever order."""
    if kind == "postgres":
        require_postgres()  # before a machine has a loop that nobody would close
    machine = type("Machine", (CancelMachine,), {"factory": staticmethod(FACTORIES[kind])})
    machine.TestCase.settings = settings(  # type: ignore[attr-defined] # made by hypothesis
        max_examples=40 if kind == "sqlite" else 16,  # which takes longer, with the same logic
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case = machine.TestCase()  # type: ignore[attr-defined] # made by hypothesis
    case.runTest()
