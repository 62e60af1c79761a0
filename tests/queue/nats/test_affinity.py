"""Each team's work stays on few workers."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

import pytest
from support.nats import Node, Site, settled

from heliogram.domain.operations import Lane
from heliogram.domain.shards import Sharding
from heliogram.ports import Slots
from heliogram.queue.nats import Layout
from heliogram.queue.nats.affinity import Affinity, rank

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


async def test_a_teams_work_stays_on_its_main_worker(site: Site) -> None:
    """Of 8 teams on 4 workers that have just begun, and more of it later; when a worker dies, others have its teams at
    once."""
    site.layout = Layout(prefix=site.layout.prefix, shards=64, token_s=3600)
    api = await site.node("api")
    await api.dispatch()
    await site.all_dispatched()
    shares, done = SHARES(Counter), list[bytes]()
    nodes = [await site.node(name) for name in WORKERS]
    tasks = [asyncio.create_task(work(node, shares, done)) for node in nodes]
    for node in nodes:
        await settled_pulls(node)
    await burst(site, api, 25, done)
    cold = share_of_main(shares)
    assert sum(cold) / len(cold) >= 0.8, shares
    shares.clear()
    await burst(site, api, 25, done)
    warm = share_of_main(shares)
    assert min(warm) >= 0.8, shares
    assert sum(warm) / len(warm) >= 0.95, shares
    owners = {shard: counts.most_common(1)[0][0] for shard, counts in shares.items()}
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


def test_workers_differ_in_their_ranks() -> None:
    """Every worker is best for some shards; the rank is the same in every process, and leaves a better one free."""
    assert rank("w1", 0) == rank("w1", 0) == 4
    ranks = {(worker, shard): rank(worker, shard) for worker in WORKERS for shard in range(64)}
    assert set(ranks.values()) == set(range(1, 10))
    best = Counter(min(WORKERS, key=lambda worker: ranks[worker, shard]) for shard in range(64))
    assert set(best) == set(WORKERS)


def test_who_serves_a_shard_alone_gets_better_by_one() -> None:
    """By the broker's count; no more than that, and of no other shard."""
    affinity = Affinity("w1", lambda: 1.0)
    before = affinity.priority(3)
    affinity.served(3, 1)
    assert affinity.priority(3) == before - 1
    affinity.served(3, 2)
    assert affinity.priority(3) == before - 1
    assert affinity.priority(4) == rank("w1", 4)


def test_who_comes_later_has_to_be_alone_for_a_while() -> None:
    """The first of what others had before says nothing; three in a row do."""
    affinity = Affinity("w1", lambda: 1.0)
    found = []
    for number in (7, 8, 9, 10):
        affinity.served(3, number)
        found.append(rank("w1", 3) - affinity.priority(3))
    assert found == [0, 0, 0, 1]


@pytest.mark.parametrize(("coin", "better"), [(0.49, True), (0.5, False)])
def test_who_is_served_in_turn_with_another_tosses_a_coin(coin: float, better: bool) -> None:
    """So that one of two equals is soon the only one."""
    affinity = Affinity("w1", lambda: coin)
    for number in (2, 4):
        affinity.served(3, number)
    assert (affinity.priority(3) < rank("w1", 3)) is better
    assert affinity.is_contested(3)
    assert not affinity.is_contested(4)
    assert repr(affinity) == f"Affinity('w1', serving=1, better={int(better)})"


def test_help_in_a_burst_changes_nothing() -> None:
    """Neither for who serves the shard nor for who helped out, whatever their coins say."""
    main, helper = Affinity("w1", lambda: 1.0), Affinity("w2", lambda: 0.0)
    for number in range(1, 21):
        main.served(3, number)
    helper.served(3, 21)
    main.served(3, 22)
    assert main.priority(3) == rank("w1", 3) - 1
    assert helper.priority(3) == rank("w2", 3)
