"""The same with NATS JetStream that hands out the work: it may lose all it has, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from support.cluster import Cluster
from support.cluster_trial import Trial, wait_until
from support.nats import delete
from support.netns import require_namespaces
from support.waiting import HANG_SECONDS

from heliogram.queue.nats import Link

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
CAMPAIGN = 6_000
T = TypeVar("T")


def ask_broker(cluster: Cluster, subject: str) -> dict[str, Any]:
    """What JetStream answers to a request without a body, once somebody leads it."""
    return with_broker(cluster, lambda link: link.api(subject, seconds=HANG_SECONDS))


def with_broker(cluster: Cluster, work: Callable[[Link], Awaitable[T]]) -> T:
    """Does something by a connection to the broker."""

    async def connected() -> T:
        link = await Link.open([server.url for server in cluster.nats if server.runs], seconds=HANG_SECONDS)
        try:
            return await work(link)
        finally:
            await link.close()

    return asyncio.run(connected())


def streams(cluster: Cluster) -> list[str]:
    """The names of all streams."""
    found = ask_broker(cluster, "STREAM.NAMES")
    return list(found["streams"] or ())


def test_a_worker_is_killed_in_mid_campaign(nats_trial: Trial) -> None:
    """Its references come again, to another worker, once its leases are over."""
    trial = nats_trial
    trial.slow(300)
    with trial.load():
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        pid = trial.kill(trial.holder())
        took, lost = trial.until_taken_over(pid)
    rest = trial.settle()
    trial.judge(f"NATS, worker killed: {lost} open; taken over in {took:.1f} s, all done {rest:.1f} s later")


def test_a_worker_is_cut_off_from_all_of_nats(nats_trial: Trial) -> None:
    """It goes on with what it has, whose leases it renews in the database; the rest goes to others."""
    require_namespaces()
    trial = nats_trial
    trial.slow(100)
    with trial.load() as callers:
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        worker = trial.holder()
        for server in trial.cluster.nats:
            trial.cluster.cut(worker, server)
        try:
            rest = trial.settle_beside()
        finally:
            for server in trial.cluster.nats:
                trial.cluster.join(worker, server)
    trial.settle()
    trial.judge(f"NATS, worker cut off from it: all done after {rest:.1f} s, slowest request {callers.slowest:.1f} s")


def test_the_leader_of_the_streams_is_killed(nats_trial: Trial) -> None:
    """The two that are left go on."""
    trial = nats_trial
    trial.slow(100)
    (name, *_) = streams(trial.cluster)
    told = ask_broker(trial.cluster, f"STREAM.INFO.{name}")
    leader = next(each for each in trial.cluster.nats if each.name == told["cluster"]["leader"])
    with trial.load() as callers:
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        leader.stop()
        trial.campaign(CAMPAIGN)
        rest = trial.settle_beside()
    settled = trial.settle()
    leader.start()
    trial.judge(
        f"NATS, {leader.name} killed, leader of {name}: campaigns done after {rest:.1f} s, the rest {settled:.1f} s "
        f"later, slowest request {callers.slowest:.1f} s"
    )


def test_all_streams_are_deleted(nats_trial: Trial) -> None:
    """They are made again, and what is due in the database is handed out again."""
    trial = nats_trial
    trial.slow(100)
    with trial.load() as callers:
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        names = streams(trial.cluster)
        with_broker(trial.cluster, lambda link: delete(link, *(f"STREAM.DELETE.{name}" for name in names)))
        trial.campaign(CAMPAIGN)
        rest = trial.settle_beside()
    settled = trial.settle()
    wait_until(lambda: sorted(streams(trial.cluster)) == sorted(names), what="all streams to be there again")
    trial.judge(
        f"NATS, {len(names)} streams deleted: campaigns done after {rest:.1f} s, the rest {settled:.1f} s later, "
        f"slowest request {callers.slowest:.1f} s"
    )


def test_all_of_nats_is_restarted(nats_trial: Trial) -> None:
    """What is accepted meanwhile waits; all of it is sent when there is a broker again."""
    trial = nats_trial
    trial.slow(100)
    with trial.load() as callers:
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        for server in trial.cluster.nats:
            server.stop()
        trial.campaign(CAMPAIGN)
        threading.Event().wait(2)  # how long there is no broker is what this is about
        for server in trial.cluster.nats:
            server.start()
        rest = trial.settle_beside()
    settled = trial.settle()
    wait_until(lambda: bool(streams(trial.cluster)), what="the streams")
    trial.judge(
        f"NATS, all of it killed for 2 s: campaigns done after {rest:.1f} s, the rest {settled:.1f} s later, "
        f"slowest request {callers.slowest:.1f} s"
    )
