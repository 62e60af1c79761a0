"""References on their way to a real broker, and what it says of each, or does not say."""

from __future__ import annotations

import asyncio
import base64

import pytest
from support.nats import NatsServer, Node, Site, delete, settled
from support.stores import Bench
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane
from heliogram.ports import ChunkRef
from heliogram.queue.nats import ApiRefused, Layout, QueueDown
from heliogram.queue.nats.errors import QueueError
from heliogram.queue.nats.link import TRY_SECONDS
from heliogram.queue.nats.publisher import Publisher
from heliogram.queue.nats.references import unpack

pytestmark = pytest.mark.anyio


def refs(count: int, *, first: int = 0, shard: int = 0) -> list[ChunkRef]:
    return [
        ChunkRef(id=number.to_bytes(16, "big"), lane=Lane.TX, shard=shard, flow=b"a" * 16 + b"shop", attempt=1)
        for number in range(first, first + count)
    ]


async def messages(site: Site, node: Node) -> int:
    info = await node.link.api(f"STREAM.INFO.{site.layout.stream(Lane.TX)}")
    return int(info["state"]["messages"])


async def test_all_are_at_the_broker_when_it_says_so(site: Site) -> None:
    """As many as a shard may have waiting, published at one moment, in their order."""
    node = await site.node()
    publisher = Publisher(node.broker, site.bench.clock)
    sent = refs(site.layout.most(Lane.TX))
    assert await publisher.send_all(sent) == [None] * len(sent)
    assert await messages(site, node) == len(sent)
    subject = site.layout.subject(Lane.TX, 0)
    stored = await node.link.api(f"STREAM.MSG.GET.{site.layout.stream(Lane.TX)}", {"last_by_subj": subject})
    assert unpack(site.layout, subject, base64.b64decode(stored["message"]["data"])) == sent[-1]
    assert repr(publisher) == f"Publisher(published={len(sent)}, waiting=0)"
    await publisher.close()


async def test_none_is_nothing_to_wait_for(site: Site) -> None:
    """A dispatcher may have claimed nothing."""
    node = await site.node()
    assert await Publisher(node.broker, site.bench.clock).send_all([]) == []


async def test_a_repeat_is_told_as_kept_and_kept_once(site: Site) -> None:
    """The broker knows a reference by its chunk and attempt."""
    node = await site.node()
    publisher = Publisher(node.broker, site.bench.clock)
    (ref,) = refs(1)
    assert await publisher.send_all([ref, ref]) == [None, None]
    assert await publisher.send_all([ref]) == [None]
    assert await messages(site, node) == 1
    await publisher.close()


async def test_what_the_broker_refuses_is_told_of_each(site: Site) -> None:
    """The stream takes no more: those before were kept, and the reason names the subject and JetStream's number."""
    node = await site.node()
    name = site.layout.stream(Lane.TX)
    info = await node.link.api(f"STREAM.INFO.{name}")
    await node.link.api(f"STREAM.UPDATE.{name}", info["config"] | {"max_msgs": 2})
    publisher = Publisher(node.broker, site.bench.clock)
    kept, kept_too, refused = await publisher.send_all(refs(3))
    assert (kept, kept_too) == (None, None)
    assert isinstance(refused, ApiRefused)
    assert (refused.code, refused.number) == (503, ApiRefused.SUBJECT_FULL)
    assert site.layout.subject(Lane.TX, 0) in str(refused)
    await publisher.close()


async def test_a_stream_that_is_gone_refuses_at_once(site: Site) -> None:
    """Nobody is responsible for the subject: it need not be waited for."""
    node = await site.node()
    publisher = Publisher(node.broker, site.bench.clock)
    await delete(node.link, f"STREAM.DELETE.{site.layout.stream(Lane.TX)}")
    (refused,) = await publisher.send_all(refs(1))
    assert isinstance(refused, ApiRefused)
    assert refused.code == 503
    await publisher.close()


async def test_a_broker_that_says_nothing_is_given_up_after_its_time(bench: Bench, own_server: NatsServer) -> None:
    """Of each by its own time, the first one first. What it says too late is no word on anything else."""
    site = Site(bench, own_server, Layout(shards=1, token_s=3600))
    node = await site.node()
    publisher, told = Publisher(node.broker, bench.clock), dict[int, QueueError | None]()
    await publisher.send_all(refs(1))
    with own_server.halted():
        await publisher.send(refs(1, first=1)[0], lambda error: told.update({1: error}))
        bench.clock.advance(TRY_SECONDS / 2)
        await publisher.send(refs(1, first=2)[0], lambda error: told.update({2: error}))
        bench.clock.advance(TRY_SECONDS / 2 - 0.001)
        assert told == {}
        bench.clock.advance(0.001)
        assert isinstance(told.pop(1), QueueDown)
        assert told == {}
        bench.clock.advance(TRY_SECONDS / 2)
        assert isinstance(told.pop(2), QueueDown)

    async def kept() -> bool:
        return await messages(site, node) == 3

    await settled(kept, what="what was sent while it was halted")
    assert await publisher.send_all(refs(1, first=2)) == [None]
    assert told == {}
    assert publisher.published == 2
    await publisher.close()
    await site.close()


async def test_what_was_not_heard_of_at_the_end_is_told_as_such(bench: Bench, own_server: NatsServer) -> None:
    """Nobody waits for ever for a word that will not come."""
    site = Site(bench, own_server, Layout(shards=1, token_s=3600))
    node = await site.node()
    publisher, told = Publisher(node.broker, bench.clock), list[QueueError | None]()
    with own_server.halted():
        await publisher.send(refs(1)[0], told.append)
        await publisher.close()
    assert len(told) == 1
    assert isinstance(told[0], QueueDown)
    await site.close()


@pytest.mark.parametrize("used", [True, False])
async def test_after_the_end_it_is_sent_and_not_waited_for(site: Site, used: bool) -> None:
    """What was being accepted meanwhile is published all the same; no time has to pass."""
    node = await site.node()
    publisher = Publisher(node.broker, site.bench.clock)
    if used:
        assert await publisher.send_all(refs(1)) == [None]
    await publisher.close()
    (unheard,) = await asyncio.wait_for(publisher.send_all(refs(1, first=1)), HANG_SECONDS)
    assert isinstance(unheard, QueueDown)
    assert repr(publisher).endswith("waiting=0)")
    assert await node.link.flush()

    async def kept() -> bool:
        return await messages(site, node) == 1 + used

    await settled(kept, what="what was sent after the end")


async def test_over_a_link_that_is_closed_nothing_is_sent_and_nothing_is_raised(site: Site) -> None:
    """What was accepted is durable: that it is not published is told, and found later. Before and after the first."""
    node, other = await site.node(), await site.node("other")
    unused, used = Publisher(node.broker, site.bench.clock), Publisher(other.broker, site.bench.clock)
    assert await used.send_all(refs(1)) == [None]
    for publisher, link in ((unused, node.link), (used, other.link)):
        await link.close()
        (error,) = await publisher.send_all(refs(1, first=1))
        assert isinstance(error, QueueDown)
        assert repr(publisher).endswith("waiting=0)")
        await publisher.close()
