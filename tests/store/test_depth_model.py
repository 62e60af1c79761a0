"""Accepting, sending, cancelling, crashing, removing and restoring in any order: the counter of who waits is their sum
over the chunks, and the bounds hold exactly."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.clock import FakeClock
from support.stores import Bench, open_sqlite, recipients_of

from heliogram.domain.accounts import Account
from heliogram.domain.backlog import QueueBounds, QueueFull, share_of
from heliogram.domain.ids import IdFactory, notification_id
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, Operation, OperationStatus, cut
from heliogram.ports import LeasedChunk, Store
from heliogram.store.sqlite.backup import Restoring, back_up

T = TypeVar("T")
BOUNDS = QueueBounds(total=60, account=40)


class DepthMachine(RuleBasedStateMachine):
    """Two accounts, a few workers, and whoever keeps the place tidy."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.ids = IdFactory(lambda: self.clock.ms, random.Random(1).getrandbits)
        self.store: Store = self.run(open_sqlite(self.directory, self.ids, self.clock))
        other = Account(id=self.ids.new(), name="other", created=self.clock.ms)
        self.run(self.store.create_account(other))
        self.accounts = [self.run(self.store.default_account()).id, other.id]
        self.operations: list[Operation] = []
        self.chunks: list[tuple[LeasedChunk, int]] = []
        """What is leased, and how many of it have ended."""
        self.restored = 0

    def run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        connection = apsw.Connection(str(self.directory / "heliogram.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def depths(self) -> dict[bytes, int]:
        """What the chunks say, of each account and of all."""
        found = dict.fromkeys([b"", *self.accounts], 0)
        chunks = self.rows(
            "SELECT account_id, size - sent - failed - unaddressable - canceled FROM chunk WHERE state < 2"
        )
        for account, waiting in chunks:
            found[account] += waiting
        found[b""] = sum(found.values())
        return found

    # ---- callers

    @rule(
        whose=st.integers(0, 1),
        count=st.integers(1, 30),
        lane=st.sampled_from(list(Lane)),
        later=st.sampled_from([None, 1_000]),
    )
    def accept(self, whose: int, count: int, lane: Lane, later: int | None) -> None:
        account = self.accounts[whose]
        recipients = recipients_of(count)
        bench = Bench(self.store, self.clock, self.ids, account)
        operation = msgspec.structs.replace(bench.operation(recipients), lane=lane)
        if later is not None:
            changes = {"status": OperationStatus.SCHEDULED, "send_at": self.clock.ms + later, "send_at_text": "then"}
            operation = msgspec.structs.replace(operation, **changes)
        depths = self.depths()
        fits = depths[b""] + count <= share_of(BOUNDS.total, lane)
        fits = fits and depths[account] + count <= share_of(BOUNDS.account, lane)
        try:
            self.run(self.store.accept(account, operation, cut(operation.id, recipients, 7), bounds=BOUNDS))
        except QueueFull:
            assert not fits
            assert self.depths() == depths
        else:
            assert fits
            self.operations.append(operation)

    @rule(data=st.data())
    @precondition(lambda self: self.operations)
    def cancel_one(self, data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(self.operations))
        sequence = data.draw(st.integers(0, operation.recipients - 1))
        ident = notification_id(operation.id, sequence)
        self.run(self.store.cancel_notification(operation.account_id, ident, self.clock.ms))

    @rule(data=st.data())
    @precondition(lambda self: self.operations)
    def cancel_all(self, data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(self.operations))
        self.run(self.store.cancel_operation(operation.account_id, operation.id, self.clock.ms))

    # ---- workers

    @rule(lane=st.sampled_from(list(Lane)), limit=st.integers(1, 5))
    def claim(self, lane: Lane, limit: int) -> None:
        now = self.clock.ms
        call = self.store.claim(lane, 0, limit=limit, now=now, until=now + 60_000, worker="w")
        self.chunks += [(chunk, len({record.sequence for record in chunk.records})) for chunk in self.run(call)]

    @rule(data=st.data())
    @precondition(lambda self: self.chunks)
    def answer(self, data: st.DataObject) -> None:
        """Some of a chunk end, one way or the other; recipients that were cancelled meanwhile are not counted again."""
        index = data.draw(st.integers(0, len(self.chunks) - 1))
        chunk, ended = self.chunks[index]
        taken = {record.sequence for record in self.known(chunk)}
        left = [chunk.first + n for n in range(len(chunk.recipients)) if chunk.first + n not in taken]
        count = data.draw(st.integers(0, len(left)))
        records = [
            DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.ACCEPTED, final=True, at=self.clock.ms)
            for sequence in left[:count]
        ]
        counted = Counts(sent=self.sent(chunk) + count)
        self.run(self.store.append_records(chunk, records, counted))
        self.chunks[index] = (chunk, ended + count)

    def known(self, chunk: LeasedChunk) -> list[DeliveryRecord]:
        operation = next(each for each in self.operations if each.id == chunk.operation_id)
        found = []
        for n in range(len(chunk.recipients)):
            ident = notification_id(operation.id, chunk.first + n)
            notification = self.run(self.store.get_notification(operation.account_id, ident))
            if notification is not None and notification.status.name in ("SENT", "CANCELED"):
                found.append(
                    DeliveryRecord(sequence=chunk.first + n, slot=0, outcome=Outcome.ACCEPTED, final=True, at=0)
                )
        return found

    def sent(self, chunk: LeasedChunk) -> int:
        (row,) = self.rows(
            "SELECT sent FROM chunk WHERE operation_id = ? AND first = ?", (chunk.operation_id, chunk.first)
        )
        return int(row[0])

    @rule(data=st.data(), finish=st.booleans(), held=st.booleans())
    @precondition(lambda self: self.chunks)
    def let_go(self, data: st.DataObject, finish: bool, held: bool) -> None:
        chunk, _ = self.chunks.pop(data.draw(st.integers(0, len(self.chunks) - 1)))
        now = self.clock.ms
        if finish and len(self.known(chunk)) == len(chunk.recipients):
            self.run(self.store.finish(chunk, now))
        else:
            self.run(self.store.release(chunk, now, now, held=b"c" * 16 if held else None))

    @rule()
    def crash(self) -> None:
        self.chunks.clear()
        self.run(self.store.release_all(self.clock.ms))

    @rule(seconds=st.sampled_from([1, 61]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        if seconds > 60:
            self.chunks.clear()

    # ---- who keeps it tidy

    @rule()
    def remove(self) -> None:
        """Retention, of everything that has ended."""
        self.run(self.store.remove_ended(self.clock.ms, self.clock.ms))
        gone = [o for o in self.operations if self.run(self.store.get_operation(o.account_id, o.id)) is None]
        self.operations = [operation for operation in self.operations if operation not in gone]
        ids = {operation.id for operation in self.operations}
        self.chunks = [each for each in self.chunks if each[0].operation_id in ids]

    @rule(wrong=st.booleans())
    @precondition(lambda self: self.restored < 2)
    def restore(self, wrong: bool) -> None:
        """From a backup of this moment, whose counters may be wrong."""
        self.restored += 1
        self.chunks.clear()
        self.run(self.store.close())
        path = self.directory / "heliogram.db"
        copy = self.directory / f"copy{self.restored}.db"
        if wrong:
            connection = apsw.Connection(str(path))
            connection.execute("UPDATE queue_depth SET waiting = 99")
            connection.close()
        back_up(path, copy)
        Restoring(copy, self.directory / "draft", path).run(self.clock.ms, "then")
        self.store = self.run(open_sqlite(self.directory, self.ids, self.clock))

    @invariant()
    def the_counter_is_the_sum(self) -> None:
        told = dict(self.rows("SELECT account_id, waiting FROM queue_depth"))
        assert told == self.depths()
        assert all(waiting >= 0 for waiting in told.values())
        assert told[b""] <= BOUNDS.total


def test_the_counter_of_who_waits_is_always_their_sum() -> None:
    """Whatever happens in whatever order."""
    DepthMachine.TestCase.settings = settings(
        max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case = DepthMachine.TestCase()
    case.runTest()
