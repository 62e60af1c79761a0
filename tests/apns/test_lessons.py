"""What users of other libraries suffer, one test a theme: each fails when the old mistake is made again.

The themes are those of push libraries' issue trackers, 2015 to 2026; `T1` to `T15` number them. From T8
on they are in test_lessons_more.py.
"""

from __future__ import annotations

import asyncio
import gc

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer, Peer, accept_all, device, header, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock
from support.tls import key_pem

from heliogram.apns import (
    Accepted,
    NotSent,
    OnToken,
    Rejected,
    SigningKey,
    Unknown,
)
from heliogram.apns.providertoken import FLOOR, MAX_AGE, SLOT
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


def presented(server: ApnsServer) -> list[list[bytes]]:
    """The distinct provider tokens of each connection, in order."""
    return [list(dict.fromkeys(header(one, b"authorization") for one in peer.requests)) for peer in server.peers]


# ---- T1: TooManyProviderTokenUpdates


async def test_t1_a_young_connection_keeps_its_token(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """T1: a connection opened late in a token's life does not change it within 20 minutes (TOK-9)."""
    client = make_client()
    clock.advance(SLOT - (clock.time() - 120) % SLOT - 10)  # ten seconds before the next slot
    for _ in range(125):
        assert (await client.send(TOKEN, HELLO)).ok
        clock.wall += 10
        clock.elapsed += 10
    [shown] = presented(server)
    assert len(shown) == 1
    clock.wall += 60
    clock.elapsed += 60
    await client.send(TOKEN, HELLO)
    assert len(presented(server)[0]) == 2


async def test_t1_every_process_has_the_same_token(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """T1: the same key in another process, or after a restart, presents the very same bytes (TOK-10)."""
    private = ec.generate_private_key(ec.SECP256R1())
    for _ in range(3):
        key = SigningKey.from_p8(key_pem(private), key_id="ABC123DEFG", team_id="DEF123GHIJ")
        await make_client(credential=key).send(TOKEN, HELLO)
        clock.advance(60)
    assert len({shown[0] for shown in presented(server)}) == 1
    assert 21 * 60 == FLOOR < MAX_AGE < 3600


# ---- T2: silent connections, pushes without an answer


async def test_t2_every_push_ends(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """T2: with a server that answers nothing, each push ends at its deadline and says whether it may have arrived."""
    server.on_request = hold
    client = make_client(max_connections=1, timeout=20)
    sent = [client.send(token, HELLO) for token in tokens(50)]
    await server.received(1)
    clock.advance(20)
    kinds = [type(await asyncio.wait_for(one, 90)) for one in sent]
    assert kinds == [Unknown] + [NotSent] * 49


async def test_t2_a_dead_connection_is_closed(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """T2: a PING that nobody answers closes the connection, and the next push takes another (CONN-24)."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    dead = server.peers[0]
    dead.deaf = dead.mute = True
    before = dead.writes
    clock.advance(60)
    await server.until(lambda: dead.writes > before)
    clock.advance(10)
    await server.until(lambda: dead.closed)
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 2


# ---- T3: GOAWAY


async def test_t3_goaway_loses_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """T3: after GOAWAY open pushes get their answers, the others go out again at once, and none counts as a failure."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = [client.send(token, HELLO) for token in tokens(20)]
    await server.received(21)
    old, early = server.peers[0], server.requests[1:11]
    server.on_request = accept_all
    old.goaway(early[-1].stream_id)
    await server.connected(2)
    for request in early:
        old.accept(request)
    assert all_accepted(await asyncio.gather(*sent), 20)
    assert [device(one) for one in server.peers[1].requests] == tokens(20)[10:]


# ---- T4: the stream limit, and bad tokens among good ones


async def test_t4_the_live_limit_is_kept(server: ApnsServer, make_client: MakeClient) -> None:
    """T4: one stream at first, then never one more than the limit of the moment, also when it falls (CONN-14)."""
    limits = 0

    def fickle(peer: Peer, request: Received) -> None:
        nonlocal limits
        peer.accept(request)
        if len(peer.requests) % 100 == 0:
            limits += 1
            peer.limit(1 if limits % 2 else 50)

    server.on_request = hold
    client = make_client(max_connections=1)
    sent = [client.send(token, HELLO) for token in tokens(2000)]
    await server.received(1)
    peer = server.peers[0]
    assert peer.session.open_streams == 1
    server.on_request = fickle
    peer.accept(server.requests[0])
    assert all_accepted(await asyncio.gather(*sent), 2000)
    assert limits > 10
    opened = (peer.session.last_stream_id + 1) // 2
    assert opened == len(peer.requests) == 2000, "a stream above the limit was opened, and refused"


async def test_t4_a_bad_token_harms_nobody(server: ApnsServer, make_client: MakeClient) -> None:
    """T4: what APNs or we ourselves say no to ends alone: the batch's other pushes are accepted."""
    bad = set(tokens(500)[::7])

    def picky(peer: Peer, request: Received) -> None:
        if device(request) in bad:
            peer.reject(request, 400, "BadDeviceToken")
        else:
            peer.accept(request)

    server.on_request = picky
    items = [*((token, HELLO) for token in tokens(500)), ("not a token", HELLO)]
    outcomes = [one async for one in make_client().send_many(items)]
    assert len(outcomes) == 501
    assert {one.device_token for one in outcomes if isinstance(one, Rejected)} == bad
    assert sum(isinstance(one, NotSent) for one in outcomes) == 1
    assert len(server.peers) == 1


async def test_t4_a_refused_stream_is_sent_again(server: ApnsServer, make_client: MakeClient) -> None:
    """T4: REFUSED_STREAM was not processed: no failure of the push, and nothing that a caller sees (CONN-17)."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = lambda peer, request: peer.refuse(request) if len(peer.requests) < 15 else peer.accept(request)
    assert all_accepted(await asyncio.gather(*[client.send(token, HELLO) for token in tokens(10)]), 10)


# ---- T5: memory


async def test_t5_nothing_is_left_of_ended_pushes(server: ApnsServer, make_client: MakeClient) -> None:
    """T5: after answers of every kind no book of the client holds anything of them."""

    def mixed(peer: Peer, request: Received) -> None:
        kind = len(peer.requests) % 5
        if kind == 0:
            peer.reject(request, 410, "Unregistered", timestamp=1_700_000_000_000)
        elif kind == 1 and len(peer.requests) > 10:
            peer.reset(request, 2)
        else:
            peer.accept(request)

    server.on_request = mixed
    client = make_client(max_connections=1)

    async def objects(count: int) -> int:
        async for _ in client.send_many(((token, HELLO) for token in tokens(count)), concurrency=200):
            pass
        server.requests.clear()
        for peer in server.peers:
            peer.requests.clear()
            peer.events.clear()
        gc.collect()
        return len(gc.get_objects())

    await objects(6000)
    before = await objects(200)
    assert await objects(3000) < before + 300
    [connection] = client.pool.connections
    session = connection._session
    assert (client.pool.waiting, client.pool.inflight) == (0, 0)
    assert [len(book) for book in (session._open, session._answers, session._credit, session._blocked)] == [0] * 4


# ---- T6: dead tokens


async def test_t6_a_dead_token_is_told_with_its_time(server: ApnsServer, make_client: MakeClient) -> None:
    """T6: 410 comes with its time in milliseconds; only 410 calls a token dead, never a 403, 429 or 5xx (RESP-6)."""
    answers = [(410, "Unregistered"), (400, "BadDeviceToken"), (403, "Forbidden"), (429, "TooManyRequests"), (500, "X")]

    def script(peer: Peer, request: Received) -> None:
        status, reason = answers[int(device(request), 16)]
        peer.reject(request, status, reason, **({"timestamp": 1_700_000_000_123} if status == 410 else {}))

    server.on_request = script
    client = make_client()
    outcomes = [await client.send(token, HELLO) for token in tokens(len(answers))]
    rejected = [one for one in outcomes if isinstance(one, Rejected)]
    assert [one.timestamp for one in rejected] == [1_700_000_000_123, None, None, None, None]
    keep = OnToken.KEEP
    assert [one.policy.token for one in rejected] == [OnToken.REMOVE, OnToken.QUARANTINE, keep, keep, keep]


# ---- T7: the truth about each notification


async def test_t7_an_outcome_tells_all(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """T7: device, id, unique id, status, reason, the caller's tag and the time on the wire are in the outcome."""
    server.on_request = hold
    client = make_client()
    sent = client.send(TOKEN, HELLO)
    [request] = await server.received(1)
    clock.advance(0.25)
    server.peers[0].accept(request, (b"apns-unique-id", b"4084a6e4"))
    accepted = await sent
    own = header(request, b"apns-id").decode()
    assert accepted == Accepted(TOKEN, own, "4084a6e4", None, 250)
    server.on_request = lambda peer, request: peer.reject(request, 400, "TopicDisallowed")
    rejected = await client.send(TOKEN, HELLO)
    assert isinstance(rejected, Rejected)
    assert (rejected.status, rejected.reason, rejected.device_token) == (400, "TopicDisallowed", TOKEN)
