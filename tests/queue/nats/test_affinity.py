"""Each team's work stays on few workers."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from support.nats import Node, Site, settled

from heliogram.domain.operations import Lane
from heliogram.domain.shards import Sharding
from heliogram.ports import Slots
from heliogram.queue.nats import Layout
from heliogram.queue.nats.affinity import BEAT_SECONDS, GONE_BEATS, SETTLE_SECONDS, weight

pytestmark = pytest.mark.anyio

TEAMS = [f"TEAM{n:06}" for n in range(8)]
WORKERS = ("w1", "w2", "w3", "w4")
SHARES = defaultdict[int, Counter[str]]


async def work(node: Node, shares: SHARES, done: list[bytes]) -> None:
    """Finishes whatever comes, as a sender with slots for small sends would."""
    slots = Slots.of(1024, 8)
    while chunks := await node.queue.lease([Lane.TX], 1024, slots=slots):
        for chunk in chunks:
            shares[chunk.shard][node.name] += 1
        await asyncio.gather(*[node.queue.done(chunk) for chunk in chunks])
        done += [chunk.operation_id for chunk in chunks]


async def burst(site: Site, api: Node, each: int, done: list[bytes]) -> None:
    """So many sends of each team at once, all of them worked on."""
    sharding = Sharding(count=site.layout.shards)
    already = len(done)
    for _ in range(each):
        await asyncio.gather(*[site.send(api, shard=sharding.of(team)) for team in TEAMS])

    async def ask() -> bool:
        return len(done) == already + each * len(TEAMS)

    await settled(ask, what="the burst")


def share_of_main(shares: SHARES) -> list[float]:
    """Of each shard, how much went to the worker that had most."""
    return [max(counts.values()) / counts.total() for counts in shares.values()]


async def together(nodes: Sequence[Node], count: int) -> None:
    """Waits until each knows that so many workers are there."""

    async def ask() -> bool:
        return all(len(node.queue._company) == count for node in nodes)

    await settled(ask, what=f"{count} workers that know each other")


async def test_a_teams_work_stays_on_its_main_worker(site: Site) -> None:
    """Of each of 8 teams on 4 workers that have just begun, but for what was asked before they knew each other; when a
    worker dies, others have its teams at once."""
    site.layout = Layout(prefix=site.layout.prefix, shards=64, token_s=3600)
    api = await site.node("api")
    await api.dispatch()
    await site.all_dispatched()
    shares, done = SHARES(Counter), list[bytes]()
    nodes = [await site.node(name) for name in WORKERS]
    for node in nodes:
        await node.queue._company.join()
    await together(nodes, len(WORKERS))
    tasks = [asyncio.create_task(work(node, shares, done)) for node in nodes]
    for node in nodes:
        await settled_pulls(node)
    await burst(site, api, 25, done)
    assert min(share_of_main(shares)) == 1, shares
    owners = {shard: counts.most_common(1)[0][0] for shard, counts in shares.items()}
    assert owners == {shard: max(WORKERS, key=lambda name: weight(name, shard)) for shard in owners}
    gone = nodes[WORKERS.index(Counter(owners.values()).most_common(1)[0][0])]
    await gone.die()
    shares.clear()
    await burst(site, api, 5, done)
    assert gone.name not in {name for counts in shares.values() for name in counts}
    assert {shard for shard, owner in owners.items() if owner == gone.name} <= set(shares)
    for node in nodes:
        await node.queue.close()
    await asyncio.gather(*tasks)


async def settled_pulls(node: Node) -> None:
    """Waits until a node has asked for work of every shard."""

    async def ask() -> bool:
        pulls = node.queue._pulls.get(Lane.TX)
        return pulls is not None and not pulls._idle and await node.link.flush()

    await settled(ask, what="requests")


def test_each_worker_is_the_main_one_of_some_shards() -> None:
    """The hash is the same in every process."""
    assert {max(WORKERS, key=lambda name: weight(name, shard)) for shard in range(64)} == set(WORKERS)
    assert weight("w1", 0).hex() == "fc982778cba2cc05"


async def test_no_two_workers_have_the_same_place(site: Site) -> None:
    """Each shard's order is the same in all of them."""
    nodes = [await site.node(name) for name in WORKERS]
    for node in nodes:
        await node.queue._company.join()
    await together(nodes, 4)
    for shard in range(64):
        places = {node.name: node.queue._company.priority(shard) for node in nodes}
        order = sorted(WORKERS, key=lambda name: weight(name, shard), reverse=True)
        assert places == {name: place for place, name in enumerate(order)}
    assert {min(nodes, key=lambda node: node.queue._company.priority(shard)).name for shard in range(64)} == set(
        WORKERS
    )
    assert repr(nodes[0].queue._company) == "Company('w1', others=3)"


async def test_who_leaves_or_falls_silent_has_no_place_any_more(site: Site) -> None:
    """The one at once, the other after three beats; what is asked meanwhile is asked for a short time."""
    staying, leaving, silent = nodes = [await site.node(name) for name in ("w1", "w2", "w3")]
    for node in nodes:
        await node.queue._company.join()
    await together(nodes, 3)
    company = staying.queue._company
    site.bench.clock.advance(SETTLE_SECONDS)
    settling = [company.is_settling]
    await leaving.queue.close()
    await together([staying, silent], 2)
    settling.append(company.is_settling)
    await silent.die()

    async def alone() -> bool:
        site.bench.clock.advance(BEAT_SECONDS)
        return len(company) == 1

    await settled(alone, what="the silent one's end")
    assert all(company.priority(shard) == 0 for shard in range(64))
    assert settling == [False, True]


async def test_who_stood_still_forgets_nobody(site: Site) -> None:
    """What the others said meanwhile is still to be read."""
    nodes = [await site.node(name) for name in ("w1", "w2")]
    for node in nodes:
        await node.queue._company.join()
    await together(nodes, 2)
    company = nodes[0].queue._company
    company._beaten -= 2 * BEAT_SECONDS
    company._heard["w2"] -= (GONE_BEATS + 1) * BEAT_SECONDS
    company._beat()
    assert len(company) == 2
    company._beat()
    assert len(company) == 1
