"""Who goes next: weights, queues of an account, slots, and what begins by itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.accounts import Account, AccountLimits
from heliogram.domain.operations import Lane, Operation
from heliogram.ports import InHand, LeasedChunk, Slots
from heliogram.ports.work import FLOWS_AT_ONCE

pytestmark = pytest.mark.anyio


async def claim(
    bench: Bench, lane: Lane = Lane.BULK, *, limit: int = 1, hand: InHand | None = None
) -> list[LeasedChunk]:
    """What is due now, leased for a minute."""
    now = bench.clock.ms
    return await bench.store.claim(lane, 0, limit=limit, now=now, until=now + 60_000, worker="w", hand=hand)


async def backlog(bench: Bench, chunks: int, app: str = "shop", **changes: Any) -> Operation:
    """A campaign of so many chunks."""
    return await bench.accept(recipients_of(chunks * 2), size=2, app_name=app, lane=Lane.BULK, **changes)


async def tenant(bench: Bench, name: str, weight: int = 1) -> Bench:
    """Another account of the same store."""
    account = Account(id=bench.ids.new(), name=name, created=bench.clock.ms, limits=AccountLimits(weight=weight))
    await bench.store.create_account(account)
    return Bench(bench.store, bench.clock, bench.ids, account.id)


def take(hand: InHand, chunks: list[LeasedChunk]) -> None:
    """The chunks are worked on."""
    for chunk in chunks:
        hand.flows[chunk.flow] = hand.flows.get(chunk.flow, 0) + 1


def put_down(hand: InHand, chunk: LeasedChunk) -> None:
    """One of them has ended."""
    hand.flows[chunk.flow] -= 1


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 32])
async def test_shares_converge_to_the_weights_and_nobody_starves(bench: Bench, limit: int) -> None:
    """Weights 1, 1, 8: ten chunks make a round, and in each everybody has a share, whatever a claim takes."""
    others = [await tenant(bench, "b"), await tenant(bench, "c", 8)]
    for each in (bench, *others):
        await backlog(each, 200)
    served: list[bytes] = []
    while len(served) < 160:
        served += [chunk.account_id for chunk in await claim(bench, limit=limit)]
    # A claim goes out account by account: its own order is not the turn's.
    rounds = len(served) // 10
    counts = Counter(served)
    assert abs(counts[others[1].account] - rounds * 8) <= 8
    for each in (bench, others[0]):
        assert abs(counts[each.account] - rounds) <= 1
    longest = 10 + 2 * limit
    for start in range(len(served) - longest):
        assert len(set(served[start : start + longest])) == 3


async def test_a_new_weight_counts_within_a_second(bench: Bench) -> None:
    """The owner of the service raises it, and nothing has to be started again: within a second it acts."""
    other = await tenant(bench, "b")
    for each in (bench, other):
        await backlog(each, 100)
    assert Counter([c.account_id for c in await claim(bench, limit=10)]) == {bench.account: 5, other.account: 5}
    await bench.store.limit_account(other.account, AccountLimits(weight=4))
    bench.clock.advance(1)
    assert Counter([c.account_id for c in await claim(bench, limit=10)]) == {bench.account: 2, other.account: 8}


async def test_a_weight_alone_slows_nobody(bench: Bench) -> None:
    """An account that is alone has all that it asks for, whatever its weight."""
    await bench.store.limit_account(bench.account, AccountLimits(weight=1))
    await tenant(bench, "idle", 100)
    await backlog(bench, 40)
    assert len(await claim(bench, limit=32)) == 32


async def test_the_queues_of_an_account_take_turns(bench: Bench) -> None:
    """One app's backlog delays another's by no more than its share; in a queue the longest due goes first."""
    first = await backlog(bench, 30, "news")
    bench.clock.advance(1)
    second = await backlog(bench, 3, "shop")
    served = await claim(bench, limit=6)
    assert Counter(chunk.operation_id for chunk in served) == {first.id: 3, second.id: 3}
    assert [chunk.first for chunk in served if chunk.operation_id == first.id] == [0, 2, 4]


async def test_a_named_credential_is_a_queue_of_its_own(bench: Bench) -> None:
    """It may hang where the app's own does not."""
    await backlog(bench, 10)
    spec = msgspec.structs.replace(bench.operation([]).spec, apn=b"c" * 16)
    named = await backlog(bench, 10, spec=spec)
    served = await claim(bench, limit=4)
    assert Counter(chunk.operation_id == named.id for chunk in served) == {True: 2, False: 2}
    assert {chunk.flow for chunk in served} == {bench.account + b"shop", bench.account + b"shop\0" + b"c" * 16}


async def test_more_queues_than_a_claim_looks_at_all_get_their_turn(bench: Bench) -> None:
    """The next claim begins after the queue that was served last."""
    apps = [f"app{number:02}" for number in range(3 * FLOWS_AT_ONCE + 1)]
    for app in apps:
        await backlog(bench, 4, app)
    served = Counter([chunk.spec.app_name for _ in range(len(apps)) for chunk in await claim(bench)])
    assert served == Counter(apps)


async def test_one_account_leaves_slots_to_others(bench: Bench) -> None:
    """A backlog with slow pushes has all but a sixth of the slots; whoever comes later has the rest at once."""
    other = await tenant(bench, "b")
    hand = InHand(slots=Slots(total=6, account=5, flow=5))
    await backlog(bench, 50)
    take(hand, await claim(bench, limit=6, hand=hand))
    assert sum(hand.flows.values()) == 5
    assert await claim(bench, limit=1, hand=hand) == []
    await backlog(other, 50)
    (chunk,) = await claim(bench, limit=1, hand=hand)
    assert chunk.account_id == other.account


async def test_slots_that_come_free_go_to_whoever_has_less_than_its_share(bench: Bench) -> None:
    """With another account waiting, a slow one is brought down to its share by weight."""
    other = await tenant(bench, "b", 2)
    hand = InHand(slots=Slots(total=6, account=5, flow=5))
    await backlog(bench, 50)
    slow = await claim(bench, limit=6, hand=hand)
    take(hand, slow)
    await backlog(other, 50)
    take(hand, await claim(bench, limit=1, hand=hand))
    for chunk in slow[:3]:
        put_down(hand, chunk)
        (next_one,) = await claim(bench, limit=1, hand=hand)
        assert next_one.account_id == other.account
        take(hand, [next_one])
    assert (hand.flows[bench.account + b"shop"], hand.flows[other.account + b"shop"]) == (2, 4)
    put_down(hand, slow[3])
    (next_one,) = await claim(bench, limit=1, hand=hand)
    assert next_one.account_id == bench.account


async def test_a_free_slot_is_used_when_nobody_else_waits(bench: Bench) -> None:
    """A share is not kept for an account that has nothing to send."""
    other = await tenant(bench, "b")
    hand = InHand(slots=Slots(total=6, account=5, flow=5))
    await backlog(other, 1)
    await backlog(bench, 50)
    served = await claim(bench, limit=6, hand=hand)
    assert Counter(chunk.account_id for chunk in served) == {bench.account: 5, other.account: 1}


async def test_a_queue_that_hangs_leaves_slots_to_the_account_s_others(bench: Bench) -> None:
    """A credential whose chunks stay in hand is passed over, however much waits for it and how long."""
    hand = InHand(slots=Slots.of(6))
    await backlog(bench, 100, "hung")
    take(hand, await claim(bench, limit=6, hand=hand))
    assert hand.flows == {bench.account + b"hung": 4}
    bench.clock.advance(5)
    await backlog(bench, 3, "well")
    (chunk,) = await claim(bench, limit=2, hand=hand)
    assert chunk.spec.app_name == "well"
    take(hand, [chunk])
    assert await claim(bench, limit=1, hand=hand) == []  # the account has five of six


@pytest.mark.parametrize(
    ("total", "slots"),
    [(1, (1, 1, 1)), (2, (2, 2, 2)), (3, (3, 2, 2)), (6, (6, 5, 4)), (48, (48, 40, 32)), (1024, (1024, 854, 682))],
)
def test_what_an_account_and_a_queue_may_hold(total: int, slots: tuple[int, int, int]) -> None:
    """All but a sixth, and two thirds; where there are hardly any slots, all."""
    made = Slots.of(total)
    assert (made.total, made.account, made.flow) == slots


async def test_what_begins_by_itself_goes_before_any_backlog(bench: Bench) -> None:
    """Its first chunk; half of the slots are for such, and the rest of it takes its turn."""
    await backlog(bench, 50)
    later = await backlog(bench, 3, send_at=bench.clock.ms + 1000)
    bench.clock.advance(1)
    first, second = await claim(bench, limit=2)
    assert (first.operation_id, first.first) == (later.id, 0)
    assert second.operation_id != later.id


async def test_any_number_of_scheduled_sends_leaves_half_of_the_slots(bench: Bench) -> None:
    """A thousand that are due at nine do not keep another account's push waiting; one slot goes to and fro."""
    other = await tenant(bench, "b")
    for _ in range(30):
        await bench.accept(recipients_of(1), send_at=bench.clock.ms + 1000)
    bench.clock.advance(1)
    for _ in range(30):
        await other.accept(recipients_of(1))
    counts = Counter([chunk.account_id for _ in range(5) for chunk in await claim(bench, Lane.TX, limit=4)])
    # Half of the slots, and of the other half its own turn.
    assert counts == {bench.account: 15, other.account: 5}
    singly = [chunk.account_id for _ in range(8) for chunk in await claim(bench, Lane.TX)]
    assert singly.count(other.account) >= 2


async def test_scheduled_sends_of_a_queue_that_hangs_are_passed_over(bench: Bench) -> None:
    """They wait like the rest of it, and take nobody's slot."""
    hand = InHand(slots=Slots(total=6, account=5, flow=4), flows={bench.account + b"hung": 4})
    for _ in range(20):
        await bench.accept(recipients_of(1), app_name="hung", send_at=bench.clock.ms + 1000)
    bench.clock.advance(1)
    single = await bench.accept(recipients_of(1), app_name="well")
    assert [chunk.operation_id for chunk in await claim(bench, Lane.TX, limit=2, hand=hand)] == [single.id]


async def test_a_single_push_waits_for_no_campaign(bench: Bench) -> None:
    """Its lane is claimed apart: a million recipients queued in the other are not looked at."""
    await backlog(bench, 2000)
    other = await tenant(bench, "b")
    bench.clock.advance(60)
    single = await other.accept(recipients_of(1))
    hand = InHand(slots=Slots.of(48))
    assert [chunk.operation_id for chunk in await claim(bench, Lane.TX, limit=48, hand=hand)] == [single.id]


async def test_accounts_with_all_their_slots_keep_nobody_from_being_found(bench: Bench) -> None:
    """A claim looks past those who may have no more."""
    hand = InHand(slots=Slots(total=48, account=2, flow=2))
    full = [await tenant(bench, f"t{number:02}") for number in range(20)]
    for each in full:
        await backlog(each, 5)
    for _ in range(20):
        take(hand, await claim(bench, limit=2, hand=hand))
    last = await tenant(bench, "z")
    await backlog(last, 5)
    assert [chunk.account_id for chunk in await claim(bench, limit=1, hand=hand)] == [last.account]
