"""What nodes do with references: lease, finish, publish by hand."""

from __future__ import annotations

import asyncio
from collections import Counter

from nats.aio.msg import Msg
from support.nats import Node, Site, settled
from support.stores import recipients_of
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane
from heliogram.ports import ChunkRef, LeasedChunk
from heliogram.queue.nats.references import message_id, pack

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


async def held(node: Node, count: int, lane: Lane = Lane.TX) -> None:
    """Waits until a node has put so many references of a lane aside."""
    pulls = node.queue._pulls_of(lane)

    async def ask() -> bool:
        return len(pulls.held) == count

    await settled(ask, what=f"{count} references that wait for a slot")


async def said_of(site: Site, node: Node, lane: Lane = Lane.TX) -> list[bytes]:
    """What everybody tells the broker of references of a lane from now on: the list grows."""
    said: list[bytes] = []

    async def hear(msg: Msg) -> None:
        said.append(msg.data)

    await node.link.subscribe(f"$JS.ACK.{site.layout.stream(lane)}.>", hear)
    assert await node.link.flush()
    return said
