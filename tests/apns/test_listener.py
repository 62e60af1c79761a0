"""What a listener hears: each outcome once, and the life of each connection."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import pytest
from support.apns_server import ApnsServer, Peer, hold
from support.callers import MakeBroadcasts, MakeChannels
from support.engine import HELLO, TOKEN, MakeClient, tokens
from support.hearing import Ear
from support.manual_clock import ManualClock
from support.tls import Authority

from heliogram.apns import (
    Accepted,
    CauseKind,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    GoawayReceived,
    Listener,
    MessageStoragePolicy,
    Notification,
    NotSent,
    Outcome,
    Push,
    PushEnded,
    Rejected,
    SigningKey,
    Stats,
    StreamLimitChanged,
    SystemClock,
    TokenChanged,
    Tuning,
    Unknown,
    sync,
)
from heliogram.apns.connect import Factory
from heliogram.apns.environment import Endpoint
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


async def refuse(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
    raise ConnectionRefusedError("nobody listens")


def by_fate(peer: Peer, request: Received) -> None:
    """Accepts, rejects or resets, by the push's place in the row."""
    match len(peer.server.requests) % 3:
        case 1:
            peer.accept(request)
        case 2:
            peer.reject(request, 410, "Unregistered", timestamp=1)
        case _:
            peer.reset(request, 8)


async def test_each_outcome_is_told_once(server: ApnsServer, make_client: MakeClient) -> None:
    """Accepted, rejected, unknown and not sent: what the caller gets is what the listener heard, each once."""
    server.on_request = by_fate
    ear = Ear()
    items: list[Any] = [*((token, HELLO) for token in tokens(9)), ("not hex", HELLO), 42, Push(TOKEN, HELLO, "odd")]
    outcomes = [one async for one in make_client(listener=ear).send_many(items)]
    told = [event.outcome for event in ear.of(PushEnded)]
    assert len(outcomes) == 12
    assert {type(one) for one in outcomes} == {Accepted, Rejected, Unknown, NotSent}
    assert sorted(map(repr, told)) == sorted(map(repr, outcomes))


async def test_a_push_is_told_with_topic_and_type(server: ApnsServer, make_client: MakeClient) -> None:
    """Topic and push type are those of the wire; an item that could not be made a push has neither."""
    ear = Ear()
    client = make_client(listener=ear)
    await client.send(TOKEN, HELLO)
    [_ async for _ in client.send_many([(TOKEN, Notification(payload=b"{}", push_type="voip")), ("x", HELLO)])]
    said = {(event.topic, event.push_type) for event in ear.of(PushEnded)}
    assert said == {("com.example.app", "alert"), ("com.example.app.voip", "voip"), ("", "")}


async def test_time_in_the_queue(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """`queued_ms` runs from queueing to writing, and `wire_ms` from there to the answer."""
    server.on_request = hold
    ear = Ear()
    client = make_client(listener=ear, max_connections=1)
    first, second = client.send(TOKEN, HELLO), client.send(TOKEN, HELLO)
    await server.received(1)
    clock.advance(2)
    server.peers[0].accept(server.requests[0])
    await first
    await server.received(2)
    clock.advance(3)
    server.peers[0].accept(server.requests[1])
    await second
    assert [(event.queued_ms, event.outcome.wire_ms) for event in ear.of(PushEnded)] == [(0, 2000), (2000, 3000)]


async def test_time_in_the_queue_of_a_push_given_up(make_client: MakeClient, clock: ManualClock) -> None:
    """A push that is never written has queued until its end: here its deadline."""
    ear = Ear()
    pending = make_client(listener=ear, connect=refuse, connect_attempts=99).send(TOKEN, HELLO, timeout=5)
    while not pending.done():
        clock.advance(0.5)
        await asyncio.sleep(0)
    assert [event.queued_ms for event in ear.of(PushEnded)] == [5000]


async def test_a_closed_client_tells_too(make_client: MakeClient) -> None:
    """What a closed client refuses is told like any other outcome."""
    ear = Ear()
    client = make_client(listener=ear)
    await client.close()
    outcome = await client.send(TOKEN, HELLO)
    assert [event.outcome for event in ear.of(PushEnded)] == [outcome]


async def test_a_cancelled_future_is_told(server: ApnsServer, make_client: MakeClient) -> None:
    """Cancelling gives up the wait, not the push: its outcome is still told."""
    server.on_request = hold
    ear = Ear()
    pending = make_client(listener=ear).send(TOKEN, HELLO)
    await server.received(1)
    pending.cancel()
    server.peers[0].accept(server.requests[0])
    assert [type(event.outcome) for event in await ear.heard(PushEnded, 1)] == [Accepted]


async def test_the_life_of_a_connection(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Token, opening, stream limits, GOAWAY and closing are told in order, with what they carried."""
    ear = Ear()
    client = make_client(listener=ear)
    await asyncio.gather(*(client.send(token, HELLO) for token in tokens(3)))
    clock.advance(7)
    server.peers[0].limit(5)
    server.peers[0].goaway(99, 0, b'{"reason":"Shutdown"}')
    await server.until(lambda: server.peers[0].closed)
    await client.close()
    token, opened, first, second, goaway, closed = (one for one in ear.events if not isinstance(one, PushEnded))
    assert isinstance(token, TokenChanged)
    assert (token.key_id, token.team_id, token.issued_at % 1800) == ("ABC123DEFG", "DEF123GHIJ", 0)
    assert isinstance(opened, ConnectionOpened)
    assert (opened.serial, opened.endpoint, opened.address) == (1, server.endpoint, "127.0.0.1")
    assert opened.credential == "key ABC123DEFG of team DEF123GHIJ"
    assert isinstance(first, StreamLimitChanged)
    assert isinstance(second, StreamLimitChanged)
    assert (first.limit, second.limit) == (1000, 5)
    assert isinstance(goaway, GoawayReceived)
    assert (goaway.reason, goaway.code, goaway.text) == ("Shutdown", 0, "GOAWAY with reason Shutdown")
    assert isinstance(closed, ConnectionClosed)
    assert (closed.kind, closed.cause) == (CauseKind.GOAWAY, "GOAWAY with reason Shutdown")
    assert (closed.serial, closed.pushes, closed.seconds, closed.proven) == (1, 3, 7.0, True)


async def test_failed_attempts_are_told(make_client: MakeClient) -> None:
    """Each attempt that fails is told with a word of the short list; nothing was opened, so nothing closes."""
    ear = Ear()
    await make_client(listener=ear, connect=refuse, clock=SystemClock(), tuning=Tuning(back_off=0.001)).send(
        TOKEN, HELLO
    )
    failed = ear.of(ConnectionFailed)
    assert [(one.kind, one.cause) for one in failed] == [(CauseKind.REFUSED, "nobody listens")] * 3
    assert not ear.of(ConnectionOpened)
    assert not ear.of(ConnectionClosed)


async def test_an_untrusted_server_is_a_tls_failure(
    server: ApnsServer, make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A certificate that is not trusted fails the attempt with the word `tls`."""
    ear = Ear()
    other = Authority(tmp_path_factory.mktemp("other"))
    await make_client(listener=ear, cafile=other.cafile, connect_attempts=1).send(TOKEN, HELLO)
    assert [one.kind for one in ear.of(ConnectionFailed)] == [CauseKind.TLS]


async def test_causes_of_an_end(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock, signing_key: SigningKey
) -> None:
    """Replaced, cut, silent, revoked, old and closed connections each say so in a word."""
    ear = Ear()
    client = make_client(listener=ear, tuning=Tuning(max_age=600))

    async def again() -> Peer:
        await client.send(TOKEN, HELLO)
        return server.peers[-1]

    peer = await again()
    client.reconnect()
    await server.until(lambda: peer.closed)
    (await again()).cut()
    await ear.heard(ConnectionClosed, 2)
    (await again()).deaf = True
    clock.advance(60)
    clock.advance(10)
    peer = await again()
    client.revoke()
    await server.until(lambda: peer.closed)
    client.rotate(signing_key)
    peer = await again()
    for _ in range(11):
        clock.advance(59)
        await client.send(TOKEN, HELLO)
    await server.until(lambda: peer.closed)
    await client.close()
    kinds = [one.kind for one in ear.of(ConnectionClosed)]
    assert kinds == [
        CauseKind.REPLACED,
        CauseKind.LOST,
        CauseKind.SILENT,
        CauseKind.REVOKED,
        CauseKind.AGE,
        CauseKind.CLOSED,
    ]
    assert len(ear.of(ConnectionOpened)) == len(kinds)


async def test_a_new_token_is_told_once(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """All connections present the same token, so a slot's change is one event (TOK-9)."""
    ear = Ear()
    client = make_client(listener=ear)
    await client.send(TOKEN, HELLO)
    client.reconnect()
    await client.send(TOKEN, HELLO)
    assert len(ear.of(TokenChanged)) == 1
    for _ in range(60):
        clock.advance(30)
        await client.send(TOKEN, HELLO)
    first, second = ear.of(TokenChanged)
    assert second.issued_at == first.issued_at + 1800


class Careless(Listener):
    """Raises wherever it can, with a device token in the text."""

    def attached(self, source: object) -> None:
        raise LookupError(TOKEN)

    def push_ended(self, event: PushEnded) -> None:
        raise KeyError(event.outcome.device_token)

    def connection_opened(self, event: ConnectionOpened) -> None:
        raise asyncio.CancelledError(TOKEN)


async def test_a_listener_that_raises_harms_no_push(
    server: ApnsServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors of a listener are logged once for each kind, without their text, and every push is accepted."""
    client = make_client(listener=Careless())
    outcomes = await asyncio.gather(*(client.send(TOKEN, HELLO) for _ in range(5)))
    assert all(one.ok for one in outcomes)
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert [text.split(" at ")[0] for text in errors] == [
        "the listener's attached raised LookupError",
        "the listener's connection_opened raised CancelledError",
        "the listener's push_ended raised KeyError",
    ]
    assert "test_listener.py" in errors[0]
    assert TOKEN not in caplog.text


async def test_a_listener_may_send(server: ApnsServer, make_client: MakeClient) -> None:
    """A listener that sends from within an event gets its push sent."""

    class Chain(Listener):
        sent: list[asyncio.Future[Outcome]]

        def push_ended(self, event: PushEnded) -> None:
            if len(self.sent) < 3:
                self.sent.append(client.send(TOKEN, HELLO))

    chain = Chain()
    chain.sent = []
    client = make_client(listener=chain)
    await client.send(TOKEN, HELLO)
    while len(chain.sent) < 3:
        await chain.sent[-1]
    assert (await chain.sent[-1]).ok


@pytest.mark.parametrize("given", [Listener, object(), print], ids=["class", "object", "function"])
async def test_what_is_no_listener_is_refused(make_client: MakeClient, given: object) -> None:
    """Anything but an instance of `Listener` is refused when the client is made."""
    with pytest.raises(TypeError, match=r"listener: .*give an instance"):
        make_client(listener=given)


async def test_stats(server: ApnsServer, make_client: MakeClient) -> None:
    """`stats()` counts connections, what is in flight and what waits."""
    server.stream_limit = 2
    server.on_request = lambda peer, request: peer.accept(request)
    client = make_client(max_connections=1)
    idle = Stats(connections=0, leaving=0, connecting=False, failures=0, in_flight=0, waiting=0, stream_limit=0)
    assert client.stats() == idle
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    pending = [client.send(token, HELLO) for token in tokens(5)]
    await server.received(3)
    busy = client.stats()
    assert (busy.connections, busy.in_flight, busy.waiting, busy.stream_limit) == (1, 2, 3, 2)
    server.on_request = lambda peer, request: peer.accept(request)
    for request in server.requests[1:3]:
        server.peers[0].accept(request)
    await asyncio.gather(*pending)
    await client.close()
    assert client.stats() == idle


async def test_calls_and_broadcasts_are_told(
    server: ApnsServer, make_channels: MakeChannels, make_broadcasts: MakeBroadcasts
) -> None:
    """Clients of channels and broadcasts take a listener and have stats too."""
    ear = Ear()
    channels = make_channels(listener=ear)
    server.on_request = lambda peer, request: peer.session.respond(
        request.stream_id, 201, ((b"apns-channel-id", b"abc"), (b"apns-request-id", b"x"))
    )
    await channels.create(MessageStoragePolicy.NO_MESSAGE_STORED)
    assert channels.stats().connections == 1
    (call,) = ear.of(PushEnded)
    assert isinstance(call.outcome, Accepted)
    assert (call.topic, call.push_type) == (channels.bundle_id, "")
    assert len(make_broadcasts(listener=ear).stats().__struct_fields__) == 7


def test_the_sync_client_tells_and_counts(signing_key: SigningKey) -> None:
    """The listener of a client without an event loop hears its outcomes too, and `stats` can be asked anywhere."""
    ear = Ear()
    with sync.Client(
        signing_key,
        topic="com.example.app",
        endpoint="127.0.0.1:9",
        connect=refuse,
        connect_attempts=1,
        listener=ear,
    ) as client:
        outcome = client.send(TOKEN, HELLO)
        assert [event.outcome for event in ear.of(PushEnded)] == [outcome]
        assert client.stats().failures == 1
