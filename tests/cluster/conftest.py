"""One installation for all tests of a process: each finds it whole, and what it got so far adds up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import Cluster, Topology
from support.cluster_ledger import Ledger
from support.cluster_trial import LEASE_SECONDS, Trial
from support.netns import why_not

DEVICES = 1_000


class Installation:
    """Comes up when the first test asks, and anew after a test that failed."""

    def __init__(self, directory: Path, nats: int = 0) -> None:
        self.directory, self.nats = directory, nats
        self._number = 0
        self._stack = contextlib.ExitStack()
        self._trial: Trial | None = None

    def trial(self) -> Trial:
        """With everything up."""
        if self._trial is not None and not self._trial.sound:
            self.close(failed=True)
        if self._trial is None:
            self._number += 1
            directory = self.directory / str(self._number)
            directory.mkdir()
            topology = Topology(
                dispatchers=2,
                nats=self.nats,
                namespaces=why_not() is None,
                lease_seconds=LEASE_SECONDS,
                devices=DEVICES,
                simulator=("--set", "journal=1000000", "--token-floor", "key"),
                serve=("--log-level", "warning", "--webhooks-allow-private", "--webhooks-allow-http"),
            )
            cluster = self._stack.enter_context(Cluster(directory, topology))
            self._trial = Trial(cluster, Ledger(cluster.postgres.url))
            cluster.back_end.credential(cluster.phones.key())
        self._trial.begin()
        return self._trial

    def close(self, *, failed: bool = False) -> None:
        """Ends it; shows its logs if the last test failed."""
        if self._trial is not None and (failed or not self._trial.sound):
            print(self._trial.cluster.logs())  # noqa: T201 - for whoever looks for the cause
        self._trial = None
        self._stack.close()


_UP: list[Installation] = []


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Ends what is up once the next test is none of these: a score of idle processes is a load for the rest."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        for installation in _UP:
            installation.close()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("cluster"))
    _UP.append(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def installation_with_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """With three NATS servers that hand out the work."""
    made = Installation(tmp_path_factory.mktemp("cluster"), nats=3)
    yield made
    made.close()


@pytest.fixture
def nats_trial(installation_with_nats: Installation) -> Trial:
    return installation_with_nats.trial()


@pytest.fixture
def trial(installation: Installation) -> Trial:
    return installation.trial()
