"""What a connection does by itself: admission, refusal, GOAWAY, silence, its end."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from support.apns_server import ApnsServer, Peer, accept_all, device, header, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock

from heliogram.apns import Accepted, Client, NotSent, Outcome, Rejected, SystemClock, Tuning, Unknown
from heliogram.wire import Pinged, Received

pytestmark = pytest.mark.anyio


def send_all(client: Client, count: int) -> list[asyncio.Future[Outcome]]:
    return [client.send(token, HELLO) for token in tokens(count)]


def pinged(peer: Peer, times: int) -> bool:
    return sum(isinstance(event, Pinged) for event in peer.events) >= times


async def test_one_stream_until_authenticated(server: ApnsServer, make_client: MakeClient) -> None:
    """With a provider token the first push goes alone, whatever the advertised limit (CONN-14)."""
    server.on_request = hold
    sent = send_all(make_client(), 10)
    await server.received(1)
    peer = server.peers[0]
    assert peer.session.open_streams == 1
    server.on_request = accept_all
    peer.accept(server.requests[0])
    assert all_accepted(await asyncio.gather(*sent), 10)


async def test_a_credential_rejection_does_not_open_the_gate(server: ApnsServer, make_client: MakeClient) -> None:
    """Until a push is authenticated the next one goes alone too."""
    most = 0

    def reject(peer: Peer, request: Received) -> None:
        nonlocal most
        most = max(most, peer.session.open_streams)
        peer.reject(request, 403, "InvalidProviderToken")

    server.on_request = reject
    outcomes = await asyncio.gather(*send_all(make_client(), 5))
    assert [one.reason for one in outcomes if isinstance(one, Rejected)] == ["InvalidProviderToken"] * 5
    assert most == 1


async def test_a_bad_device_token_proves_the_credential(server: ApnsServer, make_client: MakeClient) -> None:
    """The credential is checked before the device token, so `BadDeviceToken` opens the gate."""
    server.on_request = lambda peer, request: peer.reject(request, 400, "BadDeviceToken")
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    send_all(client, 5)
    await server.received(6)
    assert server.peers[0].session.open_streams == 5


async def test_live_stream_limit(server: ApnsServer, make_client: MakeClient) -> None:
    """Never more streams than the peer's limit of the moment; a raised limit is used at once (T4, CONN-13, CONN-19)."""
    server.stream_limit = 3
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = send_all(client, 10)
    await server.received(4)
    peer = server.peers[0]
    assert peer.session.open_streams == 3
    peer.limit(6)
    await server.received(7)
    assert peer.session.open_streams == 6
    server.on_request = accept_all
    for request in server.requests[1:7]:
        peer.accept(request)
    assert all_accepted(await asyncio.gather(*sent), 10)


async def test_waiting_pushes_go_in_order(server: ApnsServer, make_client: MakeClient) -> None:
    """The wait for a stream is first in, first out."""
    server.stream_limit = 1
    await asyncio.gather(*send_all(make_client(max_connections=1), 20))
    assert [device(one) for one in server.requests] == tokens(20)


async def test_refused_streams_are_sent_again(server: ApnsServer, make_client: MakeClient) -> None:
    """REFUSED_STREAM is not processed: sent again, and one at a time until an answer comes (CONN-17, SUR-3)."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    refused: list[str] = []

    def refuse(peer: Peer, request: Received) -> None:
        if len(refused) < 6:
            refused.append(device(request))
            peer.refuse(request)
        else:
            peer.accept(request)

    server.on_request = refuse
    assert all_accepted(await asyncio.gather(*send_all(client, 5)), 5)
    assert refused == [*tokens(5), tokens(1)[0]]
    assert len(server.peers) == 1


async def test_graceful_goaway_loses_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """Up to the last stream id pushes finish on the old connection; the rest moves to a new one (CONN-22)."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = send_all(client, 10)
    await server.received(11)
    old = server.peers[0]
    server.on_request = accept_all
    old.goaway(last=server.requests[5].stream_id)
    await server.connected(2)
    for request in old.requests[1:6]:
        old.accept(request)
    assert all_accepted(await asyncio.gather(*sent), 10)
    assert sorted(device(one) for one in server.peers[1].requests) == tokens(10)[5:]
    await server.until(lambda: old.closed)


async def test_goaway_gives_the_replacement_the_same_ids(server: ApnsServer, make_client: MakeClient) -> None:
    """A push that is sent again keeps its apns-id, its deadline and its place in front."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = send_all(client, 3)
    await server.received(4)
    server.on_request = accept_all
    server.peers[0].goaway(last=1)
    await asyncio.gather(*sent)
    first = [header(one, b"apns-id") for one in server.peers[0].requests[1:]]
    assert [header(one, b"apns-id") for one in server.peers[1].requests] == first


async def test_abrupt_goaway(server: ApnsServer, make_client: MakeClient) -> None:
    """GOAWAY and the end at once: above the last id sent again, at or below it unknown; one outcome each."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = send_all(client, 10)
    await server.received(11)
    server.on_request = accept_all
    old = server.peers[0]
    old.goaway(last=server.requests[4].stream_id)
    old.close()
    outcomes = await asyncio.gather(*sent)
    assert [type(one) for one in outcomes[:4]] == [Unknown] * 4
    assert all(one.ok for one in outcomes[4:])
    assert len({one.apns_id for one in outcomes}) == 10


async def test_lost_transport(server: ApnsServer, make_client: MakeClient) -> None:
    """Written pushes of a lost connection are unknown; unwritten ones go out on the next one."""
    server.stream_limit = 2
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = send_all(client, 4)
    await server.received(3)
    server.on_request = accept_all
    server.peers[0].cut()
    outcomes = await asyncio.gather(*sent)
    assert [type(one) for one in outcomes[:2]] == [Unknown] * 2
    assert all(one.ok for one in outcomes[2:])
    assert len(server.peers) == 2


async def test_silence_is_asked_and_then_ended(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """After 60 s of silence a PING goes out; 10 s without an answer really close the connection (T2)."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    peer = server.peers[0]
    peer.deaf = True
    pending = client.send(TOKEN, HELLO, timeout=600)
    before = peer.writes
    await server.until(lambda: peer.writes > before)
    clock.advance(60)
    await server.until(lambda: peer.writes > before + 1)
    clock.advance(9.9)
    assert not pending.done()
    clock.advance(0.2)
    outcome = await pending
    assert isinstance(outcome, Unknown)
    assert "PING" in outcome.cause
    await server.until(lambda: peer.closed)


async def test_an_answered_ping_keeps_the_connection(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """A quiet connection that answers its PING is kept (CONN-24)."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    peer = server.peers[0]
    for count in range(1, 4):
        clock.advance(60)
        await server.until(partial(pinged, peer, count))
        assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 1


async def test_greatest_age(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A connection at its greatest age is replaced in peace: what is open on it finishes there."""
    client = make_client(tuning=Tuning(max_age=50))
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    pending = client.send(TOKEN, HELLO, timeout=100)
    await server.received(2)
    old = server.peers[0]
    clock.advance(49.9)
    assert "1 of 4 connections, 0 leaving" in repr(client)
    clock.advance(0.1)
    assert "0 of 4 connections, 1 leaving" in repr(client)
    server.on_request = accept_all
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 2
    old.accept(server.requests[1])
    assert (await pending).ok


async def test_garbage_is_a_protocol_error(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A peer that breaks the protocol costs the open pushes their answer, and nothing else."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = lambda peer, request: peer.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    outcome = await client.send(TOKEN, HELLO)
    assert isinstance(outcome, Unknown)
    assert "RFC 9113" in outcome.cause
    server.on_request = accept_all
    assert (await client.send(TOKEN, HELLO)).ok


async def test_a_goaway_at_the_door_ends_in_not_sent(server: ApnsServer, make_client: MakeClient) -> None:
    """GOAWAY before any answer is a failed attempt; the third ends pushes with its reason (CONN-20, SUR-9)."""
    server.on_connect = lambda peer: peer.goaway(0, 0, b'{"reason":"Shutdown"}')
    outcome = await make_client(clock=SystemClock(), tuning=Tuning(back_off=0.001)).send(TOKEN, HELLO)
    assert isinstance(outcome, NotSent)
    assert "Shutdown" in outcome.cause
    assert len(server.peers) == 3


async def test_headers_the_peer_will_not_take(server: ApnsServer, make_client: MakeClient) -> None:
    """A push above the peer's MAX_HEADER_LIST_SIZE is not sent, and those around it are."""
    server.max_header_list = 850
    client = make_client()
    await client.send(TOKEN, HELLO)
    sent = [client.send(TOKEN, HELLO, topic=topic) for topic in ("a", "b" * 250, "c", "d" * 250)]
    outcomes = await asyncio.gather(*sent)
    assert [type(one) for one in outcomes] == [Accepted, NotSent, Accepted, NotSent]
    assert "MAX_HEADER_LIST_SIZE" in outcomes[1].cause  # type: ignore[union-attr]
