"""One provider token for all nodes, whoever counts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.cluster import Cluster, Topology
from support.cluster_ledger import Ledger
from support.cluster_trial import Trial
from support.netns import why_not
from support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
SLOT_SECONDS = 1_800
LATE_SECONDS = 120
"""Tokens are made for half hours, which begin two minutes late: a clock that is ahead makes none from the future."""
AWAY_SECONDS = 90


def clear_of_a_new_slot() -> bool:
    """Whether no other token is due for a while."""
    return (time.time() - LATE_SECONDS) % SLOT_SECONDS < SLOT_SECONDS - AWAY_SECONDS


@pytest.mark.parametrize("scope", ["connection", "key", "team"])
def test_tok_10_all_workers_present_one_provider_token(tmp_path: Path, scope: str) -> None:
    """TOK-9, TOK-10: no second token within 20 minutes, and not one: on a connection; from an address with the same
    team and key; from a whole team. The last holds only because two workers, and one started anew, make the same."""
    eventually(clear_of_a_new_slot, what="the next slot of provider tokens", seconds=AWAY_SECONDS + 5)
    topology = Topology(
        api=1,
        dispatchers=0,
        namespaces=why_not() is None,
        devices=1_000,
        simulator=("--token-floor", scope, "--set", "token_changes=1", "--set", "journal=100000"),
    )
    with Cluster(tmp_path, topology) as cluster:
        cluster.back_end.credential(cluster.phones.key())
        trial = Trial(cluster, Ledger(cluster.postgres.url))
        trial.begin()
        trial.slow(50)
        with trial.load():
            trial.campaign(4_000)
            trial.until_sending(500)
            assert cluster["worker-1"].stop() == 0
            cluster["worker-1"].start()
            trial.campaign(4_000)
            trial.settle_beside()
            sources = {each["source"] for each in cluster.phones.call("GET", "/connections")["connections"]}
            places = {each.place.address for each in cluster.of("worker") if each.place is not None}
        trial.settle()
        assert sources >= places
        trial.judge(f"one token, counted by {scope}")
