"""A real server for all tests of a process, and streams of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.nats import NatsServer, Site
from support.stores import FACTORIES, opened

from heliogram.queue.nats import Layout


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server that tests share, and leave running."""
    server = NatsServer(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that a test may kill."""
    server = NatsServer(tmp_path / "nats").start()
    yield server
    server.kill()


@pytest.fixture(params=sorted(FACTORIES))
async def any_site(
    request: pytest.FixtureRequest, tmp_path: Path, nats_server: NatsServer, anyio_backend: str
) -> AsyncIterator[Site]:
    """An empty store of each kind."""
    async with opened(tmp_path, FACTORIES[request.param]) as bench:
        made = Site(bench, nats_server, Layout(prefix=f"test-{secrets.token_hex(6)}", shards=4, token_s=3600))
        yield made
        await made.close()


@pytest.fixture
async def site(tmp_path: Path, nats_server: NatsServer, anyio_backend: str) -> AsyncIterator[Site]:
    """An empty store beside the shared server, with four shards that nobody loses when the clock is advanced."""
    async with opened(tmp_path) as bench:
        made = Site(bench, nats_server, Layout(prefix=f"test-{secrets.token_hex(6)}", shards=4, token_s=3600))
        yield made
        await made.close()
