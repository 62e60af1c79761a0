"""The engine's channels and broadcasts against the project's own APNs, which shares no table with them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.callers import BUNDLE, CHANNEL, failure, goal
from support.manual_clock import ManualClock

from heliogram.apns import (
    Accepted,
    BroadcastClient,
    ChannelClient,
    Environment,
    MessageStoragePolicy,
    Rejected,
    SigningKey,
)
from heliogram.simulator import Settings, Simulator

pytestmark = pytest.mark.anyio

NONE, LATEST = MessageStoragePolicy.NO_MESSAGE_STORED, MessageStoragePolicy.MOST_RECENT_MESSAGE_STORED
KEY_ID, TEAM = "ABC123DEFG", "DEF123GHIJ"


class World:
    """A simulator, and the two clients of one environment on it."""

    def __init__(self, simulator: Simulator, clock: ManualClock, environment: Environment) -> None:
        self.simulator = simulator
        self.clock = clock
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.trust()
        name = environment.value
        here: dict[str, Any] = {"bundle_id": BUNDLE, "environment": environment, "clock": clock}
        here["cafile"] = simulator.ca_path
        key = SigningKey(self.private, key_id=KEY_ID, team_id=TEAM)
        self.channels = ChannelClient(key, endpoint=self._at(f"manage_{name}"), **here)
        self.broadcasts = BroadcastClient(key, endpoint=self._at(name), **here)

    def trust(self, topics: list[str] | None = None) -> None:
        public = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.simulator.add_key(KEY_ID, TEAM, public.decode(), topics=topics)

    def _at(self, listener: str) -> str:
        host, port = self.simulator.ports[listener]
        return f"{host}:{port}"

    def pass_time(self, seconds: float) -> None:
        self.clock.wall += seconds
        self.clock.elapsed += seconds


@pytest.fixture(params=list(Environment))
async def world(anyio_backend: str, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    clock = ManualClock()
    simulator = Simulator(clock=clock.time, random=random.Random(5), settings=Settings(channels_per_app=3))
    await simulator.start(manage_production="127.0.0.1:0", manage_sandbox="127.0.0.1:0")
    world = World(simulator, clock, request.param)
    async with simulator, world.channels, world.broadcasts:
        yield world


async def test_bc_3_the_life_of_a_channel(world: World) -> None:
    """BC-2, BC-3: created, read, listed, deleted, in either environment; the ids of requests come back."""
    channels = world.channels
    assert await channels.list() == []
    made = [await channels.create(NONE), await channels.create(LATEST)]
    assert await channels.list() == made
    for channel_id, policy in zip(made, (NONE, LATEST), strict=True):
        found = await channels.read(channel_id)
        assert (found.policy, found.push_type, found.channel_id) == (policy, "LiveActivity", channel_id)
    await channels.delete(made[0])
    assert await channels.list() == made[1:]


async def test_a_broadcast_reaches_the_devices_that_follow(world: World) -> None:
    """6.3: accepted with a unique id, and on the device; end, too."""
    channel_id = await world.channels.create(LATEST)
    channel = world.simulator.channels.channel(channel_id)
    device = world.simulator.add_device("phone")
    world.simulator.install(device.id, BUNDLE, channel.environment)
    world.simulator.channels.subscribe(device.id, BUNDLE, channel_id)
    sent = [
        world.broadcasts.send(channel_id, goal(event=event, expiration=int(world.clock.time()) + 60), policy=LATEST)
        for event in ("update", "end")
    ]
    outcomes = await asyncio.gather(*sent)
    assert all(isinstance(one, Accepted) and one.unique_id for one in outcomes)
    assert [each.reached for each in channel.broadcasts] == [1, 1]
    assert {each.arrival.apns_id.decode() for each in channel.broadcasts} == {one.apns_id for one in outcomes}


async def test_many_broadcasts_on_one_connection(world: World) -> None:
    """A hundred broadcasts at once are all accepted, in a row of connections that stays short."""
    channel_id = await world.channels.create(NONE)
    outcomes = await asyncio.gather(*(world.broadcasts.send(channel_id, goal(priority=1)) for _ in range(100)))
    assert all(one.ok for one in outcomes)
    assert world.simulator.channels.channel(channel_id).serial == 100


async def test_6_4_refusals_reach_the_caller(world: World) -> None:
    """6.4: the simulator's words for what goes wrong, with what to do and the request id."""
    unknown = await failure(world.channels.read(CHANNEL))
    assert (unknown.status, unknown.reason) == (400, "ChannelNotRegistered")
    assert unknown.request_id
    assert not unknown.may_have_happened
    for _ in range(3):
        await world.channels.create(NONE)
    full = await failure(world.channels.create(NONE))
    assert (full.status, full.reason) == (400, "CannotCreateChannelConfig")
    outcome = await world.broadcasts.send(CHANNEL, goal())
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.reason) == (400, "ChannelNotRegistered")
    [channel_id, *_] = await world.channels.list()
    outcome = await world.broadcasts.send(channel_id, goal(expiration=int(world.clock.time()) + 60))
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.reason) == (400, "BadExpirationDate")


async def test_6_4_a_key_without_the_app(world: World) -> None:
    """6.4: TopicMismatch for an app that is not among the key's, on both kinds of listener."""
    world.trust(["com.example.other"])
    refused = await failure(world.channels.list())
    assert (refused.status, refused.reason) == (403, "TopicMismatch")
    outcome = await world.broadcasts.send(CHANNEL, goal())
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.reason) == (403, "TopicMismatch")


async def test_tok_9_two_days_without_a_token_complaint(world: World) -> None:
    """TOK-8, TOK-9: calls and broadcasts over two days change their token in time, and not too often."""
    channel_id = await world.channels.create(NONE)
    rng = random.Random(7)
    for pause in (rng.choice([60, 600, 1200, 1800, 4000, 20_000]) for _ in range(40)):
        world.pass_time(pause)
        assert len(await world.channels.list()) == 1
        assert (await world.broadcasts.send(channel_id, goal())).ok
    assert set(world.simulator.apns.journal.outcomes) == {"Accepted"}
