"""The API, the delivery room and the simulator in one process, on one clock that goes when it is told to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
from support.clock import FakeClock
from support.service import Service, serving
from support.stores import CHOSEN

from heliogram.delivery.breaker import Breakers
from heliogram.delivery.chunk import ChunkDelivery
from heliogram.delivery.credentials import CredentialAlarm, CredentialOpener, CredentialWatch
from heliogram.delivery.mending import Mender
from heliogram.delivery.policy import RetryPolicy
from heliogram.delivery.providers.apns import ApnsEndpoints, ApnsProvider
from heliogram.delivery.standing import Heard, Reporter, Troubles
from heliogram.delivery.tools import Settings, Tools
from heliogram.domain.apps import ProviderName
from heliogram.domain.operations import Lane
from heliogram.simulator import Settings as Conduct
from heliogram.simulator import Simulator

BUNDLE = "com.example.shop"
TEAM = "TEAM123456"


class Live:
    """All of it. `deliver` plays the worker."""

    def __init__(
        self,
        service: Service,
        simulator: Simulator,
        provider: ApnsProvider,
        breakers: Breakers,
        heard: Heard,
        node: bytes = b"",
    ) -> None:
        self.service = service
        self.simulator = simulator
        self.provider = provider
        self.clock = service.clock
        self.opener = CredentialOpener(service.store, service.state.sealer, self.clock)
        providers = {ProviderName.APN: provider}
        self.tools = Tools(
            store=service.store,
            queue=service.queue,
            providers=providers,
            clock=self.clock,
            open_credential=self.opener,
            settings=Settings(policy=RetryPolicy(jitter=0.0)),
            breakers=breakers,
            heard=heard,
        )
        self.alarm = breakers.alarm = CredentialAlarm(service.store, self.clock)
        mender = Mender(service.store, service.queue, breakers)
        reporter = Reporter(service.store, heard, Troubles(service.store, node, breakers))
        self.watch = CredentialWatch(
            service.store, providers, self.opener, self.clock, mender=mender, reporter=reporter
        )

    async def credential(
        self, app: str = "shop", type_: str = "APN", *, topics: list[str] | None = None, **changes: Any
    ) -> str:
        """A credential whose key the simulator knows; its id."""
        content = {**self.key(topics=topics), **changes}
        return await self.service.app_named(app, type_, content=content)

    def key(self, *, topics: list[str] | None = None, team: str = TEAM) -> dict[str, Any]:
        """The content of a credential with a new key, for all topics of the team or for these."""
        made = self.simulator.issue_key(team, topics=topics)
        content = {"signingKey": made.p8, "keyId": made.key_id, "teamId": team, "bundleId": BUNDLE}
        return content if topics is None else {**content, "topics": topics}

    def phone(self, environment: Literal["production", "sandbox"] = "production") -> tuple[str, str]:
        """A device with the app on it: its id, and its device token."""
        device = self.simulator.add_device("phone")
        self.simulator.install(device.id, BUNDLE, environment)
        token = self.simulator.launch(device.id, BUNDLE).device_token
        assert token is not None
        return device.id, token

    async def post(self, path: str, body: Any = None, *, expect: int = 202) -> dict[str, Any]:
        """`POST /v1/PushNotifications{path}`, answered as expected; the body of the answer."""
        return self._body(await self.service.post(path, {} if body is None else body), expect)

    async def get(self, path: str, *, expect: int = 200, **params: Any) -> dict[str, Any]:
        """`GET /v1/PushNotifications{path}`, answered as expected; the body of the answer."""
        return self._body(await self.service.get(path, **params), expect)

    def _body(self, answer: httpx2.Response, expect: int) -> dict[str, Any]:
        assert answer.status_code == expect, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def send(self, *tokens: str, **more: Any) -> str:
        """Sends to device tokens; the operation's id."""
        to = [{"token": token, "provider": "APN"} for token in tokens]
        return str((await self.post("", {"to": to, "content": {"body": "Hello"}, **more}))["operationId"])

    async def deliver(self, lane: Lane = Lane.TX) -> int:
        """Delivers every chunk that is due now; how many there were."""
        now = self.clock.ms
        chunks = await self.service.store.claim(lane, 0, limit=100, now=now, until=now + 60_000, worker="test")
        for chunk in chunks:
            await ChunkDelivery(chunk, self.tools).run()
        return len(chunks)

    async def until(self, there: Callable[[], object]) -> None:
        """Lets everything else go on until something is there; the test's own time is the limit."""
        async with asyncio.timeout(20):
            while not there():
                await asyncio.to_thread(lambda: None)  # the sockets get their turn

    async def deliveries(self, operation: str) -> list[dict[str, Any]]:
        """What became of each device of an operation."""
        page = await self.get("", operationId=operation, include="deliveries")
        return [delivery for each in page["pushNotifications"] for delivery in each["deliveries"]]


@asynccontextmanager
async def living(directory: Path, conduct: Conduct | None = None, *, store: str = CHOSEN) -> AsyncIterator[Live]:
    """All of it, with a new store in `directory`."""
    clock = FakeClock()
    simulator = Simulator(clock=clock.time, random=random.Random(5), settings=conduct)
    await simulator.start(manage_production="127.0.0.1:0", manage_sandbox="127.0.0.1:0")
    async with simulator, a_node(directory, simulator, clock, store=store) as live:
        yield live


@asynccontextmanager
async def a_node(
    directory: Path, simulator: Simulator, clock: FakeClock, *, store: str = CHOSEN, node: bytes = b""
) -> AsyncIterator[Live]:
    """One that sends, on the store in `directory`, which it may share with others."""
    at = {name: f"{host}:{port}" for name, (host, port) in simulator.ports.items()}
    wanted = ("production", "sandbox", "manage_production", "manage_sandbox")
    ca = directory / "ca.pem"  # the simulator's own goes with it
    ca.write_bytes(simulator.ca_pem)
    endpoints = ApnsEndpoints(**{name: at[name] for name in wanted}, cafile=str(ca))
    provider = ApnsProvider(endpoints, clock=clock)
    breakers, heard = Breakers(), Heard()
    async with serving(
        directory, provider=provider, clock=clock, breakers=breakers, heard=heard, node=node, store=store
    ) as service:
        live = Live(service, simulator, provider, breakers, heard, node)
        yield live
        await live.alarm.close()
