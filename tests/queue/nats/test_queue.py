"""Work that comes by reference: each chunk is worked on once, whatever the broker does."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest
from nats.aio.msg import Msg
from support.nats import Node, Site, delete, settled
from support.stores import recipients_of
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane, Operation
from heliogram.ports import Cancellation, ChunkRef, LeasedChunk, Slots
from heliogram.queue.nats import Layout
from heliogram.queue.nats.affinity import weight
from heliogram.queue.nats.references import message_id, pack

pytestmark = pytest.mark.anyio

BOTH = (Lane.TX, Lane.BULK)


async def lease(node: Node, limit: int = 8, lanes: tuple[Lane, ...] = BOTH) -> list[LeasedChunk]:
    """What a node gets, within ten seconds."""
    return await asyncio.wait_for(node.queue.lease(lanes, limit), HANG_SECONDS)


async def lease_in_time(site: Site, node: Node) -> list[LeasedChunk]:
    """What a node gets while time goes on."""
    task = asyncio.create_task(lease(node))

    async def ask() -> bool:
        site.bench.clock.advance(0.1)
        return task.done()

    await settled(ask, what="a lease")
    return await task


async def work(node: Node, done: Counter[bytes]) -> None:
    """Finishes whatever comes until the queue is closed."""
    while chunks := await node.queue.lease(BOTH, 8):
        for chunk in chunks:
            done[chunk.id] += await node.queue.done(chunk)


async def empty(site: Site, node: Node, lane: Lane = Lane.TX) -> bool:
    """Whether the broker has nothing of a lane."""
    return bool((await node.link.api(f"STREAM.INFO.{site.layout.stream(lane)}"))["state"]["messages"] == 0)


async def stale(node: Node, count: int) -> None:
    """Waits until so many references found nothing."""

    async def ask() -> bool:
        return node.queue.stale >= count

    await settled(ask, what=f"{count} stale references")


async def one_on_the_road(site: Site, node: Node) -> ChunkRef:
    """A chunk that was claimed, with no reference to it anywhere."""
    await site.bench.accept(recipients_of(1))
    now = site.bench.clock.ms
    (ref,) = await site.bench.store.claim_refs(Lane.TX, 0, limit=1, now=now, until=now + 60_000)
    return ref


async def publish(site: Site, node: Node, ref: ChunkRef, number: str = "") -> dict[str, object]:
    """Publishes a reference, as another message for each number."""
    headers = {"Nats-Msg-Id": message_id(ref) + number}
    return await node.link.request(site.layout.subject(ref.lane, ref.shard), pack(ref), headers)


async def test_everything_accepted_is_worked_on_once(any_site: Site) -> None:
    """Of three workers on four shards, small and large sends together; the broker keeps nothing of it."""
    site = any_site
    api, *workers = [await site.node(name) for name in ("api", "w1", "w2", "w3")]
    await api.dispatch()
    done = Counter[bytes]()
    tasks = [asyncio.create_task(work(worker, done)) for worker in workers]
    sent = [await site.send(api, 101 if n % 5 == 0 else 1, shard=n % 4) for n in range(60)]
    await settled(lambda: site.completed(sent), what="all operations")
    assert sorted(done) == sorted(operation.id for operation in sent)
    assert set(done.values()) == {1}
    for lane in BOTH:
        await settled(partial(empty, site, api, lane), what="an empty stream")
    for worker in workers:
        await worker.queue.close()
    await asyncio.gather(*tasks)


async def test_what_a_dead_worker_held_is_anothers_when_its_lease_has_run_out(any_site: Site) -> None:
    """As the next attempt; what the dead one still writes changes nothing."""
    site = any_site
    api, dead, alive = [await site.node(name) for name in ("api", "dead", "alive")]
    await api.dispatch()
    await site.send(api)
    (held,) = await lease(dead)
    await dead.die()
    await site.all_dispatched()
    site.bench.clock.advance(60)
    (taken,) = await lease_in_time(site, alive)
    assert (taken.id, taken.attempt) == (held.id, 2)
    assert not await dead.queue.done(held)
    assert await alive.queue.done(taken)


async def test_without_dispatchers_the_broker_brings_it_again(site: Site) -> None:
    """Where nobody says that a reference is in progress, it comes again after the lease: as the next attempt."""
    dead, alive = [await site.node(name, lease_ms=100, late_s=0.2) for name in ("dead", "alive")]
    ref = await one_on_the_road(site, dead)
    await publish(site, dead, ref)
    (held,) = await lease(dead)
    await dead.die()
    site.bench.clock.advance(0.1)
    (taken,) = await lease(alive)
    assert (taken.id, taken.attempt) == (held.id, 2)


async def test_a_reference_that_repeats_finds_nothing(site: Site) -> None:
    """While the chunk is held, and when it is done; the broker forgets it then."""
    node = await site.node()
    ref = await one_on_the_road(site, node)
    for number in "ab":
        await publish(site, node, ref, number)
    (chunk,) = await lease(node)
    waiting = asyncio.create_task(lease(node))
    await stale(node, 1)
    assert await node.queue.done(chunk)
    await publish(site, node, ref, "c")
    await stale(node, 2)
    await node.queue.close()
    assert await waiting == []
    assert (node.queue.loaded, node.queue.stale) == (1, 2)


async def test_a_reference_of_an_earlier_attempt_finds_nothing(site: Site) -> None:
    """The chunk was sent out again meanwhile: the fence lets the later one through alone."""
    node = await site.node()
    early = await one_on_the_road(site, node)
    site.bench.clock.advance(60)
    now = site.bench.clock.ms
    (late,) = await site.bench.store.claim_refs(Lane.TX, 0, limit=1, now=now, until=now + 60_000)
    for ref in (early, late):
        await publish(site, node, ref)
    (chunk,) = await lease(node)
    assert chunk.attempt == 2
    await node.queue.done(chunk)


async def test_the_broker_knows_a_repeat_of_a_publication(site: Site) -> None:
    """The same attempt of the same chunk is stored once; the next attempt is another message."""
    node = await site.node()
    ref = await one_on_the_road(site, node)
    assert not (await publish(site, node, ref)).get("duplicate")
    assert (await publish(site, node, ref)).get("duplicate")
    assert await site.waiting(node) == 1


async def test_what_is_no_reference_is_thrown_away(site: Site) -> None:
    """It would come again for ever."""
    node = await site.node()
    waiting = asyncio.create_task(lease(node))
    await node.link.request(site.layout.subject(Lane.TX, 0), b"no reference")
    await settled(partial(empty, site, node), what="the message's end")
    await node.queue.close()
    assert await waiting == []


async def test_the_fast_lane_goes_first(site: Site) -> None:
    """Of what waits in both lanes, whichever came first."""
    api, worker = await site.node("api"), await site.node()
    await api.dispatch()
    await site.send(api, 101)
    await site.send(api)

    async def both() -> bool:
        return [await site.waiting(api, lane) for lane in BOTH] == [1, 1]

    await settled(both, what="both references")
    for lane in BOTH:
        await worker.queue._pulls_of(lane).want(1, 1)

    async def here() -> bool:
        return all(worker.queue._pulls_of(lane).inbox for lane in BOTH)

    await settled(here, what="both here")
    assert [chunk.lane for chunk in await lease(worker, 1)] == [Lane.TX]
    assert [chunk.lane for chunk in await lease(worker, 1)] == [Lane.BULK]


async def test_the_broker_is_told_what_becomes_of_a_reference(site: Site) -> None:
    """In progress with each heartbeat, done, and again in so many seconds where that is soon."""
    api, worker = await site.node("api"), await site.node()
    said: list[bytes] = []

    async def hear(msg: Msg) -> None:
        said.append(msg.data)

    await api.link.subscribe(f"$JS.ACK.{site.layout.stream(Lane.TX)}.>", hear)
    assert await api.link.flush()
    await api.dispatch()
    for _ in range(3):
        await site.send(api)
    chunks: list[LeasedChunk] = []
    while len(chunks) < 3:
        chunks += await lease(worker)
    now = site.bench.clock.ms
    assert await worker.queue.extend_all(chunks) == 3
    assert await worker.queue.extend(chunks[0])
    assert await worker.queue.done(chunks[0])
    assert await worker.queue.retry(chunks[1], now + 1_500)
    assert await worker.queue.retry(chunks[2], now + 60_001)
    wanted = [b"+WPI"] * 4 + [b"+ACK", b'-NAK {"delay": 1505000000}', b"+ACK"]

    async def all_heard() -> bool:
        return len(said) >= len(wanted)

    await settled(all_heard, what="all that was told")
    assert said == wanted


async def test_a_retry_needs_no_dispatcher(site: Site) -> None:
    """The broker brings it again: as the next attempt, when it is due."""
    node = await site.node()
    await publish(site, node, await one_on_the_road(site, node))
    (chunk,) = await lease(node)
    assert await node.queue.retry(chunk, site.bench.clock.ms)
    (again,) = await lease(node)
    assert (again.id, again.attempt) == (chunk.id, 2)


async def test_a_later_retry_is_sent_out_when_it_is_due(site: Site) -> None:
    """By a dispatcher, from the store alone."""
    node = await site.node()
    await node.dispatch()
    await site.send(node)
    (chunk,) = await lease(node)
    assert await node.queue.retry(chunk, site.bench.clock.ms + 900_000)
    await site.all_dispatched()
    site.bench.clock.advance(900)
    (again,) = await lease_in_time(site, node)
    assert (again.id, again.attempt) == (chunk.id, 2)


async def test_what_waits_for_a_credential_is_sent_out_when_it_works(site: Site) -> None:
    """Letting go reaches the dispatchers, whichever shard it is in."""
    node = await site.node()
    await node.dispatch()
    await site.send(node, shard=3)
    (chunk,) = await lease(node)
    credential = bytes(range(16))
    assert await node.queue.retry(chunk, site.bench.clock.ms + 900_000, held=credential)
    assert await node.queue.let_go(site.bench.account, credential) == 1
    (again,) = await lease(node)
    assert again.attempt == 2


async def test_an_account_gets_no_more_slots_than_it_may_have(site: Site) -> None:
    """What comes beyond them goes to others, however much better this worker's priority is."""
    better, worse = sorted(("w1", "w2"), key=lambda name: weight(name, 0), reverse=True)
    api, worker, other = [await site.node(name) for name in ("api", better, worse)]
    await api.dispatch()
    sent = [await site.send(api) for _ in range(3)]
    slots = Slots(total=3, account=2, flow=1, each=1)
    (first,) = await asyncio.wait_for(worker.queue.lease([Lane.TX], 3, slots=slots), HANG_SECONDS)
    waiting = asyncio.create_task(worker.queue.lease([Lane.TX], 2, slots=slots))
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
    pulls = worker.queue._pulls_of(Lane.BULK)

    async def held() -> bool:
        return len(pulls.held) == 1

    await settled(held, what="the campaign that waits")
    third = await site.send(api, 101, shard=1, app="another")
    (past,) = await asyncio.wait_for(waiting, HANG_SECONDS)
    assert past.operation_id == third.id
    assert await worker.queue.done(chunk)
    (chunk,) = await asyncio.wait_for(worker.queue.lease([Lane.BULK], 3, slots=slots), HANG_SECONDS)
    assert chunk.operation_id == second.id
    waiting = asyncio.create_task(worker.queue.lease([Lane.BULK], 3, slots=slots))
    fourth = await site.send(api, 101)
    await settled(held, what="one more that waits")
    site.bench.clock.advance(1)
    fifth = await site.send(api, 101)

    async def both() -> bool:
        return len(pulls.held) == 2

    await settled(both, what="two that wait")
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


async def test_a_cancelled_operation_is_heard_of_everywhere(site: Site) -> None:
    """At once, not when somebody looks into the store."""
    api, worker = await site.node("api"), await site.node()
    await api.dispatch()
    operation = await site.send(api)
    (chunk,) = await lease(worker)
    stopped = asyncio.Event()
    unwatch = worker.queue.watch(chunk, stopped.set)
    now = site.bench.clock.ms
    assert await site.bench.store.cancel_operation(site.bench.account, operation.id, now) is Cancellation.DONE
    api.queue.canceled(operation.id)
    await asyncio.wait_for(stopped.wait(), HANG_SECONDS)
    unwatch()


async def test_a_closing_queue_leaves_nothing_behind(site: Site) -> None:
    """What was not begun goes to others at once."""
    first, second = await site.node("w1"), await site.node("w2")
    pulls = first.queue._pulls_of(Lane.TX)
    await pulls.want(4, 4)
    await publish(site, first, await one_on_the_road(site, first))

    async def here() -> bool:
        return len(pulls.inbox) == 1

    await settled(here, what="the reference")
    await first.queue.close()
    assert await first.queue.lease(BOTH, 1) == []
    (chunk,) = await lease(second)
    assert chunk.attempt == 1


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


async def test_a_store_that_is_away_gets_the_reference_again(site: Site) -> None:
    """Who cannot load says so, and later somebody can."""
    node = await site.node()
    ref = await one_on_the_road(site, node)
    await publish(site, node, ref)
    load, node.queue._references = node.queue._references, _Away()  # type: ignore[assignment] # one method of it
    with pytest.raises(OSError, match="away"):
        await lease(node)
    node.queue._references = load
    (chunk,) = await lease(node)
    assert (chunk.id, chunk.attempt) == (ref.id, 1)


class _Away:
    async def load(self, *_: object, **__: object) -> list[LeasedChunk]:
        raise OSError("away")


async def test_a_small_send_goes_straight_where_it_is_accepted_and_sent(site: Site) -> None:
    """Neither the dispatcher nor the broker has anything to do with it."""
    node = await site.node()
    taken: list[LeasedChunk] = []

    def take(chunk: LeasedChunk) -> bool:
        taken.append(chunk)
        return True

    slots = Slots.of(8, 8)
    end = node.queue.straight(Lane.TX, slots, may=lambda: True, take=take)
    waiting = asyncio.create_task(node.queue.lease([Lane.TX], 8, slots=slots))
    await site.bench.clock.timer_set()
    operation: Operation = await site.send(node, shard=2)
    assert [(chunk.operation_id, chunk.shard) for chunk in taken] == [(operation.id, 2)]
    assert await node.queue.done(taken[0])
    assert await site.completed([operation])
    end()
    await node.queue.close()
    assert await waiting == []
    assert node.queue.loaded == 0


async def test_a_small_send_to_an_idle_shard_needs_no_dispatcher(site: Site) -> None:
    """It is accepted as on the road, and published by whoever accepted it; the first one only asks for the room."""
    api, worker = await site.node("api"), await site.node()
    await site.send(api)

    async def known() -> bool:
        return api.queue._rooms.known(Lane.TX, 0) is not None

    await settled(known, what="the room")
    operation = await site.send(api)
    (chunk,) = await lease(worker)
    assert (chunk.operation_id, chunk.attempt) == (operation.id, 1)
    assert chunk.until == site.bench.clock.ms + 60_000
    assert await worker.queue.done(chunk)
    assert await site.completed([operation])


async def test_a_shard_with_a_backlog_is_a_dispatchers(site: Site) -> None:
    """From half of its room on, so that nobody overtakes what waits; so is what has several chunks."""
    site.layout = Layout(prefix=site.layout.prefix, shards=1, outstanding=8, small_outstanding=8, token_s=3600)
    api = await site.node("api")
    await api.queue._rooms.look(Lane.TX, 0)
    await api.queue._rooms.look(Lane.BULK, 0)

    async def ask() -> bool:
        return await site.waiting(api) == 4

    for _ in range(4):
        await site.send(api)
    await settled(ask, what="four references")
    await api.queue._rooms.look(Lane.TX, 0)
    for _ in range(2):
        await site.send(api)
    await site.send(api, 501)
    assert await ask()
    assert await site.waiting(api, Lane.BULK) == 0
    now = site.bench.clock.ms
    left = await site.bench.store.claim_refs(Lane.TX, 0, limit=9, now=now, until=now + 1)
    assert len(left) == 2


async def test_a_shard_whose_work_is_done_never_needs_a_dispatcher(site: Site) -> None:
    """Its room is looked at again before it is used up, and what was seen long ago is believed once more."""
    site.layout = Layout(prefix=site.layout.prefix, shards=1, outstanding=8, small_outstanding=8, token_s=3600)
    api, worker = await site.node("api"), await site.node()
    room = await api.queue._rooms.look(Lane.TX, 0)

    async def seen() -> bool:
        return room.used <= 2 and room.left > 4

    for number in range(12):
        site.bench.clock.advance(30 if number == 6 else 0)
        operation = await site.send(api)
        (chunk,) = await lease(worker)
        assert chunk.operation_id == operation.id
        assert await worker.queue.done(chunk)
        await settled(seen, what="another look at the room")


async def test_what_the_broker_refuses_is_a_dispatchers_at_once(site: Site) -> None:
    """Nobody can have it; it does not wait for the lease to run out."""
    api, worker = await site.node("api"), await site.node()
    await api.queue._rooms.look(Lane.TX, 0)
    for node in (api, worker):
        await node.link.flush()
    await delete(api.link, f"STREAM.DELETE.{site.layout.stream(Lane.TX)}")
    operation = await site.send(api)

    async def due() -> bool:
        return await site.bench.store.next_due(Lane.TX, 0) == site.bench.clock.ms

    await settled(due, what="the chunk's return")
    await api.dispatch()
    (chunk,) = await lease(worker)
    assert (chunk.operation_id, chunk.attempt) == (operation.id, 2)


async def test_the_queue_shows_itself_with_counts(site: Site) -> None:
    """One line each, without anything that opens the broker."""
    node = await site.node()
    assert repr(node.queue) == "NatsQueue('w1', loaded=0, stale=0, held=0, Publisher(published=0, waiting=0), [])"
    assert repr(node.broker).startswith("Broker(Link(127.")
