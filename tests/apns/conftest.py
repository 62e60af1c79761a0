"""What the engine's tests share: a signing key, an authority, a scripted APNs, a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer
from support.callers import BUNDLE, MakeBroadcasts, MakeChannels, answer, close_all
from support.engine import MakeClient
from support.manual_clock import ManualClock
from support.sends import loops, running
from support.tls import Authority

from heliogram.apns import BroadcastClient, ChannelClient, Client, SigningKey


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("tls")))


@pytest.fixture(scope="session")
def signing_key() -> SigningKey:
    return SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id="ABC123DEFG", team_id="DEF123GHIJ")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server(anyio_backend: str, authority: Authority) -> AsyncIterator[ApnsServer]:
    async with ApnsServer(authority.server_context()) as server:
        yield server


@pytest.fixture
async def make_client(
    anyio_backend: str, server: ApnsServer, authority: Authority, signing_key: SigningKey, clock: ManualClock
) -> AsyncIterator[MakeClient]:
    clients: list[Client] = []

    def make(**options: object) -> Client:
        here = {"endpoint": server.endpoint, "cafile": authority.cafile}
        chosen: dict[str, object] = {"topic": "com.example.app", "clock": clock, **here, **options}
        credential = chosen.pop("credential", signing_key)
        client = Client(credential, **chosen)  # type: ignore[arg-type]
        clients.append(client)
        return client

    yield make
    for client in clients:
        closing = asyncio.ensure_future(client.close())
        while not closing.done():
            # Whatever a test left open ends by the drain's limit, which is the clock's business.
            await asyncio.sleep(0)
            clock.advance(1)


@pytest.fixture
async def make_channels(
    anyio_backend: str, server: ApnsServer, authority: Authority, signing_key: SigningKey, clock: ManualClock
) -> AsyncIterator[MakeChannels]:
    clients: list[ChannelClient] = []

    def make(**options: object) -> ChannelClient:
        chosen: dict[str, Any] = {"bundle_id": BUNDLE, "endpoint": server.endpoint, "clock": clock, **options}
        client = ChannelClient(signing_key, cafile=authority.cafile, **chosen)
        clients.append(client)
        return client

    yield make
    await close_all(clients, clock)


@pytest.fixture
async def make_broadcasts(
    anyio_backend: str, server: ApnsServer, authority: Authority, signing_key: SigningKey, clock: ManualClock
) -> AsyncIterator[MakeBroadcasts]:
    clients: list[BroadcastClient] = []

    def make(**options: object) -> BroadcastClient:
        chosen: dict[str, Any] = {"bundle_id": BUNDLE, "endpoint": server.endpoint, "clock": clock, **options}
        client = BroadcastClient(chosen.pop("credential", signing_key), cafile=authority.cafile, **chosen)
        clients.append(client)
        return client

    server.on_request = answer(200)
    yield make
    await close_all(clients, clock)


@pytest.fixture(params=loops(), ids=lambda factory: factory.__module__.split(".")[0])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine in an event loop of each kind there is."""
    with running(request.param) as runner:
        yield runner.run
