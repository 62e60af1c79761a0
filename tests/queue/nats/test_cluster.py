"""Three servers: streams that outlive one of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nats import NatsCluster, Node, Site, settled
from support.stores import Bench

from heliogram.domain.operations import Lane
from heliogram.queue.nats import Broker, Layout, Link, QueueError, UnsafeQueue

pytestmark = [pytest.mark.anyio, pytest.mark.chaos, pytest.mark.timeout(300)]

BOTH = (Lane.TX, Lane.BULK)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """Three servers, started; they need some seconds to agree."""
    made = NatsCluster(tmp_path / "nats").start()
    yield made
    made.kill()


async def agreed(cluster: NatsCluster, layout: Layout) -> None:
    """Waits until the servers have chosen who leads."""

    async def ask() -> bool:
        link = await Link.open(cluster.urls)
        try:
            await link.api("STREAM.NAMES")
        except QueueError:
            return False
        finally:
            await link.close()
        return True

    await settled(ask, what="the servers' agreement")


async def work(node: Node, done: Counter[bytes]) -> None:
    """Finishes whatever comes until the queue is closed."""
    while chunks := await node.queue.lease(BOTH, 8):
        for chunk in chunks:
            done[chunk.operation_id] += await node.queue.done(chunk)


async def test_a_leader_that_is_killed_costs_nothing_but_time(bench: Bench, cluster: NatsCluster) -> None:
    """Streams are kept by three servers, fewer are refused; what was on the road and what is accepted meanwhile is
    worked on once."""
    layout = Layout(shards=2, token_s=3600)
    await agreed(cluster, layout)
    link = await Link.open(cluster.urls)
    with pytest.raises(UnsafeQueue, match=r"replicas: 1 in a cluster.*set 3"):
        await Broker.open(link, Layout(shards=2, replicas=1), bench.clock)
    await link.close()
    site = Site(bench, cluster, layout)
    api, worker = await site.node("api"), await site.node()
    info = await api.link.api(f"STREAM.INFO.{layout.stream(Lane.TX)}")
    assert info["config"]["num_replicas"] == 3
    await api.dispatch()
    await site.all_dispatched()
    sent = [await site.leave(api, shard=n % 2) for n in range(10)]

    async def on_the_road() -> bool:
        return [await site.waiting(api, shard=shard) for shard in (0, 1)] == [5, 5]

    await settled(on_the_road, what="the references")
    leader = (await api.link.api(f"STREAM.INFO.{layout.stream(Lane.TX)}"))["cluster"]["leader"]
    cluster.servers[int(leader[1:])].kill()
    sent += [await site.leave(api, shard=n % 2) for n in range(10)]
    done = Counter[bytes]()
    task = asyncio.create_task(work(worker, done))

    async def over() -> bool:
        bench.clock.advance(0.01)
        return await site.completed(sent)

    await settled(over, what="all operations")
    assert done == Counter(operation.id for operation in sent)
    await worker.queue.close()
    await task
    await site.close()
