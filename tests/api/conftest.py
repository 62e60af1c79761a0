"""The API over an empty store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.service import Service, serving
from support.stores import CHOSEN, FACTORIES

ON_BOTH = ("test_users", "test_idempotency", "test_keys", "test_lost_answers", "test_nulls")
"""What runs on PostgreSQL, too, each time: what is unlike there are text, keys that are taken, and times. The rest does
when `HELIOGRAM_TEST_STORE` says so."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each store."""
    if "store_name" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_BOTH:
        metafunc.parametrize("store_name", list(FACTORIES))


@pytest.fixture
def store_name() -> str:
    """What the service keeps everything in."""
    return CHOSEN


@pytest.fixture
async def service(tmp_path: Path, anyio_backend: str, store_name: str) -> AsyncIterator[Service]:
    """A service nobody has used yet."""
    async with serving(tmp_path, store=store_name) as made:
        yield made
