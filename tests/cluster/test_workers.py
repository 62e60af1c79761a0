"""Nodes that send, killed and cut off in the middle of a campaign."""

from __future__ import annotations

import pytest
from support.cluster_trial import LEASE_SECONDS, Trial

pytestmark = pytest.mark.chaos
CAMPAIGN = 6_000


def test_a_worker_is_killed_in_mid_campaign(trial: Trial) -> None:
    """Another takes over what it had in hand when its lease ends, and sends again what was not answered."""
    trial.slow(300)
    with trial.load():
        trial.campaign(CAMPAIGN)
        trial.until_sending()
        pid = trial.kill(trial.holder())
        took, lost = trial.until_taken_over(pid)
    rest = trial.settle()
    trial.judge(
        f"killed: taken over in {took:.1f} s (lease {LEASE_SECONDS} s), all done {rest:.1f} s later, {lost} open"
    )
