"""The channel API over TLS: what is sent, what is read, what goes wrong (apns-rules 6.2 and 6.4)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from support.apns_server import ApnsServer, Peer, header, hold
from support.callers import BUNDLE, CHANNEL, REFUSALS, UUID, answer, close_all, names, refuse, respond
from support.manual_clock import ManualClock
from support.tls import Authority

from heliogram.apns import (
    Channel,
    ChannelClient,
    ChannelError,
    Endpoint,
    Environment,
    InvalidChannelRequest,
    MessageStoragePolicy,
    Retry,
    SigningKey,
)
from heliogram.apns.channels import BODY_LIMIT, CHANNELS_LIMIT, STREAMS_LIMIT
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

MakeChannels = Callable[..., ChannelClient]
STORED = MessageStoragePolicy.MOST_RECENT_MESSAGE_STORED
CREATED = answer(201, b"", (b"apns-channel-id", CHANNEL.encode()))
DESCRIBED = b'{"message-storage-policy":1,"push-type":"LiveActivity"}'
CALLS: dict[str, Callable[[ChannelClient], Coroutine[Any, Any, object]]] = {
    "create": lambda channels: channels.create(STORED),
    "read": lambda channels: channels.read(CHANNEL),
    "delete": lambda channels: channels.delete(CHANNEL),
    "list": lambda channels: channels.list(),
}


@pytest.fixture
async def make(
    anyio_backend: str, server: ApnsServer, authority: Authority, signing_key: SigningKey, clock: ManualClock
) -> AsyncIterator[MakeChannels]:
    made: list[ChannelClient] = []

    def make_one(**options: object) -> ChannelClient:
        chosen: dict[str, Any] = {"bundle_id": BUNDLE, "endpoint": server.endpoint, "clock": clock, **options}
        client = ChannelClient(signing_key, cafile=authority.cafile, **chosen)
        made.append(client)
        return client

    yield make_one
    await close_all(made, clock)


def described(request: Received) -> tuple[bytes, bytes, list[bytes]]:
    """Method, path and the other headers' names; the values that never change are checked here."""
    assert header(request, b":scheme") == b"https"
    assert header(request, b"authorization").startswith(b"bearer ")
    assert re.fullmatch(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", header(request, b"apns-request-id"))
    others = [name for name in names(request) if not name.startswith(b":")]
    return header(request, b":method"), header(request, b":path"), sorted(others)


async def failure(call: Coroutine[Any, Any, object]) -> ChannelError:
    """The error of a call that must fail."""
    with pytest.raises(ChannelError) as caught:
        await call
    return caught.value


# ---- the four calls


@pytest.mark.parametrize("policy", [0, 1, *MessageStoragePolicy])
async def test_create(server: ApnsServer, make: MakeChannels, policy: int) -> None:
    """POST with the policy and the push type; 201 has the channel's id in a header (BC-3)."""
    server.on_request = CREATED
    assert await make().create(policy) == CHANNEL
    [request] = server.requests
    path = b"/1/apps/com.example.app/channels"
    assert described(request) == (b"POST", path, [b"apns-request-id", b"authorization"])
    assert header(request, b":authority") == server.endpoint.encode()
    assert request.body == b'{"message-storage-policy":%d,"push-type":"LiveActivity"}' % policy


async def test_read(server: ApnsServer, make: MakeChannels) -> None:
    """GET without a body, the channel in a header; 200 describes it."""
    server.on_request = answer(200, DESCRIBED)
    assert await make().read(CHANNEL, request_id=UUID) == Channel(STORED, "LiveActivity", CHANNEL, UUID)
    [request] = server.requests
    fields = [b"apns-channel-id", b"apns-request-id", b"authorization"]
    assert described(request) == (b"GET", b"/1/apps/com.example.app/channels", fields)
    assert header(request, b"apns-channel-id") == CHANNEL.encode()
    assert request.size == 0


async def test_delete(server: ApnsServer, make: MakeChannels) -> None:
    """DELETE without a body, the channel in a header; 204 says that it is gone."""
    server.on_request = answer(204)
    await make().delete(CHANNEL)
    [request] = server.requests
    fields = [b"apns-channel-id", b"apns-request-id", b"authorization"]
    assert described(request) == (b"DELETE", b"/1/apps/com.example.app/channels", fields)
    assert header(request, b"apns-channel-id") == CHANNEL.encode()
    assert request.size == 0


@pytest.mark.parametrize("ids", [[], [CHANNEL], ["a", "b+/="]])
async def test_list(server: ApnsServer, make: MakeChannels, ids: list[str]) -> None:
    """GET of all-channels; 200 lists the ids."""
    server.on_request = answer(200, json.dumps({"channels": ids}).encode())
    assert await make().list() == ids
    [request] = server.requests
    fields = [b"apns-request-id", b"authorization"]
    assert described(request) == (b"GET", b"/1/apps/com.example.app/all-channels", fields)
    assert request.size == 0


async def test_one_connection_serves_all_calls(server: ApnsServer, make: MakeChannels) -> None:
    """Every 2xx proves the credential, 201 and 204 too: the calls that follow go side by side (CONN-14)."""
    client = make()
    server.on_request = answer(204)
    await client.delete(CHANNEL)
    server.on_request = hold
    running = [asyncio.ensure_future(client.read(CHANNEL)) for _ in range(3)]
    await server.received(4)
    assert server.peers[0].session.open_streams == 3
    for request in reversed(server.requests[1:]):
        respond(server.peers[0], request, 200, DESCRIBED)
    assert [one.policy for one in await asyncio.gather(*running)] == [STORED] * 3
    assert len(server.peers) == 1


async def test_concurrent_answers_find_their_callers(server: ApnsServer, make: MakeChannels) -> None:
    """Answers that come in another order than the calls belong to the right ones."""
    client = make()
    server.on_request = answer(204)
    await client.delete(CHANNEL)
    server.on_request = hold
    running = [asyncio.ensure_future(client.create(STORED)) for _ in range(10)]
    await server.received(11)
    for request in reversed(server.requests[1:]):
        channel = b"channel%d" % request.stream_id
        respond(server.peers[0], request, 201, b"", (b"apns-channel-id", channel))
    assert await asyncio.gather(*running) == [f"channel{one.stream_id}" for one in server.requests[1:]]


# ---- ids of requests


@pytest.mark.parametrize("call", ["create", "read", "delete", "list"])
async def test_own_request_id(server: ApnsServer, make: MakeChannels, call: str) -> None:
    """A request id of one's own is sent in lower case, and a failure has it."""
    server.on_request = refuse(400, "FeatureNotEnabled")
    client = make()
    argument: tuple[Any, ...] = {"create": (STORED,), "list": ()}.get(call, (CHANNEL,))
    error = await failure(getattr(client, call)(*argument, request_id=UUID.upper()))
    assert header(server.requests[0], b"apns-request-id") == UUID.encode()
    assert error.request_id == UUID
    assert error.call == call


async def test_request_id_of_the_answer(server: ApnsServer, make: MakeChannels) -> None:
    """When APNs answers with an id of its own, that one is told (6.2)."""

    def other(peer: Peer, request: Received) -> None:
        peer.session.respond(request.stream_id, 200, ((b"apns-request-id", b"THEIRS"),), DESCRIBED)
        peer.flush()

    server.on_request = other
    assert (await make().read(CHANNEL)).request_id == "THEIRS"


# ---- what APNs refuses


@pytest.mark.parametrize("call", CALLS)
async def test_each_reason(server: ApnsServer, make: MakeChannels, call: str) -> None:
    """Every row of 6.4 ends the call at once, with status, reason and what to do."""
    client = make()
    for count, (status, reason) in enumerate(REFUSALS, 1):
        server.on_request = answer(204)
        await client.delete(CHANNEL)  # what comes on a connection that is known to work
        server.on_request = refuse(status, reason)
        error = await failure(CALLS[call](client))
        assert (error.status, error.reason) == (status, reason)
        assert error.policy is not None
        assert error.policy.name == reason
        assert error.may_have_happened == (status >= 500)
        assert all(part in str(error) for part in (call, str(status), reason, error.what_to_do, error.request_id))
        assert len(server.requests) == 2 * count


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (400, "ChannelNotRegistered", "mend that"),
        (429, "TooManyRequests", "call again later"),
        (413, "PayloadTooLarge", "the same call will be refused again"),
        (500, "InternalServerError", "15 minutes"),
        (503, "Shutdown", "call again"),
        (418, "FromTheFuture", "mend that"),
    ],
)
async def test_what_to_do(server: ApnsServer, make: MakeChannels, status: int, reason: str, advice: str) -> None:
    """The advice follows the reason's rule for repeating, also for a reason nobody has seen (ERR-5)."""
    server.on_request = refuse(status, reason)
    assert advice in (await failure(make().read(CHANNEL))).what_to_do


async def test_expired_token_is_repeated_once(server: ApnsServer, make: MakeChannels) -> None:
    """`ExpiredProviderToken` is a proof that nothing was done: once more on a new connection, then no more."""
    client = make()
    server.on_request = answer(204)
    await client.delete(CHANNEL)
    server.on_request = refuse(403, "ExpiredProviderToken")
    error = await failure(client.create(STORED))
    assert error.policy is not None
    assert error.policy.retry is Retry.NEW_CONNECTION
    assert [len(peer.requests) for peer in server.peers] == [2, 1]


async def test_retry_after(server: ApnsServer, make: MakeChannels) -> None:
    """A `retry-after` in seconds is handed on (RESP-7)."""
    server.on_request = answer(429, b'{"reason":"TooManyRequests"}', (b"retry-after", b"17"))
    assert (await failure(make().list())).retry_after == 17


# ---- answers that make no sense


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"message-storage-policy":2,"push-type":"LiveActivity"}',
        b'{"message-storage-policy":1}',
        b"[" * 100_000,
    ],
)
async def test_unreadable_description(server: ApnsServer, make: MakeChannels, body: bytes) -> None:
    """A success whose body is no description of a channel is an error that says so."""
    server.on_request = answer(200, body)
    error = await failure(make().read(CHANNEL))
    assert (error.status, error.reason, error.policy) == (200, "", None)
    assert "cannot be read" in str(error)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"channels":null}', b'{"channels":[1]}'])
async def test_unreadable_list(server: ApnsServer, make: MakeChannels, body: bytes) -> None:
    """An answer without a list is never taken for the empty list."""
    server.on_request = answer(200, body)
    assert "cannot be read" in str(await failure(make().list()))


async def test_created_without_an_id(server: ApnsServer, make: MakeChannels) -> None:
    """A 201 without the channel's id may have made a channel; the error points at list()."""
    server.on_request = answer(201)
    error = await failure(make().create(STORED))
    assert error.may_have_happened
    assert "no apns-channel-id" in str(error)
    assert "list()" in error.what_to_do


async def test_full_list(server: ApnsServer, make: MakeChannels) -> None:
    """As many channels as an app may have fit, with ids as long as they may be (BC-2)."""
    ids = [f"{i:0256}" for i in range(CHANNELS_LIMIT)]
    server.on_request = answer(200, json.dumps({"channels": ids}, separators=(",", ":")).encode())
    assert await make().list() == ids


@pytest.mark.parametrize("more", [0, 1])
async def test_largest_answer(server: ApnsServer, make: MakeChannels, more: int) -> None:
    """An answer may have `BODY_LIMIT` bytes, and not one more."""
    server.on_request = answer(200, b'{"channels":["a"]}'.ljust(BODY_LIMIT + more))
    if more:
        assert f"more than {BODY_LIMIT} bytes" in str(await failure(make().list()))
    else:
        assert await make().list() == ["a"]


# ---- what is refused here


@pytest.mark.parametrize("channel", ["", "ä", "a b", "a\r\nb", "a" * 257, None, b"abc"])
@pytest.mark.parametrize("call", ["read", "delete"])
async def test_bad_channel_id(server: ApnsServer, make: MakeChannels, call: str, channel: Any) -> None:
    """What cannot be a channel's id is refused before the wire (`BadChannelId`)."""
    with pytest.raises(InvalidChannelRequest) as caught:
        await getattr(make(), call)(channel)
    assert caught.value.field == "channel_id"
    assert server.peers == []


async def test_longest_channel_id(server: ApnsServer, make: MakeChannels) -> None:
    """256 characters of base64 are sent, of either alphabet."""
    server.on_request = answer(204)
    await make().delete("aZ09+/-_=".ljust(256, "A"))
    assert len(header(server.requests[0], b"apns-channel-id")) == 256


@pytest.mark.parametrize("policy", [2, -1, True, None, "0"])
async def test_bad_policy(server: ApnsServer, make: MakeChannels, policy: Any) -> None:
    """There are two storage policies (BC-3, BC-4)."""
    with pytest.raises(InvalidChannelRequest, match="policy"):
        await make().create(policy)
    assert server.peers == []


@pytest.mark.parametrize("request_id", ["", "42", UUID + "0", UUID[:-1], UUID.replace("-", ""), 42])
async def test_bad_request_id(server: ApnsServer, make: MakeChannels, request_id: Any) -> None:
    """A request id is a UUID in its usual form."""
    with pytest.raises(InvalidChannelRequest, match="request_id"):
        await make().list(request_id=request_id)


@pytest.mark.parametrize(
    "bundle", ["", "a/b", "a?b", "a b", "ä", "a" * 256, None, "com.example.app.push-type.liveactivity"]
)
async def test_bad_bundle_id(make: MakeChannels, bundle: Any) -> None:
    """The bundle id goes into the path, without a suffix (`TopicDisallowed`)."""
    with pytest.raises(InvalidChannelRequest, match="bundle_id"):
        make(bundle_id=bundle)


async def test_longest_bundle_id(server: ApnsServer, make: MakeChannels) -> None:
    """255 characters are sent."""
    server.on_request = answer(204)
    await make(bundle_id="a" * 255).delete(CHANNEL)
    assert header(server.requests[0], b":path") == b"/1/apps/" + b"a" * 255 + b"/channels"


# ---- what is sent again, and what never


async def test_one_stream_until_authenticated(server: ApnsServer, make: MakeChannels) -> None:
    """The first call goes alone, whatever the advertised limit (CONN-14)."""
    server.on_request = hold
    client = make()
    running = [asyncio.ensure_future(client.create(STORED)) for _ in range(3)]
    await server.received(1)
    assert server.peers[0].session.open_streams == 1
    server.on_request = CREATED
    CREATED(server.peers[0], server.requests[0])
    assert await asyncio.gather(*running) == [CHANNEL] * 3


@pytest.mark.parametrize("call", CALLS)
async def test_refused_stream_is_sent_again(server: ApnsServer, make: MakeChannels, call: str) -> None:
    """REFUSED_STREAM is not processed: the same request again, id and all (CONN-17)."""

    def refuse_once(peer: Peer, request: Received) -> None:
        if len(server.requests) == 1:
            peer.refuse(request)
        else:
            body = {"read": DESCRIBED, "list": b'{"channels":[]}'}.get(call, b"")
            respond(peer, request, 200, body, (b"apns-channel-id", CHANNEL.encode()))

    server.on_request = refuse_once
    await CALLS[call](make())
    first, second = server.requests
    assert (first.headers, first.body) == (second.headers, second.body)


async def test_goaway_hands_back(server: ApnsServer, make: MakeChannels) -> None:
    """Above the last stream id of a GOAWAY a call moves to a new connection, up to it the answer counts (CONN-22)."""
    client = make()
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
async def test_what_was_written_is_not_sent_again(server: ApnsServer, make: MakeChannels, call: str, how: str) -> None:
    """A connection or stream that ends without an answer leaves it open whether the call was done."""

    def end(peer: Peer, request: Received) -> None:
        if how == "cut":
            peer.cut()
        else:
            peer.reset(request, 2)

    server.on_request = end
    error = await failure(CALLS[call](make()))
    assert (error.status, error.reason, error.may_have_happened) == (None, "", True)
    assert ("list()" in error.what_to_do) == (call in ("create", "delete"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 30), (5, 5)])
async def test_deadline_of_a_written_call(
    server: ApnsServer, make: MakeChannels, clock: ManualClock, timeout: float | None, seconds: float
) -> None:
    """Without an answer a call ends at its deadline, its stream is cancelled, and it may have been done."""
    server.on_request = hold
    running = asyncio.ensure_future(make().create(STORED, timeout=timeout))
    await server.received(1)
    clock.advance(seconds - 0.1)
    assert not server.peers[0].resets
    clock.advance(0.1)
    error = await failure(_of(running))
    assert error.may_have_happened
    assert "deadline" in str(error)
    await server.until(lambda: [one.code for one in server.peers[0].resets] == [8])


async def test_deadline_of_a_waiting_call(server: ApnsServer, make: MakeChannels, clock: ManualClock) -> None:
    """A call that was never written provably changed nothing."""
    server.on_request = hold
    client = make()
    first = asyncio.ensure_future(client.list())
    await server.received(1)
    second = asyncio.ensure_future(client.create(STORED, timeout=5))
    await asyncio.sleep(0)
    clock.advance(5)
    assert not (await failure(_of(second))).may_have_happened
    respond(server.peers[0], server.requests[0], 200, b'{"channels":[]}')
    assert await first == []
    assert len(server.requests) == 1


async def test_no_connection(server: ApnsServer, make: MakeChannels) -> None:
    """When nothing can be reached the error says that nothing was done."""

    async def fail(*_: object) -> object:
        raise OSError("no route")

    error = await failure(make(connect=fail, connect_attempts=1).create(STORED))
    assert not error.may_have_happened
    assert "no route" in str(error)
    assert error.what_to_do == "call again"


async def test_cancelled_while_it_waits(server: ApnsServer, make: MakeChannels) -> None:
    """A call that is cancelled before it was written is never sent."""
    server.on_request = hold
    client = make()
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
async def test_calls_side_by_side(server: ApnsServer, make: MakeChannels, calls: int) -> None:
    """16 calls are open at a time; one more waits, and gets its turn."""
    client = make(max_connections=1)
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
    make: MakeChannels, environment: Environment | str, endpoint: str | None, host: str, port: int
) -> None:
    """Channels have hosts and ports of their own (CONN-3), which can be set."""
    dialed: list[Endpoint] = []

    async def note(factory: object, where: Endpoint, context: object) -> object:
        dialed.append(where)
        raise OSError("enough")

    client = make(environment=environment, endpoint=endpoint, connect=note, connect_attempts=1)
    await failure(client.list())
    assert dialed == [Endpoint(host, port)]


async def test_closed_client(server: ApnsServer, make: MakeChannels) -> None:
    """After `close` a call fails without a connection, and nothing was done."""
    client = make()
    await client.close()
    await client.close()
    error = await failure(client.create(STORED))
    assert not error.may_have_happened
    assert "closed" in str(error)
    assert server.peers == []


async def test_close_lets_calls_finish(server: ApnsServer, make: MakeChannels) -> None:
    """`async with` ends when what is on its way has its answer."""
    server.on_request = hold
    async with make() as client:
        running = asyncio.ensure_future(client.create(STORED))
        await server.received(1)
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0)
        CREATED(server.peers[0], server.requests[0])
    await closing
    assert await running == CHANNEL
    await server.until(lambda: server.peers[0].closed)


async def test_close_ends_what_does_not_finish(server: ApnsServer, make: MakeChannels, clock: ManualClock) -> None:
    """A call that has no answer when the drain is over ends as an error, open whether it was done."""
    server.on_request = hold
    client = make()
    running = asyncio.ensure_future(client.create(STORED))
    await server.received(1)
    await close_all([client], clock)
    assert (await failure(_of(running))).may_have_happened


async def test_reconnect(server: ApnsServer, make: MakeChannels) -> None:
    """`reconnect` replaces the connection in peace (TOK-20)."""
    server.on_request = answer(204)
    client = make()
    await client.delete(CHANNEL)
    client.reconnect()
    await client.delete(CHANNEL)
    assert [len(peer.requests) for peer in server.peers] == [1, 1]


async def _of(task: asyncio.Future[Any]) -> object:
    return await task
