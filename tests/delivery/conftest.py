"""A real store, the real engine, and an APNs whose every answer the test decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer
from support.stores import Bench, opened
from support.tls import Authority, key_pem

from heliogram.delivery.chunk import ChunkDelivery
from heliogram.delivery.credentials import CredentialOpener
from heliogram.delivery.policy import RetryPolicy
from heliogram.delivery.providers.apns import ApnsEndpoints, ApnsProvider
from heliogram.delivery.tools import Settings, Tools
from heliogram.domain.apps import CredentialType, ProviderName
from heliogram.domain.notifications import Notification
from heliogram.domain.operations import Lane, Operation
from heliogram.ports import NotificationFilter, Window
from heliogram.queue.db import DbQueue
from heliogram.security import AesGcmSealer, load_master_key

P8 = key_pem(ec.generate_private_key(ec.SECP256R1()))


class Delivery:
    """The delivery room, one chunk at a time."""

    def __init__(self, bench: Bench, tools: Tools, sealer: AesGcmSealer) -> None:
        self.bench = bench
        self.tools = tools
        self._sealer = sealer

    async def app(self, name: str = "shop", type: CredentialType = CredentialType.APN) -> bytes:  # noqa: A002
        """An app whose credential opens; the credential's id."""
        credential = self.bench.credential(name, type)
        account = self.bench.account
        sealed = self._sealer.seal(P8, table="credential", column="sealed", row=credential.id, account=account)
        return (await self.bench.store.create_credential(account, credential, sealed)).id

    async def deliver(self, lane: Lane = Lane.TX) -> int:
        """Delivers every chunk that is due now; how many there were."""
        chunks = await self.bench.store.claim(
            lane, 0, limit=100, now=self.bench.clock.ms, until=self.bench.clock.ms + 60_000, worker="test"
        )
        for chunk in chunks:
            await ChunkDelivery(chunk, self.tools).run()
        return len(chunks)

    async def operation(self, operation: Operation) -> Operation:
        """The operation as it stands."""
        found = await self.bench.store.get_operation(self.bench.account, operation.id)
        assert found is not None
        return found

    async def notifications(self, operation: Operation) -> list[Notification]:
        """Its notifications with their deliveries."""
        wanted = NotificationFilter(operation_id=operation.id)
        listed = await self.bench.store.list_notifications(self.bench.account, Window(limit=1000), wanted)
        return list(listed.items)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def apns(anyio_backend: str, authority: Authority) -> AsyncIterator[ApnsServer]:
    async with ApnsServer(authority.server_context()) as server:
        yield server


@pytest.fixture
async def delivery(
    anyio_backend: str, apns: ApnsServer, authority: Authority, tmp_path: Path
) -> AsyncIterator[Delivery]:
    async with opened(tmp_path) as bench:
        provider = ApnsProvider(ApnsEndpoints(production=apns.endpoint, sandbox=apns.endpoint, cafile=authority.cafile))
        sealer = AesGcmSealer(load_master_key(tmp_path, environ={}))
        tools = Tools(
            store=bench.store,
            queue=DbQueue(bench.store, bench.clock, "test"),
            providers={ProviderName.APN: provider},
            clock=bench.clock,
            open_credential=CredentialOpener(bench.store, sealer, bench.clock),
            settings=Settings(policy=RetryPolicy(jitter=0.0)),
        )
        yield Delivery(bench, tools, sealer)
        await provider.close()
