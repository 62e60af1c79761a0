"""Pushes leave in the middle of a long pass of the event loop: with a peer far away its end would be too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from support.credentials import make_key
from support.engine import HELLO, all_accepted, tokens
from support.manual_clock import ManualClock

from heliogram.apns import Client
from heliogram.wire import Received, ServerSession

pytestmark = pytest.mark.anyio
STREAMS = 900


class FarAway(asyncio.Transport):
    """A server behind a transport in memory; what it says is heard when the test says so, all at once."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.session = ServerSession(stream_limit=STREAMS, connection_window=1 << 24)
        self.writes: list[int] = []
        """Requests in each write."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever full here."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        requests = [event for event in self.session.feed(bytes(data)) if isinstance(event, Received)]
        self.writes.append(len(requests))
        for request in requests:
            self.session.respond(request.stream_id, 200, ((b"apns-id", dict(request.headers)[b"apns-id"]),))

    def hear(self) -> None:
        """All answers since the last time, in one read."""
        self.protocol.data_received(self.session.take())

    def close(self) -> None:
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class Net:
    """The connections that were made."""

    def __init__(self) -> None:
        self.made: list[FarAway] = []

    async def connect(self, factory: object, endpoint: object, context: object) -> None:
        protocol = cast(asyncio.Protocol, factory())  # type: ignore[operator]
        self.made.append(FarAway(protocol))
        protocol.connection_made(self.made[-1])


@pytest.fixture
async def net() -> Net:
    return Net()


@pytest.fixture
async def client(net: Net) -> AsyncIterator[Client]:
    made = Client(make_key(), topic="com.example.app", max_connections=1, connect=net.connect)
    yield made
    await made.close()


async def passes(is_so: Callable[[], bool]) -> None:
    """Let the event loop pass until it is so; nothing here waits for time or for the network."""
    for _ in range(100):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def proven(client: Client, net: Net) -> FarAway:
    """A connection that knows its stream limit and has had one push accepted."""
    first = client.send("ab" * 32, HELLO)
    await passes(lambda: bool(net.made))
    far = net.made[0]
    far.hear()
    await passes(lambda: sum(far.writes) > 0)
    far.hear()
    assert (await first).ok
    far.writes.clear()
    return far


async def test_many_sends_in_one_pass_are_written_in_pieces(client: Client, net: Net) -> None:
    """Of 900 sends in one pass of the event loop, the first are on the wire before the last are made."""
    far = await proven(client, net)
    futures = [client.send(token, HELLO) for token in tokens(STREAMS)]
    assert len([count for count in far.writes if count]) >= 3
    await asyncio.sleep(0)
    assert sum(far.writes) == STREAMS
    far.hear()
    assert all_accepted([await one for one in futures], STREAMS)


async def test_a_window_of_answers_lets_the_next_pushes_out_in_pieces(client: Client, net: Net) -> None:
    """When 900 answers come in one read, the room that the first ones make is used before the last ones are read."""
    far = await proven(client, net)
    futures = [client.send(token, HELLO) for token in tokens(2 * STREAMS)]
    await asyncio.sleep(0)
    assert sum(far.writes) == STREAMS
    far.writes.clear()
    far.hear()
    assert len([count for count in far.writes if count]) >= 2, "written while the answers were being read"
    await asyncio.sleep(0)
    assert sum(far.writes) == STREAMS
    far.hear()
    assert all_accepted([await one for one in futures], 2 * STREAMS)


async def test_a_connection_without_stream_ids_left_is_replaced(client: Client, net: Net) -> None:
    """Stream ids are used up at 2^31-1 (RFC 9113 §5.1.1): the pushes that are left go out on another connection."""
    far = await proven(client, net)
    old = client.pool.connections[0]
    old._session._next = 2**31 - 3
    futures = [client.send(token, HELLO) for token in tokens(3)]
    await passes(lambda: len(net.made) == 2)
    assert sum(far.writes) == 2
    far.hear()
    net.made[1].hear()
    await passes(lambda: sum(net.made[1].writes) > 0)
    net.made[1].hear()
    assert all_accepted([await one for one in futures], 3)
    assert old.cause.text == "its stream ids are used up"


async def test_few_free_streams_are_used_when_no_answers_come(net: Net) -> None:
    """Pushes wait for room that makes a write worthwhile, but not for answers that do not come."""
    clock = ManualClock()
    client = Client(make_key(), topic="com.example.app", max_connections=1, connect=net.connect, clock=clock)
    far = await proven(client, net)
    futures = [client.send(token, HELLO) for token in tokens(STREAMS - 10)]
    await asyncio.sleep(0)
    futures += [client.send(token, HELLO) for token in tokens(STREAMS + 10)[STREAMS - 10 :]]
    await asyncio.sleep(0)
    assert sum(far.writes) == STREAMS - 10
    clock.advance(0.1)
    await asyncio.sleep(0)
    assert sum(far.writes) == STREAMS
    far.hear()
    await passes(lambda: sum(far.writes) == STREAMS + 10)
    far.hear()
    assert all_accepted([await one for one in futures], STREAMS + 10)
    await client.close()
