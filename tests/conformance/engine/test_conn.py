"""CONN rules as the engine keeps them: hosts, TLS, HTTP/2."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from typing import Any

import pytest
from support.apns_server import ApnsServer, accept_all, header, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.frames import split
from support.tls import Authority

from heliogram.apns import Environment, SigningKey
from heliogram.apns.connect import tls_context
from heliogram.apns.environment import Endpoint
from heliogram.wire import ClientSession, Request
from heliogram.wire import frames as f

pytestmark = pytest.mark.anyio


def test_hosts() -> None:
    """CONN-1, CONN-2: Apple's hosts are the default, on 443; any other, such as the older alias, is a setting."""
    assert str(Environment.SANDBOX.endpoint.host) == "api.sandbox.push.apple.com"
    alias = Endpoint.parse("api.development.push.apple.com")
    assert (alias.host, alias.port) == ("api.development.push.apple.com", 443)


async def test_every_connection_looks_the_host_up(
    server: ApnsServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONN-7: a lookup for each connection, its addresses in random order, the next one when one does not answer."""
    loop = asyncio.get_running_loop()
    port = int(server.endpoint.rpartition(":")[2])
    lookups: list[object] = []
    first: list[str] = []

    async def two_addresses(host: object, *_: object, **__: object) -> list[Any]:
        lookups.append(host)
        first.append("")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.9")]

    connect = loop.create_connection

    async def noted(factory: Any, host: str, *rest: Any, **options: Any) -> Any:
        first[-1] = first[-1] or host
        return await connect(factory, host, *rest, **options)

    monkeypatch.setattr(loop, "getaddrinfo", two_addresses)
    monkeypatch.setattr(loop, "create_connection", noted)
    client = make_client(endpoint=f"localhost:{port}", rng=random.Random(3))
    for _ in range(8):
        assert (await client.send(TOKEN, HELLO)).ok
        client.reconnect()
    assert lookups == ["localhost"] * 8
    assert set(first) == {"127.0.0.1", "127.0.0.9"}


def test_tls_1_2_is_the_least() -> None:
    """CONN-8: nothing older than TLS 1.2 is offered, and certificate and host name are verified."""
    context = tls_context(None)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("alpn", [["h2"], []])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_versions_and_alpn(
    authority: Authority, make_client: MakeClient, version: ssl.TLSVersion, alpn: list[str]
) -> None:
    """CONN-8, CONN-11: TLS 1.2 and 1.3; ALPN `h2` is offered and a server that chooses nothing is served too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.load_server(context)
    context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    async with ApnsServer(context) as other:
        client = make_client(endpoint=other.endpoint)
        assert (await client.send(TOKEN, HELLO)).ok
        chosen = other.peers[0].transport.get_extra_info("ssl_object").selected_alpn_protocol()
        assert chosen == ("h2" if alpn else None)


async def test_no_client_certificate_in_token_mode(server: ApnsServer, make_client: MakeClient) -> None:
    """CONN-9: a server that asks for a certificate gets none from a client with a signing key, and that is fine."""
    assert (await make_client().send(TOKEN, HELLO)).ok
    assert not server.peers[0].transport.get_extra_info("peercert")


def test_no_priority_frames() -> None:
    """CONN-16: PRIORITY is never sent, as a frame or as a flag."""
    session = ClientSession(b"api.push.apple.com", initial_stream_limit=20)
    shared = session.head([(b"apns-topic", b"com.example.app")])
    batch = [Request(shared, b"/3/device/ab", ((b"apns-id", b"1"),), b"{}", n) for n in range(20)]
    assert session.submit(batch) == 20
    frames = split(session.take())
    assert len(frames) > 40
    assert not any(kind == f.PRIORITY or (kind == f.HEADERS and flags & f.WITH_PRIORITY) for kind, flags, *_ in frames)


async def test_a_goaway_of_plain_text_is_told(server: ApnsServer, make_client: MakeClient) -> None:
    """CONN-18, SUR-4: debug data need not be JSON; its text is the cause, and nothing is lost."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = client.send(TOKEN, HELLO)
    await server.received(2)
    [connection] = client.pool.connections
    server.on_request = accept_all
    server.peers[0].goaway(1, 7, b"Maximum active streams violated for this endpoint.")
    assert (await sent).ok
    assert connection.cause.text == "GOAWAY with code 7: Maximum active streams violated for this endpoint."


async def test_no_limit_of_our_own(server: ApnsServer, make_client: MakeClient) -> None:
    """CONN-19: what the server allows is what is used, 1,500 streams at once on one connection."""
    server.stream_limit = 1500
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    small = [client.send(token, HELLO) for token in tokens(1500)]
    await server.received(1501)
    peer = server.peers[0]
    assert peer.session.open_streams == 1500
    for request in server.requests[1:]:
        peer.accept(request)
    assert all_accepted(await asyncio.gather(*small), 1500)


async def test_a_connection_serves_for_long(server: ApnsServer, make_client: MakeClient) -> None:
    """CONN-23, CONN-25: no number of pushes after which a connection is given up; 5,000 go over one."""
    client = make_client(max_connections=1)
    outcomes = [one async for one in client.send_many((token, HELLO) for token in tokens(5000))]
    assert all_accepted(outcomes, 5000)
    assert len(server.peers) == 1


async def test_the_queue_is_spread(server: ApnsServer, make_client: MakeClient) -> None:
    """CONN-26: with several connections each takes its share."""
    server.stream_limit = 10
    client = make_client(max_connections=4)
    outcomes = [one async for one in client.send_many((token, HELLO) for token in tokens(2000))]
    assert all_accepted(outcomes, 2000)
    shares = [len(peer.requests) for peer in server.peers]
    assert len(shares) == 4
    assert min(shares) > 100


async def test_headers_are_unique(server: ApnsServer, make_client: MakeClient, signing_key: SigningKey) -> None:
    """REQ-4, CONN-30: no header comes twice; `:authority` is there and `host` is not."""
    await make_client().send(TOKEN, HELLO)
    names = [name for name, _ in server.requests[0].headers]
    assert len(names) == len(set(names))
    assert b"host" not in names
    assert header(server.requests[0], b":authority") == server.endpoint.encode()
