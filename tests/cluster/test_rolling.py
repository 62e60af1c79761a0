"""Nodes stopped and started one after another, and nodes whose clocks disagree."""

from __future__ import annotations

import pytest
from support.cluster_trial import Trial

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
AHEAD_SECONDS = 100
SOON_SECONDS = 75
"""Less than that: whoever waited for the other clock would wait for longer."""


def test_all_nodes_are_replaced_one_by_one(trial: Trial) -> None:
    """As in an upgrade: each drains, and nothing is sent twice; callers who ask again at another node get through."""
    trial.slow(50)
    with trial.load() as callers:
        trial.campaign(6_000)
        for name, node in trial.cluster.nodes.items():
            trial.ask("api-2" if name == "api-1" else "api-1")
            trial.until_sending(20)
            assert node.stop() == 0, name
            node.start()
        rest = trial.settle_beside()
    trial.settle()
    trial.judge(f"rolling restart: all done {rest:.1f} s later, the slowest request took {callers.slowest:.1f} s")


def test_clocks_are_far_apart(trial: Trial) -> None:
    """One API node and one worker live 100 s in the future. What is accepted by either is sent by any, at once; nothing
    is taken from who has it, and nothing is sent twice. Leases last longer than that, as they have to."""
    cluster = trial.cluster
    usual = [node for name, node in cluster.nodes.items() if name != "dispatcher-1"]
    for node in usual:
        node.stop()
    lease = ("--lease-seconds", "300")
    there = [
        cluster.add("api-future", "api", *lease, ahead=AHEAD_SECONDS),
        cluster.add("api-now", "api", *lease),
        cluster.add("worker-future", "worker", *lease, ahead=AHEAD_SECONDS),
        cluster.add("worker-now", "worker", *lease),
    ]
    try:
        for node in there:
            node.launch()
        for node in there:
            node.until_ready()
        waits = {}
        for api in ("api-future", "api-now"):
            trial.ask(api)
            with trial.load():
                trial.until_sending(30)
                trial.campaign(3_000)
                trial.settle_beside()
            waits[api] = trial.settle(seconds=SOON_SECONDS)
    finally:
        for node in there:
            if node.program.runs:
                node.stop()
            del cluster.nodes[node.name]
        for node in usual:
            node.launch()
        for node in usual:
            node.until_ready()
    trial.ask("api-1")
    told = ", ".join(f"{api} {seconds:.1f} s" for api, seconds in waits.items())
    trial.judge(f"clocks {AHEAD_SECONDS} s apart: all done after {told}")
