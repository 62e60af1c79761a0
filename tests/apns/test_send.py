"""Sending over real TLS and HTTP/2: answers and what they become."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from support.apns_server import ApnsServer, Peer, header, hold
from support.engine import HELLO, TOKEN, MakeClient
from support.manual_clock import ManualClock

from heliogram.apns import (
    Accepted,
    InvalidDeviceToken,
    InvalidNotification,
    Notification,
    NotSent,
    PushType,
    Rejected,
    Unknown,
)
from heliogram.wire import Received

pytestmark = pytest.mark.anyio
ID = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


async def test_accepted(server: ApnsServer, make_client: MakeClient) -> None:
    """A 200 is an `Accepted` with the id that was sent (RESP-1)."""
    outcome = await make_client().send(TOKEN, HELLO, apns_id=ID)
    assert outcome == Accepted(TOKEN, ID, wire_ms=0)
    assert outcome.ok


async def test_request_shape(server: ApnsServer, make_client: MakeClient) -> None:
    """The request is what apns-rules 4.1 asks for, and no more (CONN-30, CONN-31, CONN-32, TOK-1)."""
    notification = Notification(alert="x", expiration=1_800_000_000, collapse_id="score")
    await make_client().send(TOKEN.upper(), notification, apns_id=ID)
    headers = dict(server.requests[0].headers)
    authorization = headers.pop(b"authorization")
    assert authorization.startswith(b"bearer ey")
    assert headers == {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": server.endpoint.encode(),
        b":path": b"/3/device/" + TOKEN.encode(),
        b"apns-topic": b"com.example.app",
        b"apns-push-type": b"alert",
        b"apns-priority": b"10",
        b"apns-id": ID.encode(),
        b"apns-expiration": b"1800000000",
        b"apns-collapse-id": b"score",
    }
    assert server.requests[0].body == b'{"aps":{"alert":"x"}}'


async def test_topic_takes_the_suffix_of_the_push_type(server: ApnsServer, make_client: MakeClient) -> None:
    """The topic is the bundle id with the push type's suffix (4.2); the push may name another app (REQ-5)."""
    notification = Notification(payload=b"{}", push_type=PushType.VOIP)
    client = make_client()
    await client.send(TOKEN, notification)
    await client.send(TOKEN, notification, topic="com.example.other")
    topics = [header(one, b"apns-topic") for one in server.requests]
    assert topics == [b"com.example.app.voip", b"com.example.other.voip"]


async def test_unique_id(server: ApnsServer, make_client: MakeClient) -> None:
    """`apns-unique-id` of the sandbox is handed on (RESP-4)."""
    server.on_request = lambda peer, request: peer.accept(request, (b"apns-unique-id", b"4084a6e4"))
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Accepted)
    assert outcome.unique_id == "4084a6e4"


async def test_timestamp_of_410_is_milliseconds(server: ApnsServer, make_client: MakeClient) -> None:
    """The timestamp of a 410 is kept as it came: milliseconds (RESP-6)."""
    server.on_request = lambda peer, request: peer.reject(request, 410, "Unregistered", timestamp=1_700_000_000_123)
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.reason, outcome.timestamp) == (410, "Unregistered", 1_700_000_000_123)
    assert not outcome.ok


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, b'{"reason":"SomethingNew"}', "SomethingNew"),
        (502, b"<html>bad gateway</html>", ""),
        (400, b'{"reason":["a","list"]}', ""),
        (400, b"[1]", ""),
        (413, b"", ""),
    ],
)
async def test_odd_answers_are_rejections(
    server: ApnsServer, make_client: MakeClient, status: int, body: bytes, reason: str
) -> None:
    """An unknown reason is kept as it came, and a body that is no reason gives an empty one (ERR-5, RESP-8, SUR-12)."""
    server.on_request = lambda peer, request: peer.answer(request, status, body)
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.reason, outcome.timestamp) == (status, reason, None)


async def test_retry_after_is_read(server: ApnsServer, make_client: MakeClient) -> None:
    """A `retry-after` in seconds is handed on (RESP-7)."""

    def busy(peer: Peer, request: Received) -> None:
        peer.answer(request, 503, b'{"reason":"ServiceUnavailable"}', (b"retry-after", b"17"))

    server.on_request = busy
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert outcome.retry_after == 17


async def test_invalid_input_raises_at_once(server: ApnsServer, make_client: MakeClient) -> None:
    """What cannot be sent raises from `send` itself, before anything is awaited."""
    client = make_client()
    with pytest.raises(InvalidDeviceToken):
        client.send("xyz", HELLO)
    with pytest.raises(InvalidNotification, match="apns_id"):
        client.send(TOKEN, HELLO, apns_id="42")
    assert server.peers == []


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (None, "a NoneType"),
        ("Hi", "a str"),
        ({"aps": {}}, "a dict"),
        (b"{}", "a bytes"),
        (Notification, "the class itself"),
    ],
)
async def test_what_is_no_notification(server: ApnsServer, make_client: MakeClient, given: Any, what: str) -> None:
    """The argument at fault is named, and what to give instead; in a batch the push ends as `NotSent`."""
    client = make_client()
    message = f"notification: {what}; give a Notification(alert=…), or Notification(payload=…)"
    with pytest.raises(InvalidNotification, match=f"^{re.escape(message)}$"):
        client.send(TOKEN, given)
    assert [one async for one in client.send_many([(TOKEN, given)])] == [NotSent(TOKEN, "", message)]
    assert server.peers == []


async def test_deadline_of_a_written_push(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A push without an answer ends as `Unknown` at its deadline; its stream is reset (CONN-27, SUR-6)."""
    server.on_request = hold
    sent = make_client().send(TOKEN, HELLO)
    await server.received(1)
    clock.advance(29.9)
    assert not sent.done()
    clock.advance(0.1)
    outcome = sent.result()
    assert isinstance(outcome, Unknown)
    assert outcome.wire_ms == 30_000
    await server.until(lambda: bool(server.peers[0].resets))
    assert server.peers[0].resets[0].code == 8


async def test_deadline_of_a_waiting_push(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A push that was never written ends as `NotSent` at its deadline."""
    server.on_request = hold
    client = make_client(max_connections=1)
    client.send(TOKEN, HELLO)
    waiting = client.send(TOKEN, HELLO, timeout=5)
    await server.received(1)
    clock.advance(5)
    outcome = waiting.result()
    assert isinstance(outcome, NotSent)
    assert "deadline" in outcome.cause
    assert outcome.wire_ms is None


async def test_an_own_timeout_does_not_wait_for_others(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """A push with a shorter time-out than its elders ends at its own deadline."""
    server.on_request = hold
    client = make_client()
    long = client.send(TOKEN, HELLO)
    await server.received(1)
    short = client.send(TOKEN, HELLO, timeout=1)
    clock.advance(1)
    assert short.done()
    assert not long.done()


async def test_a_timeout_that_is_no_number_is_refused(server: ApnsServer, make_client: MakeClient) -> None:
    """Not a number is before no moment and after none: it would hold up the deadlines of all others."""
    with pytest.raises(ValueError, match="timeout"):
        make_client().send(TOKEN, HELLO, timeout=float("nan"))


async def test_a_late_answer_is_ignored(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """An answer after the deadline changes nothing, and the connection goes on."""
    late: list[Received] = []
    server.on_request = lambda peer, request: late.append(request)
    client = make_client()
    first = client.send(TOKEN, HELLO)
    await server.received(1)
    clock.advance(30)
    assert isinstance(first.result(), Unknown)
    server.peers[0].accept(late[0])
    server.on_request = lambda peer, request: peer.accept(request)
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 1


async def test_reset_by_the_peer_is_unknown(server: ApnsServer, make_client: MakeClient) -> None:
    """A stream reset with another code than REFUSED_STREAM may have been processed."""
    server.on_request = lambda peer, request: peer.reset(request, 2)
    assert isinstance(await make_client().send(TOKEN, HELLO), Unknown)


async def test_a_cancelled_wait_harms_nobody(server: ApnsServer, make_client: MakeClient) -> None:
    """Cancelling the future of one push leaves the others alone."""
    client = make_client()
    cancelled = client.send(TOKEN, HELLO)
    other = client.send(TOKEN, HELLO)
    cancelled.cancel()
    assert (await other).ok


async def test_one_write_per_turn(server: ApnsServer, make_client: MakeClient) -> None:
    """Pushes of one pass of the event loop leave in one write."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    peer = server.peers[0]
    before = peer.writes
    await asyncio.gather(*(client.send(TOKEN, HELLO) for _ in range(20)))
    assert peer.writes == before + 1


async def test_repr_shows_no_secret(server: ApnsServer, make_client: MakeClient) -> None:
    """Counts and ids only: neither the provider token nor the key appears."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    token = header(server.requests[0], b"authorization").removeprefix(b"bearer ").decode()
    shown = repr(client) + repr(client.pool.connections)
    assert token not in shown
    assert "com.example.app" in shown
    assert "1 of 4 connections" in shown


async def test_outcomes_are_data(server: ApnsServer, make_client: MakeClient) -> None:
    """An outcome can be written as JSON as it is."""
    outcome = await make_client().send(TOKEN, HELLO, apns_id=ID)
    assert msgspec.json.decode(msgspec.json.encode(outcome))["apns_id"] == ID
