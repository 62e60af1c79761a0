"""Dispatchers: bounded, replaceable, and unmoved by what the broker forgets."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from support.nats import NatsServer, Node, Site, delete, settled
from support.stores import Bench, recipients_of
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane, Operation
from heliogram.ports import LeasedChunk
from heliogram.queue.nats import Layout

pytestmark = pytest.mark.anyio

BOTH = (Lane.TX, Lane.BULK)


async def lease(node: Node, limit: int = 64) -> list[LeasedChunk]:
    """What a node gets, within twenty seconds."""
    return await asyncio.wait_for(node.queue.lease(BOTH, limit), HANG_SECONDS)


async def work(node: Node, done: Counter[bytes]) -> None:
    """Finishes whatever comes until the queue is closed."""
    while chunks := await node.queue.lease(BOTH, 8):
        for chunk in chunks:
            done[chunk.operation_id] += await node.queue.done(chunk)


async def on_the_road(site: Site, node: Node, count: int, shard: int = 0) -> None:
    """Waits until so many references wait in a shard of the fast lane."""

    async def ask() -> bool:
        return await site.waiting(node, shard=shard) == count

    await settled(ask, what=f"{count} references")


async def finish(site: Site, node: Node, operations: list[Operation]) -> Counter[bytes]:
    """Has a node do all the work; which attempts of what were finished."""
    done = Counter[bytes]()
    task = asyncio.create_task(work(node, done))

    async def ask() -> bool:
        site.bench.clock.advance(0.1)  # what is tried again is, and no lease runs out
        return await site.completed(operations)

    await settled(ask, what="all operations")
    await node.queue.close()
    await task
    return done


async def test_the_backlog_stays_in_the_store(site: Site) -> None:
    """A shard has so many references out and no more; as they go others follow, until all is done."""
    site.layout = Layout(prefix=site.layout.prefix, shards=1, outstanding=4, small_outstanding=4, token_s=3600)
    api, worker = await site.node("api"), await site.node()
    sent = [await site.leave(api) for _ in range(30)]
    dispatcher = await api.dispatch()

    async def full() -> bool:
        return dispatcher.published == 4

    await settled(full, what="a full shard")
    await on_the_road(site, api, 4)
    assert await site.bench.store.next_due(Lane.TX, 0) is not None
    done = await finish(site, worker, sent)
    assert done == Counter(operation.id for operation in sent)
    assert dispatcher.published == 30


async def test_each_lane_and_shard_has_room_of_its_own(site: Site) -> None:
    """A full one keeps no other waiting."""
    site.layout = Layout(prefix=site.layout.prefix, shards=2, outstanding=2, small_outstanding=2, token_s=3600)
    api = await site.node("api")
    for _ in range(4):
        await site.leave(api, shard=0)
        await site.leave(api, 101, shard=0)
    await site.leave(api, shard=1)
    await api.dispatch()
    await on_the_road(site, api, 2)
    await on_the_road(site, api, 1, shard=1)

    async def bulk() -> bool:
        return await site.waiting(api, Lane.BULK) == 2

    await settled(bulk, what="the other lane's")


async def test_a_shard_has_one_dispatcher(site: Site) -> None:
    """Those who come together get as many each; what one gives up at its end is another's at once."""
    first, second = await site.node("d1"), await site.node("d2")
    for node in (first, second):
        await node.dispatch()
    await site.all_dispatched()
    assert first.dispatcher is not None
    assert second.dispatcher is not None
    assert first.dispatcher.shards + second.dispatcher.shards == 4
    site.nodes.remove(first)
    await first.close()
    await site.all_dispatched()
    operation = await site.leave(second)
    assert [chunk.operation_id for chunk in await lease(second)] == [operation.id]


async def test_a_dead_dispatchers_shards_are_anothers(site: Site) -> None:
    """As soon as the broker has not heard of it for a while; what it had claimed follows when the leases run out."""
    site.layout = Layout(prefix=site.layout.prefix, shards=4, token_s=0.3)
    dead, alive = await site.node("dead"), await site.node("alive")
    await dead.dispatch()
    await site.all_dispatched()
    site.nodes.remove(dead)
    await dead.die()
    await alive.dispatch()
    await site.all_dispatched()
    operation = await site.leave(alive, shard=2)
    assert [chunk.operation_id for chunk in await lease(alive)] == [operation.id]
    await dead.close()


async def test_those_who_come_later_get_shards_too(site: Site) -> None:
    """Each is given back after a minute."""
    site.layout = Layout(prefix=site.layout.prefix, shards=4, token_s=120)
    first, second = await site.node("d1"), await site.node("d2")
    await first.dispatch()
    await site.all_dispatched()
    later = await second.dispatch()

    async def ask() -> bool:
        site.bench.clock.advance(61)
        return later.shards > 0

    await settled(ask, what="a shard for the second")


async def test_two_who_dispatch_the_same_shard_do_no_harm(site: Site) -> None:
    """Where tokens fail, claims hand out each chunk once all the same."""
    nodes = [await site.node(name) for name in ("d1", "d2")]
    dispatchers = [await node.dispatch() for node in nodes]
    await site.all_dispatched()
    for dispatcher in dispatchers:
        tokens = dispatcher._tokens
        other = next(each for each in dispatchers if each is not dispatcher)._tokens
        for shard, token in list(other._held.items()):
            if shard not in tokens:
                tokens._held[shard] = token
                tokens._gained(shard)
    sent = [await site.leave(nodes[0], shard=n % 4) for n in range(40)]
    done = await finish(site, nodes[1], sent)
    assert done == Counter(operation.id for operation in sent)
    assert sum(dispatcher.published for dispatcher in dispatchers) == 40


async def test_streams_deleted_at_work_cost_nothing_but_time(site: Site) -> None:
    """They are made anew, and what was on the road is sent out again at once, not when its lease has run out."""
    api, worker = await site.node("api"), await site.node()
    dispatcher = await api.dispatch()
    sent = [await site.leave(api, shard=n % 4) for n in range(20)]
    for shard in range(4):
        await on_the_road(site, api, 5, shard)
    held = await lease(worker, 5)
    for stream in site.layout.streams:
        await delete(api.link, f"STREAM.DELETE.{stream}")
    sent += [await site.leave(api, shard=n % 4) for n in range(20)]
    for chunk in held:
        assert await worker.queue.done(chunk)
    done = await finish(site, worker, sent)
    assert set(done) | {chunk.operation_id for chunk in held} == {operation.id for operation in sent}
    assert set(done.values()) == {1}
    assert dispatcher.recalled > 0
    assert site.bench.clock.ms < 1_800_000_050_000


async def test_consumers_deleted_at_work_are_made_anew(site: Site) -> None:
    """Workers see it at once, whoever repairs it."""
    api, worker = await site.node("api"), await site.node()
    await api.dispatch()
    sent = [await site.leave(api, shard=n % 4) for n in range(8)]
    waiting = asyncio.create_task(lease(worker, 1))
    (held,) = await waiting
    for shard in range(4):
        await delete(api.link, f"CONSUMER.DELETE.{site.layout.stream(Lane.TX)}.{site.layout.consumer(shard)}")
    await delete(api.link, f"CONSUMER.DELETE.{site.layout.shard_stream}.dispatch")
    assert await worker.queue.done(held)
    done = await finish(site, worker, sent)
    assert set(done) == {operation.id for operation in sent} - {held.operation_id}
    assert set(done.values()) == {1}


async def test_a_server_that_starts_again_goes_on(bench: Bench, own_server: NatsServer) -> None:
    """Killed with references on the road, in hand, and accepted while it was away."""
    site = Site(bench, own_server, Layout(shards=4, token_s=3600))
    api, worker = await site.node("api"), await site.node()
    await api.dispatch()
    sent = [await site.leave(api, shard=n % 4) for n in range(20)]
    held = await lease(worker, 3)
    own_server.kill()
    for chunk in held:
        assert await worker.queue.done(chunk)
    sent += [await site.leave(api, shard=n % 4) for n in range(20)]
    own_server.start()
    done = await finish(site, worker, sent)
    assert set(done) | {chunk.operation_id for chunk in held} == {operation.id for operation in sent}
    assert set(done.values()) == {1}
    assert worker.link.reconnects == 1
    await site.close()


async def test_what_the_broker_did_not_confirm_is_published_again(site: Site) -> None:
    """Until the lease has run out; the broker and the store know repeats."""
    node = await site.node()
    dispatcher = await node.dispatch()
    await site.all_dispatched()
    await delete(node.link, f"STREAM.DELETE.{site.layout.stream(Lane.TX)}")
    assert dispatcher._rooms.known(Lane.TX, 0) is not None
    operation = await site.leave(node)
    done = await finish(site, node, [operation])
    assert done == Counter([operation.id])


async def test_another_process_is_heard_and_found(site: Site) -> None:
    """What was accepted without a word is found within five seconds."""
    node = await site.node()
    await node.dispatch()
    await site.all_dispatched()
    operation = await site.bench.accept(recipients_of(1))
    done = await finish(site, node, [operation])
    assert done == Counter([operation.id])


async def test_the_dispatcher_shows_itself_with_counts(site: Site) -> None:
    """One line says what it has and has done."""
    node = await site.node()
    dispatcher = await node.dispatch()
    await site.all_dispatched()
    assert repr(dispatcher) == "Dispatcher(Tokens(held=4/4), published=0, recalled=0)"
