"""Work that comes by reference: each chunk is worked on once, whatever the broker does."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest
from support.nats import Site, settled
from support.nats_work import BOTH, empty, lease, lease_in_time, one_on_the_road, publish, said_of, stale, work
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane
from heliogram.ports import Cancellation, LeasedChunk

pytestmark = pytest.mark.anyio


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
    said = await said_of(site, api)
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


async def test_the_queue_shows_itself_with_counts(site: Site) -> None:
    """One line each, without anything that opens the broker."""
    node = await site.node()
    assert repr(node.queue) == "NatsQueue('w1', loaded=0, stale=0, held=0, Publisher(published=0, waiting=0), [])"
    assert repr(node.broker).startswith("Broker(Link(127.")
