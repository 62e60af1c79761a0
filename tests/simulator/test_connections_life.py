"""What happens to connections over time: retirement, idleness, errors, the limit that falls to one."""

from __future__ import annotations

import asyncio

import pytest
from support.sim_client import World

from heliogram.simulator import Settings

pytestmark = pytest.mark.anyio
STREAMS = 3  # MAX_CONCURRENT_STREAMS


class TestRetirement:
    """GOAWAY after so many requests, or so long."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(retire_after_requests=3, retire_after_seconds=3600)

    async def test_after_requests(self, world: World) -> None:
        """CONN-22, CONN-23: the last request of its life is answered, then GOAWAY NO_ERROR, then the end."""
        client = await world.connect()
        for _ in range(3):
            assert (await client.push(world.token, world.bearer)).status == 200
        await client.closed
        assert client.goaways == [(0, 5, b"")]

    async def test_after_a_time(self, world: World) -> None:
        """CONN-23: age counts by the simulator's clock, without a request too."""
        client = await world.connect()
        await client.push(world.token, world.bearer)
        world.simulator.time.advance(3599)
        await client.push(world.token, world.bearer)
        assert not client.goaways
        world.simulator.time.advance(1)
        await client.closed
        assert client.goaways == [(0, 3, b"")]


class TestIdle:
    """A connection that says nothing."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(idle_seconds=60)

    async def test_idle_close(self, world: World) -> None:
        """Section 5: IdleTimeout as a GOAWAY; a PING keeps a connection (CONN-24)."""
        client, quiet = await world.connect(), await world.connect()
        await quiet.push(world.token, world.bearer)
        world.simulator.time.advance(40)
        client.h2.ping(b"12345678")
        client._flush()
        await client.push(world.token, world.bearer)
        world.simulator.time.advance(40)
        await quiet.closed
        assert quiet.goaways == [(0, 1, b'{"reason":"IdleTimeout"}')]
        assert (await client.push(world.token, world.bearer)).status == 200
        world.simulator.time.advance(60)
        await client.closed

    async def test_a_fresh_start_forgets_no_connection(self, world: World) -> None:
        """Connections stay when everything else is forgotten, and are closed when idle all the same."""
        client = await world.connect()
        await client.push(world.token, world.bearer)
        world.simulator.reset()
        world.simulator.time.advance(60)
        await client.closed
        assert client.goaways == [(0, 1, b'{"reason":"IdleTimeout"}')]


class TestErrors:
    """Too many errors."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(cut_after_errors=6)

    async def test_bad_device_tokens_cut_a_connection_fastest(self, world: World) -> None:
        """ERR-4: BadDeviceToken counts three times another error."""
        client = await world.connect()
        assert (await client.push("00" * 32, world.bearer)).reason == "BadDeviceToken"
        assert (await client.push("00" * 32, world.bearer)).reason == "BadDeviceToken"
        await client.closed
        other = await world.connect()
        for _ in range(6):
            assert not other.goaways
            assert (await other.push(world.token, world.bearer, topic=None)).reason == "MissingTopic"
        await other.closed

    async def test_410_does_not_count(self, world: World) -> None:
        """ERR-4: Unregistered is no error of that kind, and neither is 200."""
        client = await world.connect()
        old = world.token
        world.simulator.reinstall(world.device.id, "com.example.app")
        assert {(await client.push(old, world.bearer)).status for _ in range(20)} == {410}
        assert not client.closed.done()


class TestCollapse:
    """The stream limit that falls to one."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(falls_to_one=True)

    async def test_falls_to_one_and_rises(self, world: World) -> None:
        """CONN-17, SUR-3: a rejection announces 1 and refuses what is in flight, told twice; an accepted push 1000."""
        client = await world.connect()
        await client.push(world.token, world.bearer)
        client._quiet = True
        seen = len(client.raw)
        for bearer in (None, world.bearer, world.bearer):
            client.push(world.token, bearer)
        await world.push()
        raw = client.raw[seen:]
        limit = b"\0\0\6\4\0\0\0\0\0\0\3"
        assert raw.index(limit + b"\0\0\0\1") < raw.index(limit + b"\0\0\x03\xe8")
        refused = b"\0\0\4\3\0\0\0\0\5\0\0\0\7" + b"\0\0\4\3\0\0\0\0\5\0\0\0\5"
        assert refused in raw
        assert [one.status for one in world.simulator.requests()] == [200, 200, 403, 200]

    async def test_410_does_not_narrow(self, world: World) -> None:
        """CONN-17 with ERR-4: what is no error of the client's changes nothing."""
        old = world.token
        world.simulator.reinstall(world.device.id, "com.example.app")
        client = await world.connect()
        assert (await client.push(old, world.bearer)).status == 410
        await client.push(old, world.bearer)
        assert len(client.settings_seen) == 1


async def test_twenty_connections(world: World) -> None:
    """CONN-26: pushes over twenty connections are all answered."""
    clients = await asyncio.gather(*(world.connect() for _ in range(20)))
    replies = await asyncio.gather(*(client.push(world.token, world.bearer) for client in clients for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert world.simulator.connections == 20
    assert STREAMS in clients[0].settings_seen[0]
