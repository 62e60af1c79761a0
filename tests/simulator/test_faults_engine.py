"""The real engine against each of the simulator's faults: every push ends in exactly one outcome, and it recovers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from heliogram.apns import Alert, Client, Environment, Notification, Push, SigningKey, SystemClock, Tuning
from heliogram.simulator import Settings, Simulator

pytestmark = pytest.mark.anyio
COUNT = 300
TOPIC = "com.example.app"


class Bench:
    """A simulator with one device and the engine pointed at it."""

    def __init__(self, simulator: Simulator, client: Client, token: str, device_id: str) -> None:
        self.simulator = simulator
        self.client = client
        self.token = token
        self.device_id = device_id

    async def send(self, count: int = COUNT) -> Counter[str]:
        """What became of ``count`` pushes; checks that each has one outcome, and that no device shows one twice."""
        self.simulator.device(self.device_id).screen.remove(lambda topic: True)
        seen: list[int] = []
        kinds: Counter[str] = Counter()
        pushes = (Push(self.token, Notification(alert=Alert(body=str(n))), tag=n) for n in range(count))
        async with asyncio.timeout(90):
            async for one in self.client.send_many(pushes, concurrency=50):
                assert isinstance(one.tag, int)
                seen.append(one.tag)
                kinds[type(one).__name__] += 1
        assert sorted(seen) == list(range(count)), "a push has no outcome, or two"
        shown = Counter(one.apns_id for one in self.simulator.notifications(self.device_id))
        assert not shown or max(shown.values()) == 1, "a push was delivered twice"
        assert kinds["Accepted"] <= len(shown) <= kinds["Accepted"] + kinds["Unknown"]
        return kinds


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with Simulator(random=random.Random(1), settings=settings) as simulator:
        simulator.add_key("ABC123DEFG", "DEF123GHIJ", public)
        device = simulator.add_device("phone")
        simulator.install(device.id, TOPIC, "production")
        token = simulator.launch(device.id, TOPIC).device_token
        assert token is not None
        host, port = simulator.ports["production"]
        client = Client(
            SigningKey(private, key_id="ABC123DEFG", team_id="DEF123GHIJ"),
            topic=TOPIC,
            environment=Environment.PRODUCTION,
            endpoint=f"{host}:{port}",
            cafile=simulator.ca_path,
            clock=SystemClock(),
            timeout=1.5,
            tuning=Tuning(back_off=0.001, ping_after=0.3, pong_timeout=0.3, drain=0.5),
        )
        async with client:
            yield Bench(simulator, client, token, device.id)


HARMLESS: list[dict[str, Any]] = [
    {"kind": "delay", "delay_ms": 2, "jitter_ms": 3},
    {"kind": "delay", "delay_ms": 1, "jitter_ms": 5, "reorder": True},
    {"kind": "reset", "code": "REFUSED_STREAM", "share": 0.3},
    {"kind": "goaway", "share": 0.02},
    {"kind": "goaway", "style": "announced", "next": 2},
    {"kind": "goaway", "style": "double", "reason": "Shutdown", "share": 0.02},
    {"kind": "goaway", "debug": "Maximum active streams violated for this endpoint.", "code": 7, "share": 0.02},
    {"kind": "streamLimit", "stream_limit": 1, "next": 1},
    {"kind": "split", "next": 1},
    {"kind": "shuffle", "hold": 8, "share": 0.5},
    {"kind": "drop", "next": 1},
    {"kind": "tls", "alert": "internal_error", "next": 1},
]


@pytest.mark.parametrize("fault", HARMLESS, ids=lambda fault: "-".join(map(str, fault.values())))
async def test_what_costs_nothing(bench: Bench, fault: dict[str, Any]) -> None:
    """CONN-13, CONN-18, CONN-21, CONN-22: late, refused, retired, cut up, shuffled: all are accepted in the end."""
    bench.simulator.faults.add(**fault)
    assert await bench.send() == {"Accepted": COUNT}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 503, "reason": "ServiceUnavailable", "share": 0.2}, "Rejected"),
        ({"status": 599, "reason": "NeverHeardOf", "share": 0.2}, "Rejected"),
        ({"reason": "Unregistered", "timestamp": 1, "share": 0.2}, "Rejected"),
        ({"status": 500, "body": "<html>", "share": 0.2}, "Rejected"),
        ({"kind": "reset", "code": "INTERNAL_ERROR", "share": 0.2}, "Unknown"),
        ({"kind": "reset", "code": "CANCEL", "processed": False, "share": 0.2}, "Unknown"),
        ({"kind": "silence", "next": 5}, "Unknown"),
        ({"kind": "silence", "processed": False, "next": 5}, "Unknown"),
        ({"kind": "close", "next": 3}, "Unknown"),
        ({"kind": "goaway", "style": "abrupt", "next": 3}, "Unknown"),
        ({"kind": "halfOpen", "next": 1}, "Unknown"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
async def test_what_costs_some(bench: Bench, fault: dict[str, Any], kind: str) -> None:
    """ERR-5, CONN-27, SUR-6: what is refused or in doubt is told as such, the rest is accepted, and it goes on."""
    assert await bench.send(1) == {"Accepted": 1}  # the first of a connection goes alone (CONN-14)
    bench.simulator.faults.add(**fault)
    assert set(await bench.send()) == {"Accepted", kind}
    bench.simulator.faults.clear()
    assert await bench.send(20) == {"Accepted": 20}


async def test_a_port_that_is_closed_for_a_while(bench: Bench) -> None:
    """A refused connection sends nothing: the push is told as not sent, and the next goes out when the port is back."""
    fault = bench.simulator.faults.add(kind="refuse")
    assert await bench.send(3) == {"NotSent": 3}
    bench.simulator.faults.remove(fault.id)
    assert await bench.send() == {"Accepted": COUNT}


async def test_a_wedged_connection_is_replaced(bench: Bench) -> None:
    """TOK-22, SUR-5, CONN-28: 500 for ever on one connection; the engine leaves it."""
    bench.simulator.faults.add(kind="wedge", after_expiry=False, next=1)
    kinds = await bench.send()
    assert set(kinds) == {"Accepted", "Rejected"}
    assert bench.simulator.apns.journal.connections > 1


class TestNarrow:
    """The settings that 9.3 wants switchable, all at once."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            falls_to_one=True,
            retire_after_requests=40,
            cut_after_errors=20,
            one_stream_first=True,
            round_trip_ms=2,
        )

    async def test_everything_at_once(self, bench: Bench) -> None:
        """CONN-14, CONN-15, CONN-17, CONN-22, ERR-4: limits that fall, retirements, a round trip: one outcome each."""
        bench.simulator.faults.add(reason="BadDeviceToken", share=0.05)
        kinds = await bench.send()
        assert set(kinds) == {"Accepted", "Rejected"}
        assert kinds["Rejected"] < COUNT // 4
        assert bench.simulator.apns.journal.connections >= 5
