"""The queue's side of the store: claims, fences, leases."""

from __future__ import annotations

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.accounts import Account
from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, Operation, cut
from heliogram.ports import LeasedChunk
from heliogram.store.sqlite.work import HELD_SLICE

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


async def neighbour(bench: Bench, name: str = "other") -> Bench:
    """Another account of the same store."""
    account = Account(id=bench.ids.new(), name=name, created=bench.clock.ms)
    await bench.store.create_account(account)
    return Bench(bench.store, bench.clock, bench.ids, account.id)


async def test_accounts_take_turns_however_much_one_has_queued(bench: Bench) -> None:
    """A backlog that came first delays another account's send by no more than its own share."""
    await bench.accept(recipients_of(400), size=2)
    bench.clock.advance(60)
    other = await neighbour(bench)
    await other.accept(recipients_of(120), size=10)
    served = [[chunk.account_id for chunk in await claim(bench, Lane.BULK, limit=4)] for _ in range(6)]
    assert [each.count(other.account) for each in served] == [2] * 6
    assert {chunk.account_id for chunk in await claim(bench, Lane.BULK, limit=4)} == {bench.account}


async def test_one_slot_goes_from_account_to_account(bench: Bench) -> None:
    """With room for one chunk at a time every account gets one before any gets its second."""
    others = [await neighbour(bench, f"n{number}") for number in range(3)]
    for each in (bench, *others):
        await each.accept(recipients_of(120), size=10)
    served = [(await claim(bench, Lane.BULK, limit=1))[0].account_id for _ in range(8)]
    everybody = {bench.account, *(each.account for each in others)}
    assert set(served[:4]) == set(served[4:]) == everybody
    assert served[:4] == served[4:]


async def test_what_one_account_has_not_due_goes_to_the_others(bench: Bench) -> None:
    """No slot stays empty while something is due."""
    other = await neighbour(bench)
    await other.accept(recipients_of(101), size=101)
    await bench.accept(recipients_of(200), size=10)
    assert len(await claim(bench, Lane.BULK, limit=8)) == 8
    assert len(await claim(bench, Lane.BULK, limit=8)) == 8


async def test_an_account_with_nothing_due_takes_no_turn(bench: Bench) -> None:
    """What is scheduled, leased or waiting to be tried again is passed over, and tells when it is due."""
    other = await neighbour(bench)
    await other.accept(recipients_of(120), send_at=bench.clock.ms + 5000)
    operation = await bench.accept(recipients_of(200), size=100)
    for _ in range(2):
        (chunk,) = await claim(bench, Lane.BULK, limit=1)
        assert chunk.operation_id == operation.id
    assert await bench.store.next_due(Lane.BULK, 0) == bench.clock.ms + 1000


async def test_chunks_that_wait_for_a_credential_go_when_it_works(bench: Bench) -> None:
    """All of them, and no others; they are counted until then."""
    credential, other = bench.ids.new(), bench.ids.new()
    await bench.accept(recipients_of(1300), size=1)
    claimed = await claim(bench, Lane.BULK, limit=1300)
    far = bench.clock.ms + 600_000
    for number, chunk in enumerate(claimed):
        held = (credential, other, None)[number % 3] if number > 30 else credential
        assert await bench.store.release(chunk, far, bench.clock.ms, held=held)
    waiting = await bench.store.count_held(bench.account, credential)
    assert waiting > HELD_SLICE - 100
    assert await bench.store.let_go_held(bench.account, credential, bench.clock.ms) == waiting
    assert await bench.store.count_held(bench.account, credential) == 0
    assert len(await claim(bench, Lane.BULK, limit=1300)) == waiting
    assert await bench.store.let_go_held(bench.account, credential, bench.clock.ms) == 0


@pytest.mark.parametrize("chunks", [HELD_SLICE - 1, HELD_SLICE, HELD_SLICE + 1])
async def test_any_number_of_chunks_is_let_go(bench: Bench, chunks: int) -> None:
    """In slices, at their edge, too."""
    credential = bench.ids.new()
    await bench.accept(recipients_of(chunks), size=1)
    for chunk in await claim(bench, Lane.BULK, limit=chunks):
        await bench.store.release(chunk, bench.clock.ms + 600_000, bench.clock.ms, held=credential)
    assert await bench.store.let_go_held(bench.account, credential, bench.clock.ms) == chunks


async def test_a_start_lets_go_what_waited_for_a_credential(bench: Bench) -> None:
    """A new process knows of none that fails."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claim(bench)
    await bench.store.release(chunk, bench.clock.ms + 600_000, bench.clock.ms, held=bench.ids.new())
    assert await claim(bench) == []
    await bench.store.release_all(bench.clock.ms)
    assert len(await claim(bench)) == 1


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
