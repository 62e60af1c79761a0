"""The engine under each reading of the 20 minutes between provider tokens, with the simulator as judge (TOK-9, TOK-10).

Nobody knows which reading APNs lives by. Under the first two the engine is never refused; under the third, which it
cannot meet with several keys of a team at once, its outcomes say so, and it comes back by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.engine import HELLO
from support.manual_clock import ManualClock

from heliogram.apns import (
    Client,
    ConnectionClosed,
    Listener,
    NotSent,
    Outcome,
    PushEnded,
    Rejected,
    SigningKey,
    Tuning,
)
from heliogram.apns.providertoken import SLOT
from heliogram.apns.rotation import PATIENCE
from heliogram.simulator import Settings, Simulator

pytestmark = pytest.mark.anyio

BUNDLE = "com.example.app"
TEAM = "DEF123GHIJ"
# Real handshakes take real time, of which the clock of a test knows nothing: nothing here may be too late by it.
QUIET = Tuning(ping_after=1e9, max_age=1e9, connect_timeout=1e6)


class Place:
    """A simulator with one phone, the clock of its APNs, and the clients of a test."""

    def __init__(self, simulator: Simulator, clock: ManualClock, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self.clock = clock
        self._stack = stack
        self.clocks = [clock]
        device = simulator.add_device("phone")
        simulator.install(device.id, BUNDLE, "production")
        token = simulator.launch(device.id, BUNDLE).device_token
        assert token is not None
        self.token = token

    def key(self, key_id: str, team_id: str = TEAM) -> SigningKey:
        """A key that the simulator knows."""
        private = ec.generate_private_key(ec.SECP256R1())
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.simulator.add_key(key_id, team_id, public.decode())
        return SigningKey(private, key_id=key_id, team_id=team_id)

    async def client(self, key: SigningKey, *, skew: float | None = None, **options: Any) -> Client:
        """A client; with a `skew` it is another process's, whose clock goes so many seconds fast."""
        clock = self.clock
        if skew is not None:
            clock = ManualClock(self.clock.wall + skew)
            self.clocks.append(clock)
        host, port = self.simulator.ports["production"]
        chosen: dict[str, Any] = {"max_connections": 1, "tuning": QUIET, "timeout": 1e6, **options}
        client = Client(
            key, topic=BUNDLE, endpoint=f"{host}:{port}", cafile=self.simulator.ca_path, clock=clock, **chosen
        )
        return await self._stack.enter_async_context(client)

    def wait(self, seconds: float) -> None:
        """Let time pass for everybody."""
        for clock in self.clocks:
            clock.advance(seconds)

    async def send(self, client: Client) -> Outcome:
        """One push to the phone."""
        return await client.send(self.token, HELLO)

    async def settled(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """What comes of a push that the engine puts off for a moment."""
        sent = asyncio.ensure_future(work)
        while not sent.done():
            await asyncio.sleep(0)
            self.wait(0.01)
        return sent.result()


MakePlace = Callable[..., Any]


@pytest.fixture
async def make_place(anyio_backend: str) -> AsyncIterator[MakePlace]:
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Place:
            clock = ManualClock()
            simulator = Simulator(clock=clock.time, random=random.Random(5), settings=Settings(**settings))
            return Place(await stack.enter_async_context(simulator), clock, stack)

        yield make


async def crowd(place: Place, key: SigningKey, rng: random.Random, skews: list[float | None]) -> list[Outcome]:
    """Nine clients send at odd times through six slots, and half of them reconnect now and then."""
    clients = [await place.client(key, skew=skews[at % len(skews)]) for at in range(9)]
    outcomes = []
    until = place.clock.elapsed + 6 * SLOT
    while place.clock.elapsed < until:
        for client in rng.sample(clients, 3):
            outcomes.append(await place.send(client))
            if rng.random() < 0.1:
                client.reconnect()
        place.wait(rng.choice([1, 30, 60, 240, 600]))
    return outcomes


def complaints(outcomes: list[Outcome]) -> list[Outcome]:
    return [one for one in outcomes if not one.ok]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("skews", [[None], [-240, 0, 240]], ids=["one-process", "clocks-off"])
@pytest.mark.parametrize(
    "settings",
    [{"token_floor": "connection", "token_changes": 1}, {"token_floor": "key"}, {"token_floor": "team"}],
    ids=["connection-to-the-letter", "key", "team"],
)
async def test_one_key_is_never_refused(
    make_place: MakePlace, settings: dict[str, Any], skews: list[float | None], seed: int
) -> None:
    """TOK-9, TOK-10: many connections of one key, in one process or in three with clocks 4 minutes off both ways."""
    place = await make_place(**settings)
    outcomes = await crowd(place, place.key("ABC123DEFG"), random.Random(seed), skews)
    assert len(outcomes) > 100
    assert complaints(outcomes) == []


async def test_several_keys_are_never_refused_by_key(make_place: MakePlace) -> None:
    """TOK-10, readings A and B: keys of one team in clients of their own do not get in each other's way."""
    place = await make_place(token_floor="key")
    clients = [await place.client(place.key(f"KEY{at:07}")) for at in range(5)]
    outcomes = []
    for turn in range(60):
        outcomes.append(await place.send(clients[turn % 5]))
        place.wait(SLOT / 8)
    assert complaints(outcomes) == []


async def test_rotation_is_never_refused_team_wide(make_place: MakePlace) -> None:
    """TOK-9, TOK-10: even when the team's tokens are counted together, two clients rotate their key in peace."""
    place = await make_place(token_floor="team")
    first, second = place.key("FIRST12345"), place.key("SECOND1234")
    place.wait(SLOT + 120 - place.clock.time() % SLOT)  # no slot ends during what follows
    clients = [await place.client(first), await place.client(first)]
    outcomes = [await place.send(one) for one in clients]
    assert [one.rotate(second) for one in clients] == [PATIENCE, PATIENCE]
    place.wait(PATIENCE)
    outcomes += [await place.send(one) for one in clients]
    assert complaints(outcomes) == []
    keys = {client.pool.connections[0].serial for client in clients}
    assert keys == {2}, "each on its second connection"


class Ear(Listener):
    """Keeps why pushes and connections ended."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.causes: list[str] = []

    def push_ended(self, event: PushEnded) -> None:
        if isinstance(event.outcome, Rejected):
            self.reasons.append(event.outcome.reason)

    def connection_closed(self, event: ConnectionClosed) -> None:
        self.causes.append(event.cause)


async def test_three_keys_team_wide_degrade_visibly_and_recover(
    make_place: MakePlace, caplog: pytest.LogCaptureFixture
) -> None:
    """TOK-10, team-wide: outcomes, listener and log name the reason, nothing hangs, 20 minutes later all is well."""
    caplog.set_level(logging.INFO, "heliogram.apns")
    place, ear = await make_place(token_floor="team"), Ear()
    place.wait(SLOT + 120 - place.clock.time() % SLOT)
    clients = [await place.client(place.key(f"KEY{at:07}"), listener=ear) for at in range(3)]
    assert [(await place.send(one)).ok for one in clients] == [True, True, False]

    for client in clients:  # the team is locked out, on new connections too
        place.wait(60)
        outcome = await place.send(client)
        assert isinstance(outcome, Rejected)
        assert (outcome.status, outcome.reason) == (429, "TooManyProviderTokenUpdates")
        assert "provider token" in outcome.policy.meaning

    place.wait(PATIENCE)
    assert [(await place.send(one)).ok for one in clients] == [True, True, True]
    for client in clients:
        await client.close()
    assert ear.reasons == ["TooManyProviderTokenUpdates"] * 4
    assert ear.causes.count("TooManyProviderTokenUpdates") == 4, "each such connection is replaced (CONN-28)"
    said = [one.getMessage() for one in caplog.records]
    assert sum("closed" in line and "TooManyProviderTokenUpdates" in line for line in said) == 4


async def test_a_burst_into_a_lock_out_ends(make_place: MakePlace) -> None:
    """TOK-10, team-wide: a thousand pushes during a lock-out all end, each with the reason, and none is repeated."""
    place = await make_place(token_floor="team")
    for at in range(2):
        await place.send(await place.client(place.key(f"KEY{at:07}")))
    client = await place.client(place.key("KEY0000002"), max_connections=4)
    outcomes: list[Outcome] = []
    async for outcome in client.send_many((place.token, HELLO) for _ in range(1000)):
        outcomes.append(outcome)
        place.wait(1)  # lets the next attempt begin
    assert len(outcomes) == 1000
    for outcome in outcomes:
        assert isinstance(outcome, Rejected | NotSent)
        said = outcome.reason if isinstance(outcome, Rejected) else outcome.cause
        assert "TooManyProviderTokenUpdates" in said
    asked = [one for one in place.simulator.requests(5000) if one.reason == "TooManyProviderTokenUpdates"]
    assert len(asked) == sum(isinstance(one, Rejected) for one in outcomes) < 100


async def test_three_idle_hours(make_place: MakePlace) -> None:
    """TOK-8, TOK-22: after three idle hours the old connection carries the first push, with a fresh token."""
    place = await make_place()
    client = await place.client(place.key("ABC123DEFG"))
    await place.send(client)
    place.wait(3 * 3600)
    assert (await place.send(client)).ok
    assert place.simulator.connections == 1


@pytest.mark.parametrize("skew", [-240, 240])
async def test_a_clock_four_minutes_off(make_place: MakePlace, skew: float) -> None:
    """TOK-8: neither a fast nor a slow clock makes a token that APNs refuses as expired or as from the future."""
    place = await make_place(token_changes=1)
    client = await place.client(place.key("ABC123DEFG"), skew=skew)
    outcomes = []
    for _ in range(100):
        outcomes.append(await place.send(client))
        place.wait(173)
    assert complaints(outcomes) == []


async def test_expired_in_the_eyes_of_apns(make_place: MakePlace) -> None:
    """TOK-8, TOK-22: with a clock hours slow a push says why it is refused, after one more try; setting it cures it."""
    place = await make_place()
    key = place.key("ABC123DEFG")
    client = await place.client(key, skew=-2 * 3600)
    outcome = await place.settled(place.send(client))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "ExpiredProviderToken"
    asked = [one.connection for one in place.simulator.requests()]
    assert len(asked) == len(set(asked)) == 2, "once more, on a new connection"
    place.clocks[-1].wall += 2 * 3600
    assert (await place.settled(place.send(client))).ok
