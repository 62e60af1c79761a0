"""`heliogram serve --senders N`: large sends in processes of their own, at the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import Program
from support.stack import BackEnd, Phones, service

SENDERS = 2


@pytest.fixture
def served(apns: Program, tmp_path: Path) -> Iterator[Program]:
    with service(tmp_path, apns.ready, "--senders", str(SENDERS)) as program:
        yield program


def test_a_campaign_is_split_over_the_senders(phones: Phones, backend: BackEnd, tmp_path: Path) -> None:
    """Every chunk is one sender's, every outcome is recorded, and each device gets its push once."""
    backend.credential(phones.key())
    token = phones.phone().launch()
    operation = backend.send(*[{"token": token, "provider": "APN"}] * 3000)
    stats = backend.completed(operation)["stats"]
    assert stats["sent"] == 3000
