"""Provider tokens that run out under load."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.apns_server import ApnsServer, Peer, header
from support.chaos import Book, burst
from support.engine import HELLO, MakeClient
from support.manual_clock import ManualClock

from heliogram.apns import Accepted, Client, Environment, Push, SigningKey
from heliogram.simulator import Simulator
from heliogram.wire import Received

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]
COUNT = 10_000


async def test_tokens_expire_under_load(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """TOK-22, CONN-28: each connection's token runs out and wedges it: every push is sent once more, and accepted."""
    ends: dict[Peer, int] = {}
    rng = random.Random(1)
    refused = set[str]()

    def expiring(peer: Peer, request: Received) -> None:
        end = ends.setdefault(peer, rng.randint(500, 1500) if len(ends) < 12 else COUNT)
        own = header(request, b"apns-id").decode()
        if len(peer.requests) > end and own not in refused:
            refused.add(own)
            peer.reject(request, 403, "ExpiredProviderToken")
        else:
            book.accept(peer, request)

    server.on_request = expiring
    outcomes = await burst(make_client(), COUNT)
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT}
    assert len(refused) > 12
    assert len(server.peers) >= 8


async def test_time_passes_under_load(anyio_backend: str) -> None:
    """TOK-8, TOK-9: five hours pass during 10,000 pushes to a server that judges tokens: none is refused (T1)."""
    clock = ManualClock()
    rng = random.Random(2)
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with Simulator(clock=clock.time, random=random.Random(5)) as simulator:
        simulator.add_key("ABC123DEFG", "DEF123GHIJ", public)
        device = simulator.add_device("phone")
        simulator.install(device.id, "com.example.app", "sandbox")
        token = simulator.launch(device.id, "com.example.app").device_token
        assert token is not None
        host, port = simulator.ports["sandbox"]
        client = Client(
            SigningKey(private, key_id="ABC123DEFG", team_id="DEF123GHIJ"),
            topic="com.example.app",
            environment=Environment.SANDBOX,
            endpoint=f"{host}:{port}",
            cafile=simulator.ca_path,
            clock=clock,
        )
        kinds = []
        async with client:
            async for one in client.send_many((Push(token, HELLO, tag=n) for n in range(COUNT)), concurrency=100):
                kinds.append(one)
                if len(kinds) % 20 == 0:
                    passed = rng.choice([1, 5, 120])
                    clock.wall += passed
                    clock.elapsed += passed
        assert sorted(one.tag for one in kinds) == list(range(COUNT))
        assert [one for one in kinds if not isinstance(one, Accepted)] == []
        assert clock.wall - 1_750_000_000 > 5 * 3600
