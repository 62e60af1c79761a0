"""Every store runs the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stores import FACTORIES, Bench, opened


@pytest.fixture(params=sorted(FACTORIES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """An empty store of each kind."""
    async with opened(tmp_path, FACTORIES[request.param]) as made:
        yield made
