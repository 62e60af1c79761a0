"""What users of other libraries suffer, from T8 on; the first half is in test_lessons.py."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer, Peer, device, header, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock
from support.proxies import HttpProxy

from heliogram.apns import (
    Client,
    Notification,
    NotSent,
    PushType,
    Rejected,
    SigningKey,
    SystemClock,
    Tuning,
    Unknown,
)
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


# The pause after a connection whose first answer condemns it, as short as it gets.
QUICK = {"clock": SystemClock(), "tuning": Tuning(back_off=0.001, max_back_off=0.001)}


def presented(server: ApnsServer) -> list[list[bytes]]:
    """The distinct provider tokens of each connection, in order."""
    return [list(dict.fromkeys(header(one, b"authorization") for one in peer.requests)) for peer in server.peers]


# ---- T8: duplicates


async def test_t8_every_attempt_has_the_same_id(server: ApnsServer, make_client: MakeClient) -> None:
    """T8: after a refusal, a GOAWAY or an expired token a push goes again with its id; when unknown, not at all."""

    def script(peer: Peer, request: Received) -> None:
        attempt = len(server.requests)
        if attempt == 2:
            peer.refuse(request)
        elif attempt == 3:
            peer.goaway(request.stream_id - 2)
        elif attempt == 4:
            peer.reject(request, 403, "ExpiredProviderToken")
        else:
            peer.accept(request)

    server.on_request = script
    client = make_client(**QUICK)
    await client.send(tokens(2)[0], HELLO)
    assert (await client.send(tokens(2)[1], HELLO)).ok
    assert len({header(one, b"apns-id") for one in server.requests[1:]}) == 1
    assert len(server.requests) == 5
    server.on_request = lambda peer, request: peer.cut()
    assert isinstance(await client.send(TOKEN, HELLO), Unknown)
    assert len(server.requests) == 6


# ---- T9: many teams and apps in one process


async def test_t9_clients_share_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """T9: two teams and two topics side by side, at once: each push carries its own team's token and its own topic."""
    keys = [
        SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id=f"ABC123DEF{n}", team_id=f"DEF123GHI{n}")
        for n in range(2)
    ]
    clients = [make_client(credential=key, topic=f"com.example.app{n}") for n, key in enumerate(keys)]
    await asyncio.gather(*(clients[n % 2].send(token, HELLO) for n, token in enumerate(tokens(200))))
    pairs = {
        (int(device(one), 16) % 2, header(one, b"apns-topic"), header(one, b"authorization")) for one in server.requests
    }
    assert len(pairs) == len({token for _, _, token in pairs}) == 2
    assert {(which, topic) for which, topic, _ in pairs} == {(0, b"com.example.app0"), (1, b"com.example.app1")}
    assert [len(shown) for shown in presented(server)] == [1] * len(server.peers)


# ---- T10: Live Activities


async def test_t10_live_activities(server: ApnsServer, make_client: MakeClient) -> None:
    """T10: start, update and end are ordinary pushes, to tokens of any length, with type, topic and priority right."""
    client = make_client()
    start = Notification(
        push_type=PushType.LIVEACTIVITY,
        event="start",
        timestamp=1_800_000_000,
        content_state={"score": 0},
        attributes_type="Game",
        attributes={"home": "A"},
        alert="Kick-off",
    )
    update = Notification(
        push_type=PushType.LIVEACTIVITY, event="update", timestamp=1_800_000_001, content_state={"score": 1}
    )
    assert (await client.send("ab" * 80, start)).ok
    assert (await client.send("ab" * 80, update)).ok
    for request in server.requests:
        assert header(request, b"apns-push-type") == b"liveactivity"
        assert header(request, b"apns-topic") == b"com.example.app.push-type.liveactivity"
        assert header(request, b"apns-priority") in (b"5", b"10")


# ---- T12: retry storms


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "InternalServerError"), (503, "ServiceUnavailable"), (429, "TooManyRequests")]
)
async def test_t12_the_engine_does_not_retry(
    server: ApnsServer, make_client: MakeClient, status: int, reason: str
) -> None:
    """T12: an answer is an answer: one request for each push, and `Retry-After` handed to whoever decides."""

    def busy(peer: Peer, request: Received) -> None:
        peer.answer(request, status, b'{"reason":"%b"}' % reason.encode(), (b"retry-after", b"30"))

    server.on_request = busy
    client = make_client(**QUICK)
    outcomes = [await client.send(token, HELLO) for token in tokens(10)]
    assert [one.retry_after for one in outcomes if isinstance(one, Rejected)] == [30] * 10
    assert len(server.requests) == 10


async def test_t12_connecting_is_bounded(make_client: MakeClient, clock: ManualClock) -> None:
    """T12: with nobody there, thousands of pushes cost three attempts to connect, with pauses, and all end."""
    attempts: list[float] = []

    async def nobody(*_: object) -> object:
        attempts.append(clock.monotonic())
        raise ConnectionRefusedError("nobody listens")

    client = make_client(connect=nobody, tuning=Tuning(back_off=1))
    sent = [client.send(token, HELLO) for token in tokens(2000)]
    while not all(one.done() for one in sent):
        clock.advance(0.1)
        for _ in range(4):
            await asyncio.sleep(0)
    assert all(isinstance(one.result(), NotSent) for one in sent)
    assert len(attempts) == 3
    assert attempts[2] - attempts[0] > 1


# ---- T13: security


async def test_t13_the_server_is_verified(
    server: ApnsServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T13: a server whose certificate names another host gets no push and no provider token."""
    port = int(server.endpoint.rpartition(":")[2])

    async def found(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    client = make_client(endpoint=f"api.push.example:{port}", connect_attempts=1)
    outcome = await client.send(TOKEN, HELLO)
    assert isinstance(outcome, NotSent)
    assert "api.push.example" in outcome.cause
    assert server.requests == []


async def test_t13_no_secret_is_shown(server: ApnsServer, make_client: MakeClient, signing_key: SigningKey) -> None:
    """T13: neither the key nor a provider token is in a repr, an outcome or an error."""
    server.on_request = lambda peer, request: peer.reject(request, 403, "InvalidProviderToken")
    client = make_client()
    outcome = await client.send(TOKEN, HELLO)
    secret = header(server.requests[0], b"authorization").removeprefix(b"bearer ").decode()
    shown = " ".join(map(repr, (client, client.pool, client.pool.connections, outcome, signing_key)))
    assert secret not in shown
    assert secret.split(".")[2] not in shown
    assert "PRIVATE" not in shown


# ---- T14: throughput


async def test_t14_pushes_do_not_wait_for_each_other(server: ApnsServer, make_client: MakeClient) -> None:
    """T14: a thousand pushes are under way at once after one answer, in few writes: no round trip for each."""
    server.initial_window = 1 << 20
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    peer = server.peers[0]
    before = peer.writes
    sent = [client.send(token, HELLO) for token in tokens(900)]
    await server.received(901)
    assert peer.session.open_streams == 900
    assert peer.writes - before < 20
    for request in server.requests[1:]:
        peer.accept(request)
    assert all_accepted(await asyncio.gather(*sent), 900)


async def test_t14_large_payloads_take_more_connections(server: ApnsServer, make_client: MakeClient) -> None:
    """T14: when a connection's window is used up by 4 KB payloads, others carry on beside it."""
    client = make_client(max_connections=4)
    large = Notification(payload=b'{"aps":{},"x":"' + b"y" * 4000 + b'"}')
    await client.send(TOKEN, large)
    first = server.peers[0]
    first.deaf = True  # no window is given back
    sent = [client.send(token, large, timeout=1000) for token in tokens(100)]
    await server.until(lambda: len(server.requests) > 80)
    first.deaf = False
    assert len(server.peers) > 1
    assert sum(one.done() and one.result().ok for one in sent) + sum(not one.done() for one in sent) == 100


# ---- T15: proxies


async def test_t15_through_a_proxy(server: ApnsServer, make_client: MakeClient) -> None:
    """T15: an HTTP proxy is one option of the client, and TLS is with APNs itself, not with the proxy."""
    async with HttpProxy(login=("user", "secret")) as proxy:
        client = make_client(proxy=proxy.url("user:secret"))
        assert all_accepted(await asyncio.gather(*[client.send(token, HELLO) for token in tokens(100)]), 100)
        assert proxy.connections == 1
        assert "secret" not in repr(client)
        await client.close()


# ---- T11: testing without Apple


async def test_t11_another_server_is_an_option(server: ApnsServer, make_client: MakeClient) -> None:
    """T11: the client talks to any server over the same TLS, with the same checks, by two plain options.

    Against the whole simulator: tests/apns/test_simulator.py.
    """
    client = make_client(rng=random.Random(1))
    assert isinstance(client, Client)
    assert (await client.send(TOKEN, HELLO)).ok
    assert server.peers[0].transport.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
