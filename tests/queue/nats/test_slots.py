"""References that find no slot where they came: how long they wait, and where they go then."""

from __future__ import annotations

import asyncio

import pytest
from support.nats import Site, settled
from support.nats_work import held, lease, one_on_the_road, publish, said_of
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane
from heliogram.ports import LeasedChunk, Slots
from heliogram.queue.nats.affinity import weight
from heliogram.queue.nats.pulls import ASIDE_SECONDS, MOST_AGAIN_SECONDS
from heliogram.queue.nats.references import pack
from heliogram.queue.nats.words import nak

pytestmark = pytest.mark.anyio


async def test_an_account_gets_no_more_slots_than_it_may_have(site: Site) -> None:
    """What comes beyond them goes to others after a moment, however much better this worker's priority is."""
    better, worse = sorted(("w1", "w2"), key=lambda name: weight(name, 0), reverse=True)
    api, worker, other = [await site.node(name) for name in ("api", better, worse)]
    await api.dispatch()
    sent = [await site.send(api) for _ in range(3)]
    slots = Slots(total=3, account=2, flow=1, each=1)
    (first,) = await asyncio.wait_for(worker.queue.lease([Lane.TX], 3, slots=slots), HANG_SECONDS)
    waiting = asyncio.create_task(worker.queue.lease([Lane.TX], 2, slots=slots))
    await held(worker, 2)
    site.bench.clock.advance(ASIDE_SECONDS[Lane.TX])
    rest: list[LeasedChunk] = []
    while len(rest) < 2:
        rest += await lease(other)
    assert {chunk.id for chunk in (first, *rest)} == {operation.id for operation in sent}
    await worker.queue.close()
    assert await waiting == []


async def test_a_campaign_waits_where_its_account_has_its_slots(site: Site) -> None:
    """For two seconds: so campaigns of one moment do not spread over all workers. Others' work goes past it."""
    api, worker, other = [await site.node(name) for name in ("api", "w1", "w2")]
    await api.dispatch()
    slots = Slots(total=3, account=2, flow=1, each=500)
    first = await site.send(api, 101)
    (chunk,) = await asyncio.wait_for(worker.queue.lease([Lane.BULK], 3, slots=slots), HANG_SECONDS)
    assert chunk.operation_id == first.id
    waiting = asyncio.create_task(worker.queue.lease([Lane.BULK], 3, slots=slots))
    second = await site.send(api, 101)
    await held(worker, 1, Lane.BULK)
    third = await site.send(api, 101, shard=1, app="another")
    (past,) = await asyncio.wait_for(waiting, HANG_SECONDS)
    assert past.operation_id == third.id
    assert await worker.queue.done(chunk)
    (chunk,) = await asyncio.wait_for(worker.queue.lease([Lane.BULK], 3, slots=slots), HANG_SECONDS)
    assert chunk.operation_id == second.id
    waiting = asyncio.create_task(worker.queue.lease([Lane.BULK], 3, slots=slots))
    fourth = await site.send(api, 101)
    await held(worker, 1, Lane.BULK)
    site.bench.clock.advance(1)
    fifth = await site.send(api, 101)
    await held(worker, 2, Lane.BULK)
    for operation in (fourth, fifth):
        site.bench.clock.advance(1)
        (chunk,) = await lease(other)
        assert chunk.operation_id == operation.id
    await worker.queue.close()
    assert await waiting == []


async def test_a_slot_that_is_free_again_lets_the_next_go_at_once(site: Site) -> None:
    """Of the same account or queue, in whichever shard it waits; no time has to pass."""
    node = await site.node()
    await node.dispatch()
    sent = [await site.leave(node, shard=n % 4) for n in range(12)]
    slots = Slots(total=3, account=2, flow=1, each=1)
    done = set[bytes]()
    while len(done) < 12:
        (chunk,) = await asyncio.wait_for(node.queue.lease([Lane.TX], 3, slots=slots), HANG_SECONDS)
        waiting = asyncio.create_task(node.queue.lease([Lane.TX], 3, slots=slots))
        await site.bench.clock.timer_set()
        assert not waiting.done()
        waiting.cancel()
        assert await node.queue.done(chunk)
        done.add(chunk.operation_id)
    assert done == {operation.id for operation in sent}


async def test_stale_references_keep_nobody_waiting(site: Site) -> None:
    """They had the slots until it was known that they are stale. What was passed over for them goes at once: no time
    has to pass."""
    node = await site.node()
    early = await one_on_the_road(site, node)
    site.bench.clock.advance(60)
    now = site.bench.clock.ms
    (late,) = await site.bench.store.claim_refs(Lane.TX, 0, limit=1, now=now, until=now + 60_000)
    for number in "abc":
        await publish(site, node, early, number)
    await publish(site, node, late)
    slots = Slots(total=3, account=1, flow=1, each=1)
    (chunk,) = await asyncio.wait_for(node.queue.lease([Lane.TX], 3, slots=slots), HANG_SECONDS)
    assert chunk.attempt == 2
    assert node.queue.stale >= 1


async def test_twice_as_much_as_there_are_slots_may_wait(site: Site) -> None:
    """So that a burst of one team stays together; what comes beyond that goes to others at once."""
    busy, idle = await site.node("busy"), await site.node("idle")
    pulls = busy.queue._pulls_of(Lane.TX)
    await pulls.want(1, 1)
    for shard in range(3):
        ref = await one_on_the_road(site, busy)
        await busy.link.request(site.layout.subject(Lane.TX, shard), pack(ref))

    async def here() -> bool:
        return len(pulls.inbox) == 2

    await settled(here, what="two references")
    (chunk,) = await lease(idle)
    assert chunk.id not in {message.ref.id for message in pulls.inbox}


async def test_what_finds_no_slot_goes_to_others(site: Site) -> None:
    """A reference to a small send waits a second for one."""
    busy, idle = await site.node("busy"), await site.node("idle")
    pulls = busy.queue._pulls_of(Lane.TX)
    await pulls.want(1, 1)
    await publish(site, busy, await one_on_the_road(site, busy))

    async def here() -> bool:
        return len(pulls.inbox) == 1

    await settled(here, what="the reference")
    waiting = asyncio.create_task(lease(idle))
    site.bench.clock.advance(1)
    (chunk,) = await waiting
    assert chunk.attempt == 1
    assert not pulls.inbox


async def test_what_finds_no_slot_anywhere_comes_more_and_more_slowly(site: Site) -> None:
    """At once the first time, for somebody else may have one; with nobody else it does not go to and fro as fast as the
    broker can."""
    api, worker = await site.node("api"), await site.node()
    slots = Slots(total=9, account=2, flow=1, each=1)
    await publish(site, api, await one_on_the_road(site, api))
    (chunk,) = await asyncio.wait_for(worker.queue.lease([Lane.TX], 9, slots=slots), HANG_SECONDS)
    said = await said_of(site, api)
    await publish(site, api, await one_on_the_road(site, api))
    waiting = asyncio.create_task(worker.queue.lease([Lane.TX], 8, slots=slots))
    await held(worker, 1)
    site.bench.clock.advance(ASIDE_SECONDS[Lane.TX])

    async def six() -> bool:
        return len(said) >= 6

    await settled(six, what="that it was refused six times")
    assert said[:6] == [b"-NAK", *(nak(0.01 * 2**n) for n in range(5))]
    assert nak(0.01 * 2**4) == nak(MOST_AGAIN_SECONDS)
    await worker.queue.done(chunk)
    (second,) = await asyncio.wait_for(waiting, HANG_SECONDS)
    assert second.id != chunk.id
