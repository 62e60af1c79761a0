"""Servers that are late: at a node's start, after an answer was lost, and after they have chosen another leader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from support.clock import FakeClock
from support.nats import NatsCluster, NatsServer, Site, settled
from support.stores import Bench, recipients_of
from support.waiting import HANG_SECONDS

from heliogram.domain.operations import Lane
from heliogram.queue.nats import ApiRefused, Broker, Layout, Link, QueueDown
from heliogram.queue.nats.layout import DISPATCH

pytestmark = pytest.mark.anyio


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """Three servers, none of them started."""
    made = NatsCluster(tmp_path / "nats")
    yield made
    made.kill()


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_servers_that_have_not_agreed_on_a_leader_are_waited_for(cluster: NatsCluster) -> None:
    """One of three answers to nobody: it is refused when the grace is over, and waited for within it."""
    first, *others = cluster.servers
    first.start()
    link = await Link.open(first.url)
    layout = Layout(shards=2)
    with pytest.raises(QueueDown, match=r"waited 1 s for the servers to agree on who leads"):
        await Broker.open(link, layout, FakeClock(), grace=1)
    opening = asyncio.create_task(Broker.open(link, layout, FakeClock(), grace=HANG_SECONDS))
    for server in others:
        server.start()
    assert isinstance(await opening, Broker)
    await link.close()


async def test_who_gets_no_answer_asks_again(nats_server: NatsServer) -> None:
    """The first one may have gone to a server that led no more; all together takes no longer than was said."""
    asking, answering = [await Link.open(nats_server.url) for _ in range(2)]
    subject, asked = asking.new_inbox(), list[bytes]()

    async def answer(msg: Msg) -> None:
        asked.append(msg.data)
        if len(asked) == 3:
            await answering.publish(msg.reply, b'{"at": 3}')

    await answering.subscribe(subject, answer)
    await answering.flush()
    assert await asking.request(subject, b"who leads?", seconds=HANG_SECONDS, each=0.01) == {"at": 3}
    with pytest.raises(QueueDown, match="does not answer"):
        await asking.request(subject, b"and now?", seconds=0.03, each=0.01)
    for link in (asking, answering):
        await link.close()


@pytest.mark.parametrize("number", [10005, 10008, 10118])
def test_what_servers_say_that_have_just_started_passes(number: int) -> None:
    """Everything else is said for good."""
    assert ApiRefused("STREAM.INFO.x", 503, number, "not yet").is_passing
    assert not ApiRefused("STREAM.INFO.x", 503, 10039, "not enabled for this account").is_passing
    assert not ApiRefused("STREAM.INFO.x", 404, 10059, "not found").is_passing


async def test_a_shard_with_another_leader_is_asked_for_again_at_once(site: Site) -> None:
    """What the last leader was asked is forgotten; shards that kept theirs, and names of others, change nothing."""
    node = await site.node()
    pulls = node.queue._pulls_of(Lane.TX)
    waiting = asyncio.create_task(node.queue.lease([Lane.TX], 8))

    async def all_asked() -> bool:
        return all(len(numbers) == 1 for numbers in pulls._open.values())

    await settled(all_asked, what="requests for all shards")
    before = {shard: list(numbers) for shard, numbers in pulls._open.items()}
    stream = site.layout.stream(Lane.TX)
    for consumer in ("somebody-elses", "shard-99", "shard-x", site.layout.consumer(2)):
        await node.link.publish(site.layout.elected_subject(stream, consumer), b"{}")

    async def asked_again() -> bool:
        return pulls._open[2] not in ([], before[2])

    await settled(asked_again, what="another request for the shard")
    assert {shard for shard, numbers in pulls._open.items() if numbers != before[shard]} == {2}
    await node.queue.close()
    assert await waiting == []


async def test_a_dispatcher_asks_the_new_leader_for_shards(site: Site) -> None:
    """Its own last request went to nobody."""
    node = await site.node()
    dispatcher = await node.dispatch()
    await site.all_dispatched()
    before = dispatcher._tokens._number
    await node.link.publish(site.layout.elected_subject(site.layout.shard_stream, DISPATCH), b"{}")

    async def asked() -> bool:
        return dispatcher._tokens._number > before

    await settled(asked, what="another request")


async def test_a_reference_that_the_broker_did_not_confirm_is_published_again(
    bench: Bench, own_server: NatsServer
) -> None:
    """By whoever accepted it, as soon as there is a broker: it does not wait until its lease has run out."""
    site = Site(bench, own_server, Layout(shards=1, token_s=3600))
    node = await site.node()
    await bench.accept(recipients_of(1))
    now = bench.clock.ms
    (ref,) = await bench.store.claim_refs(Lane.TX, 0, limit=1, now=now, until=now + 60_000)
    own_server.kill()
    await node.queue._publish(ref, now + 60_000)
    own_server.start()

    async def published() -> bool:
        bench.clock.advance(0.01)
        return node.queue._publisher.published == 1

    await settled(published, what="the reference at the broker")
    assert bench.clock.ms < now + 60_000
    assert await site.waiting(node) == 1
    await site.close()
