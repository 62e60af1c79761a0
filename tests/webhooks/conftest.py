"""A store with an account, receivers, and a pump that is stepped by hand."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stores import Bench, opened
from support.telling import Telling
from support.tls import Authority
from support.webhooks import Receiver, receiving


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of receivers."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    """What a sender trusts."""
    return ssl.create_default_context(cafile=authority.cafile)


@pytest.fixture
def server_tls(authority: Authority) -> ssl.SSLContext:
    """What a receiver on localhost shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.load_server(context)
    return context


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """An empty store."""
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
async def receiver(anyio_backend: str) -> AsyncIterator[Receiver]:
    """Somewhere to send to."""
    async with receiving() as made:
        yield made


@pytest.fixture
def telling(bench: Bench) -> Telling:
    """A pump over the store."""
    return Telling(bench)
