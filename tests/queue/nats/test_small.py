"""Small sends past the store's queue: straight to whoever works in the same process, or by a reference at once."""

from __future__ import annotations

import asyncio

import pytest
from support.nats import NatsServer, Site, delete, settled
from support.nats_work import lease
from support.stores import Bench
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane, Operation
from heliogram.ports import LeasedChunk, Slots
from heliogram.queue.nats import Layout

pytestmark = pytest.mark.anyio


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


async def test_a_link_that_takes_no_more_keeps_no_send_waiting(bench: Bench, own_server: NatsServer) -> None:
    """What is accepted then is a dispatcher's, which needs nothing of this link; what was published before waits for
    it without anybody."""
    site = Site(bench, own_server, Layout(shards=1, token_s=3600))
    api = await site.node("api")
    await api.queue._rooms.look(Lane.TX, 0)
    with own_server.halted():
        for _ in range(400):
            await api.link.publish("nobody.hears", bytes(256 * 1024))
            await asyncio.sleep(0)
            if api.link.is_stuck:
                break
        assert api.link.is_stuck
        operation = await asyncio.wait_for(site.send(api), HANG_SECONDS)
    now = bench.clock.ms
    (ref,) = await bench.store.claim_refs(Lane.TX, 0, limit=9, now=now, until=now + 1)
    assert ref.lease(now).operation_id == operation.id
    await site.close()


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
