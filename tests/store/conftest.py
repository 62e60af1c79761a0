"""Every store runs the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stores import FACTORIES, Bench, open_postgres, opened

from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.link import Link


@pytest.fixture(params=sorted(FACTORIES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """An empty store of each kind."""
    async with opened(tmp_path, FACTORIES[request.param]) as made:
        yield made


@pytest.fixture
async def links(tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[Link, Link]]:
    """Two connections as the store has them, one to look with and one to fill with."""
    async with opened(tmp_path, open_postgres) as made:
        assert isinstance(made.store, PostgresStore)
        found: list[Link] = [await made.store._connect(), await made.store._connect()]
        try:
            yield found[0], found[1]
        finally:
            for each in found:
                await each.close()
