"""A sender's end and the serving process's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.senders import Pair
from support.stores import opened


@pytest.fixture
async def pair(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Pair]:
    async with opened(tmp_path) as bench:
        made = Pair(bench)
        await made.connect()
        yield made
        made.wire.close()
        async with asyncio.timeout(90):
            await made.desk.ended.wait()
            await made.lost.wait()
