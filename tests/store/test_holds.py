"""Sends that are accepted leased, leases that are renewed together, and chunks that end with their last outcomes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.stores import Bench, recipients_of

from heliogram.domain.accounts import Account
from heliogram.domain.backlog import QueueBounds, QueueFull
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, Operation, OperationStatus, cut
from heliogram.ports import Cancellation, Hold, InHand, LeasedChunk, Slots

pytestmark = pytest.mark.anyio

LEASE_MS = 60_000


async def claim(bench: Bench, *, limit: int = 10, hand: InHand | None = None) -> list[LeasedChunk]:
    now = bench.clock.ms
    return await bench.store.claim(Lane.TX, 0, limit=limit, now=now, until=now + LEASE_MS, worker="w", hand=hand)


def hold_of(bench: Bench) -> Hold:
    return Hold(worker="w", until=bench.clock.ms + LEASE_MS, since=bench.clock.ms)


async def held(bench: Bench, count: int = 1) -> Operation:
    """A send that was accepted leased."""
    operation, recipients = bench.operation(recipients_of(count)), recipients_of(count)
    await bench.store.accept(bench.account, operation, cut(operation.id, recipients), hold=hold_of(bench))
    return operation


def record_of(bench: Bench, sequence: int) -> DeliveryRecord:
    return DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.ACCEPTED, final=True, at=bench.clock.ms)


async def test_a_held_send_is_leased_from_the_beginning(bench: Bench) -> None:
    """Until its lease runs out, to the millisecond; then it is another's second attempt."""
    operation = await held(bench)
    assert await bench.store.next_due(Lane.TX, 0) == bench.clock.ms + LEASE_MS
    bench.clock.advance(59.999)
    assert await claim(bench) == []
    bench.clock.advance(0.001)
    (chunk,) = await claim(bench)
    assert (chunk.operation_id, chunk.attempt) == (operation.id, 2)


async def test_a_held_send_of_a_dead_process_is_due_at_the_next_start(bench: Bench) -> None:
    """What was accepted and not handed over when the process died waits for no lease."""
    await held(bench)
    assert await bench.store.release_all(bench.clock.ms) == 1
    assert len(await claim(bench)) == 1


async def test_a_held_send_s_notification_is_leaving(bench: Bench) -> None:
    """It can be stopped no more than one that was claimed; its operation can still be asked to stop."""
    operation = await held(bench)
    chunk = cut(operation.id, recipients_of(1))[0]
    assert await bench.store.cancel_notification(bench.account, chunk.id, bench.clock.ms) is Cancellation.TOO_LATE
    assert await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms) is Cancellation.DONE
    found = await bench.store.get_operation(bench.account, operation.id)
    assert found is not None
    assert found.status is OperationStatus.PROCESSING


async def test_a_held_send_counts_toward_the_bounds(bench: Bench) -> None:
    """It waits until it has ended, like any other."""
    await held(bench, 10)
    operation, bounds = bench.operation(recipients_of(1)), QueueBounds(total=10, account=10)
    chunks = cut(operation.id, recipients_of(1))
    with pytest.raises(QueueFull):
        await bench.store.accept(bench.account, operation, chunks, bounds=bounds, hold=hold_of(bench))
    assert await bench.store.get_operation(bench.account, operation.id) is None


@pytest.mark.parametrize("how", ["chunks", "scheduled"])
async def test_only_one_chunk_that_is_due_may_be_held(bench: Bench, how: str) -> None:
    """A campaign and what is scheduled wait for a claim."""
    recipients = recipients_of(501 if how == "chunks" else 1)
    operation = bench.operation(recipients)
    if how == "scheduled":
        operation = replace(operation, status=OperationStatus.SCHEDULED, send_at=bench.clock.ms + 1)
    with pytest.raises(ValueError, match="hold: expected one chunk"):
        await bench.store.accept(bench.account, operation, cut(operation.id, recipients), hold=hold_of(bench))


async def test_leases_are_renewed_together(bench: Bench) -> None:
    """One write for all, which tells how many were still there."""
    for _ in range(3):
        await bench.accept(recipients_of(1))
    chunks = await claim(bench)
    assert await bench.store.finish(chunks[0], bench.clock.ms)
    bench.clock.advance(59)
    assert await bench.store.extend_all(chunks, bench.clock.ms + LEASE_MS) == 2
    bench.clock.advance(59)
    assert await claim(bench) == []


async def test_a_chunk_ends_with_its_last_outcomes(bench: Bench) -> None:
    """Both or neither: the operation is complete, and counts them."""
    operation = await bench.accept(recipients_of(2))
    (chunk,) = await claim(bench)
    assert await bench.store.append_records(chunk, [record_of(bench, 0)], Counts(1))
    assert await bench.store.finish(chunk, bench.clock.ms, [record_of(bench, 1)], Counts(2))
    found = await bench.store.get_operation(bench.account, operation.id)
    assert found is not None
    assert (found.status, found.counts) == (OperationStatus.COMPLETED, Counts(2))


async def test_a_late_worker_s_last_outcomes_are_not_written(bench: Bench) -> None:
    """Neither they nor the end."""
    operation = await bench.accept(recipients_of(1))
    (late,) = await claim(bench)
    bench.clock.advance(60)
    await claim(bench)
    assert not await bench.store.finish(late, bench.clock.ms, [record_of(bench, 0)], Counts(1))
    found = await bench.store.get_operation(bench.account, operation.id)
    assert found is not None
    assert (found.status, found.counts) == (OperationStatus.PROCESSING, Counts())


async def test_a_chunk_that_was_stopped_ends_with_what_it_had(bench: Bench) -> None:
    """The last outcomes count; whoever has none is canceled."""
    operation = await bench.accept(recipients_of(2))
    (chunk,) = await claim(bench)
    await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms)
    assert await bench.store.finish(chunk, bench.clock.ms, [record_of(bench, 0)], Counts(1))
    found = await bench.store.get_operation(bench.account, operation.id)
    assert found is not None
    assert (found.status, found.counts) == (OperationStatus.CANCELED, Counts(sent=1, canceled=1))


@pytest.mark.parametrize(("recipients", "chunks"), [(1, 9), (8, 9), (9, 5), (16, 5), (100, 1)])
async def test_a_claim_counts_recipients_toward_slots(bench: Bench, recipients: int, chunks: int) -> None:
    """A slot for every eight: nine slots are for nine chunks of eight, four of sixteen and one more, or one of 100."""
    for _ in range(10):
        await bench.accept(recipients_of(recipients))
    hand = InHand(slots=Slots(total=9, account=9, flow=9, each=8))
    assert len(await claim(bench, limit=64, hand=hand)) == chunks


async def test_large_chunks_of_one_account_leave_slots_to_others(bench: Bench) -> None:
    """Shares are of slots, not of chunks: whoever sends to a hundred at a time gets no more phones in hand."""
    for _ in range(10):
        await bench.accept(recipients_of(100))
    other = Account(id=bench.ids.new(), name="other", created=bench.clock.ms)
    await bench.store.create_account(other)
    there = Bench(bench.store, bench.clock, bench.ids, other.id)
    for _ in range(40):
        await there.accept(recipients_of(1))
    found = await claim(bench, limit=64, hand=InHand(slots=Slots(total=52, account=52, flow=52, each=8)))
    large = [chunk for chunk in found if chunk.account_id == bench.account]
    assert len(large) <= 3
    assert len(found) - len(large) >= 26
