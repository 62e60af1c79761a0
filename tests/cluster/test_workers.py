"""Nodes that send: killed, cut off from the database and cut off from APNs in the middle of a campaign."""

from __future__ import annotations

import threading

import httpx2
import pytest
from support.cluster import Node
from support.cluster_trial import Trial, wait_until
from support.netns import require_namespaces

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
CAMPAIGN = 6_000


def is_ready(node: Node) -> bool:
    """Whether it says that it can work."""
    try:
        return httpx2.get(f"{node.url}/health/ready", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_a_worker_is_killed_in_mid_campaign(trial: Trial) -> None:
    """Another takes over what it had in hand when its lease ends, and sends again what was not answered."""
    trial.slow(300)
    with trial.load():
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        pid = trial.kill(trial.holder())
        took, lost = trial.until_taken_over(pid)
    rest = trial.settle()
    trial.judge(f"worker killed: {lost} open; taken over in {took:.1f} s, all done {rest:.1f} s later")


def test_a_worker_is_cut_off_from_the_database(trial: Trial) -> None:
    """It writes nothing and begins nothing; another takes over when its lease ends; when it is back, it throws away
    what is not its own any more, and works again."""
    require_namespaces()
    trial.slow(300)
    with trial.load():
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        worker = trial.holder()
        trial.cluster.cut(worker, trial.cluster.postgres)
        try:
            took, lost = trial.until_taken_over(worker.pid)
        finally:
            trial.cluster.join(worker, trial.cluster.postgres)
        rest = trial.settle_beside()
    began = trial.now()
    wait_until(lambda: is_ready(worker), what="it to be back")
    back = trial.now() - began
    trial.settle()
    trial.judge(
        f"worker without a database: {lost} open; taken over in {took:.1f} s, the campaign done {rest:.1f} s later, "
        f"back after {back:.1f} s"
    )


def test_nobody_has_the_database_for_a_moment(trial: Trial) -> None:
    """Its cable is pulled for less than a lease lasts: everybody keeps what it has, nothing is sent twice."""
    require_namespaces()
    trial.slow(100)
    place = trial.cluster.postgres.place
    assert place is not None
    with trial.load() as callers:
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        place.plug(up=False)
        try:
            threading.Event().wait(1)  # how long the cable is out is what this is about
        finally:
            place.plug(up=True)
        rest = trial.settle_beside()
    trial.settle()
    trial.judge(f"cable out for 1 s: all done {rest:.1f} s later, the slowest request took {callers.slowest:.1f} s")


def test_a_worker_is_cut_off_from_apns(trial: Trial) -> None:
    """Pushes whose answers were on their way may come twice, no others; the worker keeps its work until it notices, and
    the rest goes on elsewhere."""
    require_namespaces()
    trial.slow(300)
    with trial.load():
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        worker = trial.holder()
        trial.cluster.cut(worker, trial.cluster.simulators_place)
        try:
            lost = trial.lose(worker.pid, seconds=1)
            threading.Event().wait(6)
        finally:
            trial.cluster.join(worker, trial.cluster.simulators_place)
        rest = trial.settle_beside()
    trial.settle()
    trial.judge(f"worker without APNs for 7 s: {lost} open; all done {rest:.1f} s later")
