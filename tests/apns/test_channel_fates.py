"""The channel API over TLS: what is sent again and what never, deadlines, hosts, the end (apns-rules 6.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.apns_server import ApnsServer, Peer, header, hold
from support.callers import (
    BUNDLE,
    CALLS,
    CHANNEL,
    CREATED,
    DESCRIBED,
    STORED,
    MakeChannels,
    answer,
    close_all,
    failure,
    respond,
)
from support.manual_clock import ManualClock

from heliogram.apns import (
    ChannelClient,
    Endpoint,
    Environment,
    SigningKey,
)
from heliogram.apns.channels import STREAMS_LIMIT
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


# ---- what is sent again, and what never


async def test_one_stream_until_authenticated(server: ApnsServer, make_channels: MakeChannels) -> None:
    """The first call goes alone, whatever the advertised limit (CONN-14)."""
    server.on_request = hold
    client = make_channels()
    running = [asyncio.ensure_future(client.create(STORED)) for _ in range(3)]
    await server.received(1)
    assert server.peers[0].session.open_streams == 1
    server.on_request = CREATED
    CREATED(server.peers[0], server.requests[0])
    assert await asyncio.gather(*running) == [CHANNEL] * 3


@pytest.mark.parametrize("call", CALLS)
async def test_refused_stream_is_sent_again(server: ApnsServer, make_channels: MakeChannels, call: str) -> None:
    """REFUSED_STREAM is not processed: the same request again, id and all (CONN-17)."""

    def refuse_once(peer: Peer, request: Received) -> None:
        if len(server.requests) == 1:
            peer.refuse(request)
        else:
            body = {"read": DESCRIBED, "list": b'{"channels":[]}'}.get(call, b"")
            respond(peer, request, 200, body, (b"apns-channel-id", CHANNEL.encode()))

    server.on_request = refuse_once
    await CALLS[call](make_channels())
    first, second = server.requests
    assert (first.headers, first.body) == (second.headers, second.body)


async def test_goaway_hands_back(server: ApnsServer, make_channels: MakeChannels) -> None:
    """Above the last stream id of a GOAWAY a call moves to a new connection, up to it the answer counts (CONN-22)."""
    client = make_channels()
    server.on_request = answer(204)
    await client.delete(CHANNEL)
    server.on_request = hold
    running = [asyncio.ensure_future(client.create(STORED)) for _ in range(2)]
    await server.received(3)
    old = server.peers[0]
    server.on_request = answer(201, b"", (b"apns-channel-id", b"new"))
    old.goaway(last=server.requests[1].stream_id)
    await server.connected(2)
    respond(old, server.requests[1], 201, b"", (b"apns-channel-id", b"old"))
    assert await asyncio.gather(*running) == ["old", "new"]
    assert header(server.requests[3], b"apns-request-id") == header(server.requests[2], b"apns-request-id")


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.parametrize("call", CALLS)
async def test_what_was_written_is_not_sent_again(
    server: ApnsServer, make_channels: MakeChannels, call: str, how: str
) -> None:
    """A connection or stream that ends without an answer leaves it open whether the call was done."""

    def end(peer: Peer, request: Received) -> None:
        if how == "cut":
            peer.cut()
        else:
            peer.reset(request, 2)

    server.on_request = end
    error = await failure(CALLS[call](make_channels()))
    assert (error.status, error.reason, error.may_have_happened) == (None, "", True)
    assert ("list()" in error.what_to_do) == (call in ("create", "delete"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 30), (5, 5)])
async def test_deadline_of_a_written_call(
    server: ApnsServer, make_channels: MakeChannels, clock: ManualClock, timeout: float | None, seconds: float
) -> None:
    """Without an answer a call ends at its deadline, its stream is cancelled, and it may have been done."""
    server.on_request = hold
    running = asyncio.ensure_future(make_channels().create(STORED, timeout=timeout))
    await server.received(1)
    clock.advance(seconds - 0.1)
    assert not server.peers[0].resets
    clock.advance(0.1)
    error = await failure(_of(running))
    assert error.may_have_happened
    assert "deadline" in str(error)
    await server.until(lambda: [one.code for one in server.peers[0].resets] == [8])


async def test_deadline_of_a_waiting_call(server: ApnsServer, make_channels: MakeChannels, clock: ManualClock) -> None:
    """A call that was never written provably changed nothing."""
    server.on_request = hold
    client = make_channels()
    first = asyncio.ensure_future(client.list())
    await server.received(1)
    second = asyncio.ensure_future(client.create(STORED, timeout=5))
    await asyncio.sleep(0)
    clock.advance(5)
    assert not (await failure(_of(second))).may_have_happened
    respond(server.peers[0], server.requests[0], 200, b'{"channels":[]}')
    assert await first == []
    assert len(server.requests) == 1


async def test_no_connection(server: ApnsServer, make_channels: MakeChannels) -> None:
    """When nothing can be reached the error says that nothing was done."""

    async def fail(*_: object) -> object:
        raise OSError("no route")

    error = await failure(make_channels(connect=fail, connect_attempts=1).create(STORED))
    assert not error.may_have_happened
    assert "no route" in str(error)
    assert error.what_to_do == "call again"


async def test_cancelled_while_it_waits(server: ApnsServer, make_channels: MakeChannels) -> None:
    """A call that is cancelled before it was written is never sent."""
    server.on_request = hold
    client = make_channels()
    first = asyncio.ensure_future(client.list())
    await server.received(1)
    second = asyncio.ensure_future(client.create(STORED))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    server.on_request = answer(204)
    respond(server.peers[0], server.requests[0], 200, b'{"channels":[]}')
    await first
    await client.delete(CHANNEL)
    assert [header(one, b":method") for one in server.requests] == [b"GET", b"DELETE"]


@pytest.mark.parametrize("calls", [STREAMS_LIMIT, STREAMS_LIMIT + 1])
async def test_calls_side_by_side(server: ApnsServer, make_channels: MakeChannels, calls: int) -> None:
    """16 calls are open at a time; one more waits, and gets its turn."""
    client = make_channels(max_connections=1)
    server.on_request = answer(204)
    await client.delete(CHANNEL)
    server.on_request = hold
    running = [asyncio.ensure_future(client.delete(CHANNEL)) for _ in range(calls)]
    await server.received(1 + STREAMS_LIMIT)
    peer = server.peers[0]
    assert peer.session.open_streams == STREAMS_LIMIT
    assert f"{STREAMS_LIMIT} in flight, {calls - STREAMS_LIMIT} waiting" in repr(client)
    server.on_request = answer(204)
    for request in server.requests[1:]:
        respond(peer, request, 204)
    await asyncio.gather(*running)
    assert len(server.requests) == 1 + calls


# ---- hosts and the end


@pytest.mark.parametrize(
    ("environment", "endpoint", "host", "port"),
    [
        (Environment.PRODUCTION, None, "api-manage-broadcast.push.apple.com", 2196),
        ("sandbox", None, "api-manage-broadcast.sandbox.push.apple.com", 2195),
        (Environment.PRODUCTION, "localhost:1", "localhost", 1),
    ],
)
async def test_hosts(
    make_channels: MakeChannels, environment: Environment | str, endpoint: str | None, host: str, port: int
) -> None:
    """Channels have hosts and ports of their own (CONN-3), which can be set."""
    dialed: list[Endpoint] = []

    async def note(factory: object, where: Endpoint, context: object) -> object:
        dialed.append(where)
        raise OSError("enough")

    client = make_channels(environment=environment, endpoint=endpoint, connect=note, connect_attempts=1)
    await failure(client.list())
    assert dialed == [Endpoint(host, port)]


def test_repr(signing_key: SigningKey) -> None:
    """The text for people has the app and the counts; one connection is enough unless told otherwise."""
    shown = repr(ChannelClient(signing_key, bundle_id=BUNDLE))
    assert shown == (
        "<ChannelClient com.example.app, <Pool api-manage-broadcast.push.apple.com:2196: 0 of 1 connections, "
        "0 leaving, 0 in flight, 0 waiting>>"
    )
    assert "0 of 2 connections" in repr(ChannelClient(signing_key, bundle_id=BUNDLE, max_connections=2))


async def test_closed_client(server: ApnsServer, make_channels: MakeChannels) -> None:
    """After `close` a call fails without a connection, and nothing was done."""
    client = make_channels()
    await client.close()
    await client.close()
    error = await failure(client.create(STORED))
    assert not error.may_have_happened
    assert "closed" in str(error)
    assert server.peers == []


async def test_close_lets_calls_finish(server: ApnsServer, make_channels: MakeChannels) -> None:
    """`async with` ends when what is on its way has its answer."""
    server.on_request = hold
    async with make_channels() as client:
        running = asyncio.ensure_future(client.create(STORED))
        await server.received(1)
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0)
        CREATED(server.peers[0], server.requests[0])
    await closing
    assert await running == CHANNEL
    await server.until(lambda: server.peers[0].closed)


async def test_close_ends_what_does_not_finish(
    server: ApnsServer, make_channels: MakeChannels, clock: ManualClock
) -> None:
    """A call that has no answer when the drain is over ends as an error, open whether it was done."""
    server.on_request = hold
    client = make_channels()
    running = asyncio.ensure_future(client.create(STORED))
    await server.received(1)
    await close_all([client], clock)
    assert (await failure(_of(running))).may_have_happened


async def test_reconnect(server: ApnsServer, make_channels: MakeChannels) -> None:
    """`reconnect` replaces the connection in peace (TOK-20)."""
    server.on_request = answer(204)
    client = make_channels()
    await client.delete(CHANNEL)
    client.reconnect()
    await client.delete(CHANNEL)
    assert [len(peer.requests) for peer in server.peers] == [1, 1]


async def _of(task: asyncio.Future[Any]) -> object:
    return await task
