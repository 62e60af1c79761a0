"""The channel API over TLS: what is sent, what is read, what is refused (apns-rules 6.2 and 6.4)."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from support.apns_server import ApnsServer, Peer, header, hold
from support.callers import (
    CALLS,
    CHANNEL,
    CREATED,
    DESCRIBED,
    REFUSALS,
    STORED,
    UUID,
    MakeChannels,
    answer,
    failure,
    names,
    refuse,
    respond,
)

from heliogram.apns import (
    Channel,
    InvalidChannelRequest,
    MessageStoragePolicy,
    Retry,
)
from heliogram.apns.channels import BODY_LIMIT, CHANNELS_LIMIT
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


def described(request: Received) -> tuple[bytes, bytes, list[bytes]]:
    """Method, path and the other headers' names; the values that never change are checked here."""
    assert header(request, b":scheme") == b"https"
    assert header(request, b"authorization").startswith(b"bearer ")
    assert re.fullmatch(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", header(request, b"apns-request-id"))
    others = [name for name in names(request) if not name.startswith(b":")]
    return header(request, b":method"), header(request, b":path"), sorted(others)


# ---- the four calls


@pytest.mark.parametrize("policy", [0, 1, *MessageStoragePolicy])
async def test_create(server: ApnsServer, make_channels: MakeChannels, policy: int) -> None:
    """POST with the policy and the push type; 201 has the channel's id in a header (BC-3)."""
    server.on_request = CREATED
    assert await make_channels().create(policy) == CHANNEL
    [request] = server.requests
    path = b"/1/apps/com.example.app/channels"
    assert described(request) == (b"POST", path, [b"apns-request-id", b"authorization"])
    assert header(request, b":authority") == server.endpoint.encode()
    assert request.body == b'{"message-storage-policy":%d,"push-type":"LiveActivity"}' % policy


async def test_read(server: ApnsServer, make_channels: MakeChannels) -> None:
    """GET without a body, the channel in a header; 200 describes it."""
    server.on_request = answer(200, DESCRIBED)
    assert await make_channels().read(CHANNEL, request_id=UUID) == Channel(STORED, "LiveActivity", CHANNEL, UUID)
    [request] = server.requests
    fields = [b"apns-channel-id", b"apns-request-id", b"authorization"]
    assert described(request) == (b"GET", b"/1/apps/com.example.app/channels", fields)
    assert header(request, b"apns-channel-id") == CHANNEL.encode()
    assert request.size == 0


async def test_delete(server: ApnsServer, make_channels: MakeChannels) -> None:
    """DELETE without a body, the channel in a header; 204 says that it is gone."""
    server.on_request = answer(204)
    await make_channels().delete(CHANNEL)
    [request] = server.requests
    fields = [b"apns-channel-id", b"apns-request-id", b"authorization"]
    assert described(request) == (b"DELETE", b"/1/apps/com.example.app/channels", fields)
    assert header(request, b"apns-channel-id") == CHANNEL.encode()
    assert request.size == 0


@pytest.mark.parametrize("ids", [[], [CHANNEL], ["a", "b+/="]])
async def test_list(server: ApnsServer, make_channels: MakeChannels, ids: list[str]) -> None:
    """GET of all-channels; 200 lists the ids."""
    server.on_request = answer(200, json.dumps({"channels": ids}).encode())
    assert await make_channels().list() == ids
    [request] = server.requests
    fields = [b"apns-request-id", b"authorization"]
    assert described(request) == (b"GET", b"/1/apps/com.example.app/all-channels", fields)
    assert request.size == 0


async def test_one_connection_serves_all_calls(server: ApnsServer, make_channels: MakeChannels) -> None:
    """Every 2xx proves the credential, 201 and 204 too: the calls that follow go side by side (CONN-14)."""
    client = make_channels()
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


async def test_concurrent_answers_find_their_callers(server: ApnsServer, make_channels: MakeChannels) -> None:
    """Answers that come in another order than the calls belong to the right ones."""
    client = make_channels()
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
async def test_own_request_id(server: ApnsServer, make_channels: MakeChannels, call: str) -> None:
    """A request id of one's own is sent in lower case, and a failure has it."""
    server.on_request = refuse(400, "FeatureNotEnabled")
    client = make_channels()
    argument: tuple[Any, ...] = {"create": (STORED,), "list": ()}.get(call, (CHANNEL,))
    error = await failure(getattr(client, call)(*argument, request_id=UUID.upper()))
    assert header(server.requests[0], b"apns-request-id") == UUID.encode()
    assert error.request_id == UUID
    assert error.call == call


async def test_request_id_of_the_answer(server: ApnsServer, make_channels: MakeChannels) -> None:
    """When APNs answers with an id of its own, that one is told, of a success and of a failure (6.2)."""
    status = 200

    def other(peer: Peer, request: Received) -> None:
        peer.session.respond(request.stream_id, status, ((b"apns-request-id", b"THEIRS"),), DESCRIBED)
        peer.flush()

    server.on_request = other
    client = make_channels()
    assert (await client.read(CHANNEL)).request_id == "THEIRS"
    status = 400
    assert (await failure(client.read(CHANNEL))).request_id == "THEIRS"


# ---- what APNs refuses


@pytest.mark.parametrize("call", CALLS)
async def test_each_reason(server: ApnsServer, make_channels: MakeChannels, call: str) -> None:
    """Every row of 6.4 ends the call at once, with status, reason and what to do."""
    client = make_channels()
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
async def test_what_to_do(
    server: ApnsServer, make_channels: MakeChannels, status: int, reason: str, advice: str
) -> None:
    """The advice follows the reason's rule for repeating, also for a reason nobody has seen (ERR-5)."""
    server.on_request = refuse(status, reason)
    assert advice in (await failure(make_channels().read(CHANNEL))).what_to_do


async def test_expired_token_is_repeated_once(server: ApnsServer, make_channels: MakeChannels) -> None:
    """`ExpiredProviderToken` is a proof that nothing was done: once more on a new connection, then no more."""
    client = make_channels()
    server.on_request = answer(204)
    await client.delete(CHANNEL)
    server.on_request = refuse(403, "ExpiredProviderToken")
    error = await failure(client.create(STORED))
    assert error.policy is not None
    assert error.policy.retry is Retry.NEW_CONNECTION
    assert [len(peer.requests) for peer in server.peers] == [2, 1]


async def test_retry_after(server: ApnsServer, make_channels: MakeChannels) -> None:
    """A `retry-after` in seconds is handed on (RESP-7)."""
    server.on_request = answer(429, b'{"reason":"TooManyRequests"}', (b"retry-after", b"17"))
    assert (await failure(make_channels().list())).retry_after == 17


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
async def test_unreadable_description(server: ApnsServer, make_channels: MakeChannels, body: bytes) -> None:
    """A success whose body is no description of a channel is an error that says so."""
    server.on_request = answer(200, body)
    error = await failure(make_channels().read(CHANNEL))
    assert (error.status, error.reason, error.policy) == (200, "", None)
    assert "cannot be read" in str(error)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"channels":null}', b'{"channels":[1]}'])
async def test_unreadable_list(server: ApnsServer, make_channels: MakeChannels, body: bytes) -> None:
    """An answer without a list is never taken for the empty list."""
    server.on_request = answer(200, body)
    assert "cannot be read" in str(await failure(make_channels().list()))


@pytest.mark.parametrize("headers", [(), ((b"apns-channel-id", b""),)])
async def test_created_without_an_id(
    server: ApnsServer, make_channels: MakeChannels, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    """A 201 without the channel's id may have made a channel; the error points at list()."""
    server.on_request = answer(201, b"", *headers)
    error = await failure(make_channels().create(STORED))
    assert error.may_have_happened
    assert "no apns-channel-id" in str(error)
    assert "list()" in error.what_to_do


async def test_full_list(server: ApnsServer, make_channels: MakeChannels) -> None:
    """As many channels as an app may have fit, with ids as long as they may be (BC-2)."""
    ids = [f"{i:0256}" for i in range(CHANNELS_LIMIT)]
    server.on_request = answer(200, json.dumps({"channels": ids}, separators=(",", ":")).encode())
    assert await make_channels().list() == ids


@pytest.mark.parametrize("more", [0, 1])
async def test_largest_answer(server: ApnsServer, make_channels: MakeChannels, more: int) -> None:
    """An answer may have `BODY_LIMIT` bytes, and not one more."""
    server.on_request = answer(200, b'{"channels":["a"]}'.ljust(BODY_LIMIT + more))
    if more:
        assert f"more than {BODY_LIMIT} bytes" in str(await failure(make_channels().list()))
    else:
        assert await make_channels().list() == ["a"]


# ---- what is refused here


@pytest.mark.parametrize("channel", ["", "ä", "a b", "a\r\nb", "a" * 257, None, b"abc"])
@pytest.mark.parametrize("call", ["read", "delete"])
async def test_bad_channel_id(server: ApnsServer, make_channels: MakeChannels, call: str, channel: Any) -> None:
    """What cannot be a channel's id is refused before the wire (`BadChannelId`)."""
    with pytest.raises(InvalidChannelRequest) as caught:
        await getattr(make_channels(), call)(channel)
    assert caught.value.field == "channel_id"
    assert server.peers == []


async def test_longest_channel_id(server: ApnsServer, make_channels: MakeChannels) -> None:
    """256 characters of base64 are sent, of either alphabet."""
    server.on_request = answer(204)
    await make_channels().delete("aZ09+/-_=".ljust(256, "A"))
    assert len(header(server.requests[0], b"apns-channel-id")) == 256


@pytest.mark.parametrize("policy", [2, -1, True, None, "0"])
async def test_bad_policy(server: ApnsServer, make_channels: MakeChannels, policy: Any) -> None:
    """There are two storage policies (BC-3, BC-4)."""
    with pytest.raises(InvalidChannelRequest, match="policy"):
        await make_channels().create(policy)
    assert server.peers == []


@pytest.mark.parametrize("request_id", ["", "42", UUID + "0", UUID[:-1], UUID.replace("-", ""), 42])
async def test_bad_request_id(server: ApnsServer, make_channels: MakeChannels, request_id: Any) -> None:
    """A request id is a UUID in its usual form."""
    with pytest.raises(InvalidChannelRequest, match="request_id"):
        await make_channels().list(request_id=request_id)


@pytest.mark.parametrize(
    "bundle", ["", "a/b", "a?b", "a b", "ä", "a" * 256, None, "com.example.app.push-type.liveactivity"]
)
async def test_bad_bundle_id(make_channels: MakeChannels, bundle: Any) -> None:
    """The bundle id goes into the path, without a suffix (`TopicDisallowed`)."""
    with pytest.raises(InvalidChannelRequest, match="bundle_id"):
        make_channels(bundle_id=bundle)


async def test_longest_bundle_id(server: ApnsServer, make_channels: MakeChannels) -> None:
    """255 characters are sent."""
    server.on_request = answer(204)
    await make_channels(bundle_id="a" * 255).delete(CHANNEL)
    assert header(server.requests[0], b":path") == b"/1/apps/" + b"a" * 255 + b"/channels"
