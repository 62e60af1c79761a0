"""The queue's side of the store: claims, fences, leases."""

from __future__ import annotations

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, Operation, cut
from heliogram.ports import LeasedChunk

pytestmark = pytest.mark.anyio


async def claim(bench: Bench, lane: Lane = Lane.TX, *, shard: int = 0, limit: int = 10) -> list[LeasedChunk]:
    """What is due now, leased for a second."""
    now = bench.clock.ms
    return await bench.store.claim(lane, shard, limit=limit, now=now, until=now + 1000, worker="w")


def record_of(bench: Bench, sequence: int) -> DeliveryRecord:
    return DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.ACCEPTED, final=True, at=bench.clock.ms)


async def counts(bench: Bench, operation: Operation) -> Counts:
    found = await bench.store.get_operation(bench.account, operation.id)
    assert found is not None
    return found.counts


async def test_a_claim_hands_out_the_whole_chunk(bench: Bench) -> None:
    """Recipients, spec and place come with it; the first attempt is 1."""
    operation = await bench.accept(recipients_of(700))
    first, second = await claim(bench, Lane.BULK)
    assert [chunk.first for chunk in (first, second)] == [0, 500]
    assert first.recipients + second.recipients == recipients_of(700)
    assert second.id == notification_id(operation.id, 500)
    assert (second.account_id, second.operation_id) == (bench.account, operation.id)
    assert (second.spec, second.created, second.records) == (operation.spec, operation.created, [])
    assert (second.attempt, second.until, second.lane, second.shard) == (1, bench.clock.ms + 1000, Lane.BULK, 0)


async def test_a_leased_chunk_is_not_handed_out_again(bench: Bench) -> None:
    """Until its lease expires, to the millisecond."""
    await bench.accept(recipients_of(1))
    await claim(bench)
    bench.clock.advance(0.999)
    assert await claim(bench) == []
    bench.clock.advance(0.001)
    (again,) = await claim(bench)
    assert again.attempt == 2


async def test_a_finished_chunk_is_not_handed_out_again(bench: Bench) -> None:
    """Done is done."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    assert await bench.store.finish(chunk, bench.clock.ms)
    bench.clock.advance(3600)
    assert await claim(bench) == []
    assert await bench.store.next_due(Lane.TX, 0) is None


async def test_the_longest_due_goes_first(bench: Bench) -> None:
    """And no more than the limit."""
    made = []
    for _ in range(3):
        made.append(await bench.accept(recipients_of(1)))
        bench.clock.advance(1)
    assert [chunk.operation_id for chunk in await claim(bench, limit=2)] == [made[0].id, made[1].id]


async def test_a_claim_is_of_one_lane_and_one_shard(bench: Bench) -> None:
    """Others are left alone."""
    recipients = recipients_of(1)
    operation = bench.operation(recipients)
    await bench.store.accept(bench.account, operation, cut(operation.id, recipients), shard=3)
    assert await claim(bench) == []
    assert await claim(bench, Lane.BULK, shard=3) == []
    (chunk,) = await claim(bench, shard=3)
    assert (chunk.operation_id, chunk.shard) == (operation.id, 3)


async def test_a_released_chunk_waits_until_it_falls_due(bench: Bench) -> None:
    """Released means claimable from `due` on, at the next attempt."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    due = bench.clock.ms + 5000
    assert await bench.store.release(chunk, due, bench.clock.ms)
    assert await bench.store.next_due(Lane.TX, 0) == due
    bench.clock.advance(4.999)
    assert await claim(bench) == []
    bench.clock.advance(0.001)
    assert [again.attempt for again in await claim(bench)] == [2]


async def test_an_extended_lease_lasts_longer(bench: Bench) -> None:
    """Nobody gets the chunk before its new end."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    assert await bench.store.extend(chunk, bench.clock.ms + 9000)
    bench.clock.advance(8.999)
    assert await claim(bench) == []


async def test_the_next_due_is_the_soonest_of_its_shard(bench: Bench) -> None:
    """A lease's end counts as due; other lanes and done chunks do not."""
    assert await bench.store.next_due(Lane.TX, 0) is None
    await bench.accept(recipients_of(1))
    assert await bench.store.next_due(Lane.TX, 0) == bench.clock.ms
    await claim(bench)
    assert await bench.store.next_due(Lane.TX, 0) == bench.clock.ms + 1000
    assert await bench.store.next_due(Lane.BULK, 0) is None


async def test_earlier_results_come_with_a_later_claim(bench: Bench) -> None:
    """Nothing that was recorded is sent again: the records of all attempts, in the order written."""
    await bench.accept(recipients_of(3))
    for sequence in range(3):
        (chunk,) = await claim(bench)
        assert [record.sequence for record in chunk.records] == list(range(sequence))
        assert await bench.store.append_records(chunk, [record_of(bench, sequence)], Counts(sequence + 1))
        bench.clock.advance(1)
    (last,) = await claim(bench)
    assert [record.sequence for record in last.records] == [0, 1, 2]


async def test_counters_are_replaced_not_added(bench: Bench) -> None:
    """Each part brings the chunk's counters in whole."""
    operation = await bench.accept(recipients_of(3))
    (chunk,) = await claim(bench)
    await bench.store.append_records(chunk, [record_of(bench, 0)], Counts(1))
    await bench.store.append_records(chunk, [record_of(bench, 1)], Counts(1, 1, 0, 0))
    assert await counts(bench, operation) == Counts(1, 1)


async def test_a_late_worker_changes_nothing(bench: Bench) -> None:
    """Every write is fenced by its attempt once the chunk was claimed again."""
    operation = await bench.accept(recipients_of(2))
    (late,) = await claim(bench)
    bench.clock.advance(1)
    (current,) = await claim(bench)
    now = bench.clock.ms
    assert not await bench.store.append_records(late, [record_of(bench, 0)], Counts(2))
    assert not await bench.store.extend(late, now + 99_999)
    assert not await bench.store.release(late, now, bench.clock.ms)
    assert not await bench.store.finish(late, now)
    assert await counts(bench, operation) == Counts()
    assert await bench.store.next_due(Lane.TX, 0) == current.until
    assert await bench.store.append_records(current, [record_of(bench, 0)], Counts(1))
    assert await bench.store.finish(current, now)


async def test_an_expired_lease_that_nobody_took_still_holds(bench: Bench) -> None:
    """A slow worker may finish what nobody else has begun."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    bench.clock.advance(3600)
    assert await bench.store.append_records(chunk, [record_of(bench, 0)], Counts(1))
    assert await bench.store.finish(chunk, bench.clock.ms)


@pytest.mark.parametrize("how", ["finish", "release", "release_all"])
async def test_what_was_given_up_is_fenced_off(bench: Bench, how: str) -> None:
    """After finishing or giving back, the same lease writes nothing more."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    now = bench.clock.ms
    if how == "finish":
        assert await bench.store.finish(chunk, now)
    elif how == "release":
        assert await bench.store.release(chunk, now, bench.clock.ms)
    else:
        assert await bench.store.release_all(now) == 1
    assert not await bench.store.append_records(chunk, [record_of(bench, 0)], Counts(1))
    assert not await bench.store.extend(chunk, now + 99_999)
    assert not await bench.store.release(chunk, now, bench.clock.ms)
    assert not await bench.store.finish(chunk, now)


async def test_all_leases_of_a_dead_process_are_given_back_at_once(bench: Bench) -> None:
    """Only leased chunks are; what waits for later and what is done stays."""
    for _ in range(4):
        await bench.accept(recipients_of(1))
    done, later, *leased = await claim(bench)
    await bench.store.finish(done, bench.clock.ms)
    await bench.store.release(later, bench.clock.ms + 5000, bench.clock.ms)
    assert await bench.store.release_all(bench.clock.ms) == 2
    assert {chunk.id for chunk in await claim(bench)} == {chunk.id for chunk in leased}
    bench.clock.advance(5)
    assert later.id in {chunk.id for chunk in await claim(bench)}
