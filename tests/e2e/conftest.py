"""The simulator and the service as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import Program
from support.stack import BackEnd, Phones, service, simulator


@pytest.fixture(scope="session")
def apns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with simulator(tmp_path_factory.mktemp("apns")) as program:
        yield program


@pytest.fixture
def phones(apns: Program) -> Iterator[Phones]:
    made = Phones(apns)
    yield made
    made.close()


@pytest.fixture
def served(apns: Program, tmp_path: Path) -> Iterator[Program]:
    with service(tmp_path, apns.ready) as program:
        yield program


@pytest.fixture
def backend(served: Program, tmp_path: Path) -> Iterator[BackEnd]:
    made = BackEnd(served.ready["url"], tmp_path / "data")
    yield made
    made.close()
