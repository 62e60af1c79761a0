"""What the pool does: growth, reconnection, the repetition some rejections are granted, the end."""

from __future__ import annotations

import asyncio
import itertools
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from support.apns_server import ApnsServer, Peer, accept_all, device, header, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock
from support.tls import Authority

from heliogram.apns import Certificate, Client, Notification, NotSent, Outcome, Rejected, SigningKey, Tuning, Unknown
from heliogram.apns.connect import Factory
from heliogram.apns.environment import Endpoint
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


def send_all(client: Client, count: int) -> list[asyncio.Future[Outcome]]:
    return [client.send(token, HELLO) for token in tokens(count)]


async def settle(clock: ManualClock, sent: asyncio.Future[Outcome]) -> Outcome:
    """The outcome, with the clock moved on through every back-off."""
    while not sent.done():
        clock.advance(0.1)
        await asyncio.sleep(0)
    return sent.result()


async def test_opens_lazily(server: ApnsServer, make_client: MakeClient) -> None:
    """No connection before the first push, and one is enough while it has room."""
    client = make_client()
    await asyncio.sleep(0)
    assert server.peers == []
    await asyncio.gather(*send_all(client, 100))
    assert len(server.peers) == 1


@pytest.mark.parametrize("most", [2, 4])
async def test_grows_when_stream_blocked(server: ApnsServer, make_client: MakeClient, most: int) -> None:
    """With every stream taken another connection opens, up to `max_connections` and not one more."""
    server.stream_limit = 2
    client = make_client(max_connections=most)
    await client.send(TOKEN, HELLO)
    opened = set()

    def answer_first_of_each(peer: Peer, request: Received) -> None:
        if peer not in opened and peer is not server.peers[0]:
            opened.add(peer)
            peer.accept(request)

    server.on_request = answer_first_of_each
    sent = send_all(client, 3 * most)
    await server.until(
        lambda: all(peer.session.open_streams == 2 for peer in server.peers) and len(server.peers) == most
    )
    await asyncio.sleep(0)
    assert len(client.pool.connections) == most
    server.on_request = accept_all
    for peer in server.peers:
        for request in peer.requests:
            peer.accept(request)
    assert all_accepted(await asyncio.gather(*sent), 3 * most)
    assert len(server.peers) == most


async def test_grows_when_window_blocked(server: ApnsServer, make_client: MakeClient) -> None:
    """A body that waits for a window counts as no room: another connection opens."""
    server.initial_window = 100
    client = make_client(max_connections=2)
    await client.send(TOKEN, HELLO)
    first = server.peers[0]
    first.mute = True
    large = Notification(payload=b'"' + b"x" * 500 + b'"')
    blocked = client.send(TOKEN, large)
    other = client.send(TOKEN, HELLO)
    assert (await other).ok
    assert len(server.peers) == 2
    assert not blocked.done()
    first.mute = False
    first.flush()
    assert (await blocked).ok


async def test_body_above_the_window_and_frame_size(server: ApnsServer, make_client: MakeClient) -> None:
    """A body larger than the window arrives whole, as windows open."""
    server.initial_window = 1000
    payload = b'{"aps":{},"x":"' + b"y" * 4000 + b'"}'
    assert (await make_client().send(TOKEN, Notification(payload=payload))).ok
    assert server.requests[0].body == payload


async def test_an_unanswered_first_push_does_not_hold_up_the_rest(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """After a second without an answer to the probe a second connection is tried."""
    server.on_request = hold
    client = make_client()
    first = client.send(TOKEN, HELLO)
    await server.received(1)
    second = client.send(TOKEN, HELLO)
    await asyncio.sleep(0)
    server.on_request = accept_all
    clock.advance(1)
    assert (await second).ok
    assert not first.done()


async def test_reconnects_when_the_server_comes_back(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """A connection the peer closed while idle is opened again for the next push."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.peers[0].close()
    await server.until(lambda: server.peers[0].closed)
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 2


class Refusing:
    """A `connect` that counts and fails."""

    def __init__(self) -> None:
        self.attempts = 0

    async def __call__(self, factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        self.attempts += 1
        raise ConnectionRefusedError("nobody listens")


async def test_gives_up_after_three_attempts(make_client: MakeClient, clock: ManualClock) -> None:
    """Three failures in a row end the waiting pushes as `NotSent` with the cause, before their deadline."""
    refusing = Refusing()
    began = clock.monotonic()
    outcome = await settle(clock, make_client(connect=refusing).send(TOKEN, HELLO))
    assert isinstance(outcome, NotSent)
    assert "nobody listens" in outcome.cause
    assert refusing.attempts == 3
    assert clock.monotonic() - began < 5


async def test_back_off_doubles_up_to_its_limit(make_client: MakeClient, clock: ManualClock) -> None:
    """The pause between attempts grows to at most `max_back_off`."""
    refusing = Refusing()
    client = make_client(connect=refusing, tuning=Tuning(back_off=1, max_back_off=8))
    times: list[float] = []
    while len(times) < 8:
        if client.pool.waiting == 0:
            client.send(TOKEN, HELLO, timeout=1e6)
        before = refusing.attempts
        clock.advance(0.05)
        for _ in range(4):
            await asyncio.sleep(0)
        if refusing.attempts > before:
            times.append(clock.monotonic())
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[0] <= 1.2
    assert all(gap <= 8.2 for gap in gaps)
    assert gaps[-1] >= 4


async def test_connect_has_a_time_limit(make_client: MakeClient, clock: ManualClock) -> None:
    """An attempt that hangs counts as failed after `connect_timeout`."""

    async def hang(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        return await asyncio.get_running_loop().create_future()

    client = make_client(connect=hang, connect_attempts=1, tuning=Tuning(connect_timeout=3))
    outcome = await settle(clock, client.send(TOKEN, HELLO))
    assert isinstance(outcome, NotSent)
    assert "3 s" in outcome.cause


async def test_whatever_a_connect_raises_is_a_failed_attempt(make_client: MakeClient, clock: ManualClock) -> None:
    """A `connect` of the application's own may fail in its own way; the pushes still get their outcome."""

    async def odd(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        raise LookupError("no proxy for this host")

    outcome = await settle(clock, make_client(connect=odd).send(TOKEN, HELLO))
    assert isinstance(outcome, NotSent)
    assert "no proxy for this host" in outcome.cause


@pytest.mark.parametrize("error", [LookupError("no proxy"), asyncio.CancelledError("no proxy")])
async def test_a_connect_may_fail_before_it_is_awaited_or_by_cancellation(
    make_client: MakeClient, clock: ManualClock, error: BaseException
) -> None:
    """Neither leaves the pool without a next attempt: the pushes end with the cause, not at their deadline."""

    def odd(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> asyncio.Future[object]:
        if isinstance(error, Exception):
            raise error
        failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        failed.set_exception(error)
        return failed

    outcome = await settle(clock, make_client(connect=odd).send(TOKEN, HELLO))
    assert isinstance(outcome, NotSent)
    assert "no proxy" in outcome.cause


async def test_a_connect_that_connects_nothing_is_a_failed_attempt(make_client: MakeClient, clock: ManualClock) -> None:
    """A `connect` that returns without having attached the protocol does not count as a connection."""

    async def idle(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        return None

    client = make_client(connect=idle)
    outcome = await settle(clock, client.send(TOKEN, HELLO))
    assert isinstance(outcome, NotSent)
    assert "3 attempts" in outcome.cause
    assert client.pool.connections == ()


async def test_untrusted_server(server: ApnsServer, signing_key: SigningKey, clock: ManualClock) -> None:
    """A server whose certificate is not trusted gets nothing, and the cause says why."""
    stranger = Client(
        signing_key,
        topic="com.example.app",
        endpoint=server.endpoint,
        connect_attempts=1,
        clock=clock,
    )
    outcome = await stranger.send(TOKEN, HELLO)
    await stranger.close()
    assert isinstance(outcome, NotSent)
    assert "certificate" in outcome.cause.lower()
    assert server.requests == []


@pytest.mark.parametrize("reason", ["ExpiredProviderToken", "UnrelatedKeyIdInToken"])
async def test_one_repetition_on_a_new_connection(server: ApnsServer, make_client: MakeClient, reason: str) -> None:
    """These two are sent once more, on a connection opened after them; then the rejection is the outcome."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = lambda peer, request: peer.reject(request, 403, reason)
    outcome = await client.send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == reason
    assert [len(peer.requests) for peer in server.peers] == [2, 1]


async def test_the_repetition_may_succeed(server: ApnsServer, make_client: MakeClient) -> None:
    """A wedged connection is left behind and the push is accepted on the next one (TOK-22)."""
    client = make_client()
    await client.send(TOKEN, HELLO)

    def wedged(peer: Peer, request: Received) -> None:
        if peer is server.peers[0]:
            peer.reject(request, 403, "ExpiredProviderToken")
        else:
            peer.accept(request)

    server.on_request = wedged
    assert all_accepted(await asyncio.gather(*send_all(client, 5)), 5)
    await server.until(lambda: server.peers[0].closed)


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "InternalServerError"), (429, "TooManyProviderTokenUpdates"), (503, "Shutdown")]
)
async def test_condemned_connections_are_replaced(
    server: ApnsServer, make_client: MakeClient, status: int, reason: str
) -> None:
    """After these answers the connection takes no more pushes (CONN-28); the answer itself is the outcome."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = lambda peer, request: peer.reject(request, status, reason)
    outcome = await client.send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    server.on_request = accept_all
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 2


async def test_a_new_topic_gets_a_fresh_connection_once(server: ApnsServer, make_client: MakeClient) -> None:
    """A topic the connection never carried is tried once on a fresh one (TOK-13, TOK-14)."""
    client = make_client()
    await client.send(TOKEN, HELLO)

    def knows_only_old_topics(peer: Peer, request: Received) -> None:
        if peer is server.peers[0] and header(request, b"apns-topic") == b"com.example.new":
            peer.reject(request, 400, "TopicDisallowed")
        else:
            peer.accept(request)

    server.on_request = knows_only_old_topics
    assert (await client.send(TOKEN, HELLO, topic="com.example.new")).ok
    assert len(server.peers) == 2


async def test_a_refused_topic_on_a_fresh_connection_is_final(server: ApnsServer, make_client: MakeClient) -> None:
    """On a connection without a past the same answer is the outcome at once."""
    server.on_request = lambda peer, request: peer.reject(request, 400, "TopicDisallowed")
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert len(server.requests) == 1


async def test_reconnect_on_request(server: ApnsServer, make_client: MakeClient) -> None:
    """`reconnect` lets open pushes finish and sends the next ones on a fresh connection (TOK-20)."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    pending = client.send(TOKEN, HELLO)
    await server.received(2)
    client.reconnect()
    server.on_request = accept_all
    assert (await client.send(TOKEN, HELLO)).ok
    server.peers[0].accept(server.requests[1])
    assert (await pending).ok
    assert len(server.peers) == 2


async def test_close_lets_pushes_finish(server: ApnsServer, make_client: MakeClient) -> None:
    """Closing waits for what is queued and open."""
    server.stream_limit = 2
    client = make_client(max_connections=1)
    sent = send_all(client, 20)
    await client.close()
    assert all_accepted([one.result() for one in sent], 20)
    await server.until(lambda: all(peer.closed for peer in server.peers))


async def test_close_is_bounded(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """After the drain's limit the open push is unknown and the waiting one is not sent."""
    server.on_request = hold
    client = make_client(max_connections=1)
    sent = send_all(client, 2)
    await server.received(1)
    closing = asyncio.ensure_future(client.close())
    for _ in range(3):
        await asyncio.sleep(0)  # the closing task, and in it the pool's, get to arm their timer
    clock.advance(4.9)
    await asyncio.sleep(0)
    assert not any(one.done() for one in sent)
    clock.advance(0.2)
    await closing
    assert [type(one.result()) for one in sent] == [Unknown, NotSent]


async def test_sending_after_close(server: ApnsServer, make_client: MakeClient) -> None:
    """A closed client sends nothing and says so in the outcome; closing twice is fine."""
    client = make_client()
    await client.close()
    await client.close()
    assert isinstance(await client.send(TOKEN, HELLO), NotSent)
    assert [type(one) async for one in client.send_many([(TOKEN, HELLO)])] == [NotSent]
    assert server.peers == []


async def test_no_timer_is_left_after_close(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """A closed client leaves nothing behind on the clock."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    await client.close()
    assert clock.pending == 0


async def test_certificate_mode(server: ApnsServer, make_client: MakeClient, authority: Authority) -> None:
    """With a certificate there is no authorization, no probing, and the topic comes from the subject (CERT-5)."""
    marks = [(x509.UnrecognizedExtension(ObjectIdentifier("1.2.840.113635.100.6.3.2"), b"\x05\x00"), False)]
    pem = authority.issue([(NameOID.USER_ID, "com.example.cert"), (NameOID.COMMON_NAME, "push")], list(marks))
    client = make_client(credential=Certificate.from_pem(*pem), topic=None)
    server.on_request = hold
    sent = send_all(client, 3)
    await server.received(3)
    peer = server.peers[0]
    subject = dict(pair[0] for pair in peer.transport.get_extra_info("peercert")["subject"])
    assert subject["userId"] == "com.example.cert"
    assert b"authorization" not in dict(server.requests[0].headers)
    assert header(server.requests[0], b"apns-topic") == b"com.example.cert"
    for request in server.requests:
        peer.accept(request)
    assert all_accepted(await asyncio.gather(*sent), 3)
    assert sorted(device(one) for one in server.requests) == tokens(3)
