"""References that travel: a chunk leased to nobody yet, and taken by whoever comes with one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.stores import Bench, recipients_of

from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, OperationStatus
from heliogram.ports import ON_THE_ROAD, Cancellation, ChunkRef, LeasedChunk

pytestmark = pytest.mark.anyio


async def send_out(bench: Bench, lane: Lane = Lane.TX, *, limit: int = 10) -> list[ChunkRef]:
    """References to what is due, good for a second."""
    now = bench.clock.ms
    return await bench.store.claim_refs(lane, 0, limit=limit, now=now, until=now + 1000)


async def load(bench: Bench, *refs: ChunkRef, worker: str = "w") -> list[LeasedChunk]:
    """What the references still name, leased for a second."""
    now = bench.clock.ms
    return await bench.store.load(refs, now=now, until=now + 1000, worker=worker)


async def test_a_reference_names_an_attempt_of_a_chunk(bench: Bench) -> None:
    """Whose it is, which chunk, where it waited and the attempt; nobody else gets the chunk meanwhile."""
    operation = await bench.accept(recipients_of(700))
    first, second = await send_out(bench, Lane.BULK)
    assert (first.id, second.id) == (operation.id, notification_id(operation.id, 500))
    assert (second.account_id, second.lane, second.shard, second.attempt) == (bench.account, Lane.BULK, 0, 1)
    assert await send_out(bench, Lane.BULK) == []


async def test_a_load_takes_the_whole_chunk_in_the_references_order(bench: Bench) -> None:
    """As a claim would have handed it out, with the attempt that the reference names."""
    operation = await bench.accept(recipients_of(700))
    first, second = await send_out(bench, Lane.BULK)
    later, earlier = await load(bench, second, first)
    assert earlier.recipients + later.recipients == recipients_of(700)
    assert (later.id, later.first, later.attempt, later.flow) == (second.id, 500, 1, second.flow)
    assert (later.spec, later.created, later.start) == (operation.spec, operation.created, operation.start)
    assert (later.until, later.claimed) == (bench.clock.ms + 1000, bench.clock.ms)


async def test_a_reference_that_comes_twice_finds_its_chunk_once(bench: Bench) -> None:
    """In one load, and in another by the same worker or by somebody else."""
    await bench.accept(recipients_of(1))
    (ref,) = await send_out(bench)
    assert len(await load(bench, ref, ref)) == 1
    assert await load(bench, ref) == []
    assert await load(bench, ref, worker="other") == []


async def test_a_reference_is_good_until_its_chunk_is_sent_out_again(bench: Bench) -> None:
    """A late one is taken as long as nobody claimed the chunk; then only the new one is."""
    await bench.accept(recipients_of(2))
    await bench.accept(recipients_of(1))
    late, lost = await send_out(bench)
    bench.clock.advance(60)
    assert [chunk.attempt for chunk in await load(bench, late)] == [1]
    (again,) = await send_out(bench)
    assert (again.id, again.attempt) == (lost.id, 2)
    assert await load(bench, lost) == []
    assert [chunk.attempt for chunk in await load(bench, again)] == [2]


async def test_a_fallen_worker_is_followed_by_the_next_attempt(bench: Bench) -> None:
    """Only when its lease has run out, to the millisecond; it can write nothing more then."""
    await bench.accept(recipients_of(1))
    (ref,) = await send_out(bench)
    (held,) = await load(bench, ref)
    bench.clock.advance(0.999)
    assert await load(bench, ref, worker="next") == []
    bench.clock.advance(0.001)
    (taken,) = await load(bench, ref, worker="next")
    assert taken.attempt == 2
    assert not await bench.store.extend(held, bench.clock.ms + 1000)
    assert not await bench.store.finish(held, bench.clock.ms)
    assert await bench.store.finish(taken, bench.clock.ms)


async def test_a_retry_comes_back_by_its_reference_when_it_is_due(bench: Bench) -> None:
    """Not before; as the next attempt, with what was recorded."""
    await bench.accept(recipients_of(2))
    (ref,) = await send_out(bench)
    (chunk,) = await load(bench, ref)
    record = DeliveryRecord(sequence=0, slot=0, outcome=Outcome.ACCEPTED, final=True, at=bench.clock.ms)
    assert await bench.store.append_records(chunk, [record], Counts(sent=1))
    assert await bench.store.release(chunk, bench.clock.ms + 500, bench.clock.ms)
    bench.clock.advance(0.499)
    assert await load(bench, ref) == []
    bench.clock.advance(0.001)
    (again,) = await load(bench, ref)
    assert (again.attempt, again.records) == (2, [record])


async def test_a_reference_to_what_is_done_or_unknown_finds_nothing(bench: Bench) -> None:
    """Nor does one of another account."""
    await bench.accept(recipients_of(1))
    (ref,) = await send_out(bench)
    assert await load(bench, replace(ref, flow=bytes(16) + b"shop")) == []
    assert await load(bench, replace(ref, id=bench.ids.new())) == []
    (chunk,) = await load(bench, ref)
    assert await bench.store.finish(chunk, bench.clock.ms)
    bench.clock.advance(60)
    assert await load(bench, ref) == []


async def test_what_was_cancelled_on_the_road_ends_when_it_arrives(bench: Bench) -> None:
    """Nothing of it is handed out, and its operation is over."""
    operation = await bench.accept(recipients_of(2))
    (ref,) = await send_out(bench)
    assert await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms) is Cancellation.DONE
    assert await load(bench, ref) == []
    over = await bench.store.get_operation(bench.account, operation.id)
    assert over is not None
    assert (over.status, over.counts) == (OperationStatus.CANCELED, Counts(canceled=2))


async def test_a_recall_makes_due_what_is_on_the_road_and_nothing_else(bench: Bench) -> None:
    """What a worker has stays with it, and other shards and lanes are left alone."""
    for _ in range(3):
        await bench.accept(recipients_of(1))
    await bench.accept(recipients_of(101))
    on_the_road, taken, retried = await send_out(bench)
    await send_out(bench, Lane.BULK)
    _, again = await load(bench, taken, retried)
    assert await bench.store.release(again, bench.clock.ms + 500, bench.clock.ms)
    assert await bench.store.recall(Lane.TX, 1, bench.clock.ms) == 0
    assert await bench.store.recall(Lane.TX, 0, bench.clock.ms) == 1
    assert [(ref.id, ref.attempt) for ref in await send_out(bench)] == [(on_the_road.id, 2)]
    assert await send_out(bench, Lane.BULK) == []


async def test_nobody_is_named_as_the_road_is(bench: Bench) -> None:
    """A worker of that name would hold what others may take."""
    await bench.accept(recipients_of(1))
    (ref,) = await send_out(bench)
    with pytest.raises(ValueError, match="give another name"):
        await load(bench, ref, worker=ON_THE_ROAD)


async def test_a_step_of_the_clock_on_the_way_keeps_the_lease_whole(bench: Bench) -> None:
    """A lease is a span: whatever the clock on the wall does, it is as long as it was meant to be."""
    await bench.accept(recipients_of(1))
    (ref,) = await send_out(bench)
    bench.clock.step(-3600)
    (chunk,) = await load(bench, ref)
    assert await bench.store.next_due(Lane.TX, 0) == bench.clock.ms + 1000
    assert await bench.store.finish(chunk, bench.clock.ms)
