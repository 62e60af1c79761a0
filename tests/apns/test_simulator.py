"""The engine against the project's own APNs, which shares no table with it."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.engine import HELLO
from support.manual_clock import ManualClock

from heliogram.apns import Accepted, Client, Environment, Notification, Rejected, SigningKey
from heliogram.simulator import Simulator

pytestmark = pytest.mark.anyio
BUNDLE = "com.example.app"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def simulator(anyio_backend: str, clock: ManualClock) -> AsyncIterator[Simulator]:
    async with Simulator(clock=clock.time, random=random.Random(5)) as simulator:
        yield simulator


def make_client(simulator: Simulator, clock: ManualClock, *, known: bool = True) -> Client:
    """A client of the sandbox whose key the simulator knows, or does not."""
    private = ec.generate_private_key(ec.SECP256R1())
    key = SigningKey(private, key_id="ABC123DEFG", team_id="DEF123GHIJ")
    if known:
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        simulator.add_key("ABC123DEFG", "DEF123GHIJ", public.decode())
    host, port = simulator.ports["sandbox"]
    return Client(
        key,
        topic=BUNDLE,
        environment=Environment.SANDBOX,
        endpoint=f"{host}:{port}",
        cafile=simulator.ca_path,
        clock=clock,
    )


def install(simulator: Simulator) -> str:
    """The device token of an app on a new device."""
    device = simulator.add_device("phone")
    simulator.install(device.id, BUNDLE, "sandbox")
    token = simulator.launch(device.id, BUNDLE).device_token
    assert token is not None
    return token


async def test_accepted_and_shown(simulator: Simulator, clock: ManualClock) -> None:
    """What is accepted arrives on the device; the sandbox adds its unique id (RESP-4)."""
    token = install(simulator)
    async with make_client(simulator, clock) as client:
        outcome = await client.send(token, HELLO)
        again = [one async for one in client.send_many((token, HELLO) for _ in range(500))]
    assert isinstance(outcome, Accepted)
    assert outcome.unique_id
    assert all(one.ok for one in again)
    [device] = simulator.devices()
    assert simulator.notifications(device.id)


async def test_rejections(simulator: Simulator, clock: ManualClock) -> None:
    """A dead token, a foreign token and an unknown key get the words of the rule book."""
    token = install(simulator)
    [device] = simulator.devices()
    simulator.uninstall(device.id, BUNDLE)
    async with make_client(simulator, clock) as client:
        gone = await client.send(token, HELLO)
        foreign = await client.send("ab" * 32, HELLO)
    simulator.revoke_key("ABC123DEFG")
    async with make_client(simulator, clock, known=False) as client:
        stranger = await client.send(token, HELLO)
    answers = [(one.status, one.reason) for one in (gone, foreign, stranger) if isinstance(one, Rejected)]
    assert answers == [(410, "Unregistered"), (400, "BadDeviceToken"), (403, "InvalidProviderToken")]
    assert isinstance(gone, Rejected)
    assert gone.timestamp is not None
    assert abs(gone.timestamp / 1000 - clock.time()) < 3600


async def test_a_day_without_a_token_complaint(simulator: Simulator, clock: ManualClock) -> None:
    """A day of pushes at uneven times: no `TooManyProviderTokenUpdates`, no `ExpiredProviderToken` (T1)."""
    token = install(simulator)
    rng = random.Random(11)
    notification = Notification(alert="tick")
    outcomes = []
    async with make_client(simulator, clock) as client:
        for pause in itertools.chain([0.0], (rng.choice([1, 60, 600, 1200, 1800, 4000]) for _ in range(60))):
            clock.wall += pause
            clock.elapsed += pause
            outcomes.append(await client.send(token, notification))
    assert [one for one in outcomes if not one.ok] == []
