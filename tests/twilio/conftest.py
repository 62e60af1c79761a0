"""The API as Twilio's clients see it, over an empty store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.service import Service, serving


@pytest.fixture
async def service(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Service]:
    """A service nobody has used yet."""
    async with serving(tmp_path) as made:
        yield made
