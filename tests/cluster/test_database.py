"""PostgreSQL restarted while everybody works."""

from __future__ import annotations

import signal

import pytest
from support.cluster_trial import Trial

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_postgresql_is_restarted_in_mid_campaign(trial: Trial, how: signal.Signals) -> None:
    """What was answered is kept until it can be written: nothing is sent twice, and requests are answered again as soon
    as the server is back."""
    trial.slow(100)
    with trial.load() as callers:
        trial.campaign(6_000)
        trial.until_sending()
        away = trial.restart_postgres(how)
        rest = trial.settle_beside()
    trial.settle()
    trial.judge(
        f"PostgreSQL restarted ({how.name}, {away:.1f} s): all done {rest:.1f} s later, the slowest request took "
        f"{callers.slowest:.1f} s"
    )
