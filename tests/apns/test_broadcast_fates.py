"""Broadcasts over TLS: outcomes, what is sent again, hosts, the how-to (apns-rules 6.3 and 6.4)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer, Peer, header, hold
from support.callers import (
    BUNDLE,
    CHANNEL,
    REFUSALS,
    UUID,
    MakeBroadcasts,
    answer,
    goal,
    refuse,
    respond,
)
from support.manual_clock import ManualClock
from support.tls import Authority, key_pem

from heliogram.apns import (
    BroadcastClient,
    Endpoint,
    Environment,
    NotSent,
    Rejected,
    SigningKey,
    Unknown,
    environment,
)
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

OK = answer(200)
HOWTO = Path(__file__).parents[2] / "docs/howto/broadcast.md"


# ---- outcomes


async def test_each_reason(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """Every row of 6.4 is a `Rejected` with APNs' own word, known to the table, and nothing is repeated."""
    client = make_broadcasts()
    for count, (status, reason) in enumerate(REFUSALS, 1):
        server.on_request = OK
        await client.send(CHANNEL, goal())
        server.on_request = refuse(status, reason)
        outcome = await client.send(CHANNEL, goal())
        assert isinstance(outcome, Rejected)
        assert (outcome.device_token, outcome.status, outcome.reason) == (CHANNEL, status, reason)
        assert outcome.policy.name == reason
        assert status in outcome.policy.statuses
        assert len(server.requests) == 2 * count


async def test_expired_token_is_repeated_once(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """`ExpiredProviderToken` goes once more, on a new connection with the same id."""
    client = make_broadcasts()
    await client.send(CHANNEL, goal())

    def expired(peer: Peer, request: Received) -> None:
        if peer is server.peers[0]:
            refuse(403, "ExpiredProviderToken")(peer, request)
        else:
            respond(peer, request, 200)

    server.on_request = expired
    assert (await client.send(CHANNEL, goal(), request_id=UUID)).ok
    assert [header(one, b"apns-request-id") for one in server.requests[1:]] == [UUID.encode()] * 2


async def test_refused_stream_is_sent_again(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """REFUSED_STREAM is not processed: the same request again (CONN-17)."""

    def refuse_once(peer: Peer, request: Received) -> None:
        if len(server.requests) == 1:
            peer.refuse(request)
        else:
            respond(peer, request, 200)

    server.on_request = refuse_once
    assert (await make_broadcasts().send(CHANNEL, goal())).ok
    first, second = server.requests
    assert (first.headers, first.body) == (second.headers, second.body)


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_what_was_written_is_not_sent_again(
    server: ApnsServer, make_broadcasts: MakeBroadcasts, how: str
) -> None:
    """Without an answer a broadcast is `Unknown`: everybody may have it."""
    server.on_request = lambda peer, request: peer.cut() if how == "cut" else peer.reset(request, 2)
    outcome = await make_broadcasts().send(CHANNEL, goal(), tag=7)
    assert isinstance(outcome, Unknown)
    assert (outcome.device_token, outcome.tag) == (CHANNEL, 7)
    assert len(server.requests) == 1


async def test_deadlines(server: ApnsServer, make_broadcasts: MakeBroadcasts, clock: ManualClock) -> None:
    """At its deadline a written broadcast is `Unknown`, one that waits is `NotSent`."""
    server.on_request = hold
    client = make_broadcasts(max_connections=1)
    written = client.send(CHANNEL, goal(), timeout=6)
    await server.received(1)
    waiting = client.send(CHANNEL, goal(), timeout=5)
    clock.advance(5)
    assert isinstance(waiting.result(), NotSent)
    assert not written.done()
    clock.advance(1)
    assert isinstance(written.result(), Unknown)


async def test_many_channels(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """One notification to hundreds of channels at once: an outcome each, one stream until authenticated."""
    client = make_broadcasts()
    notification = goal()
    sent = [client.send(f"channel{i}", notification) for i in range(500)]
    outcomes = await asyncio.gather(*sent)
    assert [one.device_token for one in outcomes] == [f"channel{i}" for i in range(500)]
    assert all(one.ok for one in outcomes)
    reached = sorted(header(one, b"apns-channel-id") for one in server.requests)
    assert reached == sorted(b"channel%d" % i for i in range(500))


async def test_close(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """What is open finishes; after that a broadcast is `NotSent`."""
    server.on_request = hold
    client = make_broadcasts()
    sent = client.send(CHANNEL, goal())
    await server.received(1)
    closing = asyncio.ensure_future(client.close())
    await asyncio.sleep(0)
    respond(server.peers[0], server.requests[0], 200)
    await closing
    assert sent.result().ok
    late = await client.send(CHANNEL, goal())
    assert isinstance(late, NotSent)
    assert "closed" in late.cause


# ---- hosts, and the how-to


@pytest.mark.parametrize(
    ("chosen", "endpoint", "host"),
    [
        (Environment.PRODUCTION, None, "api.push.apple.com"),
        ("sandbox", None, "api.sandbox.push.apple.com"),
        ("production", "api-broadcast.push.apple.com", "api-broadcast.push.apple.com"),
    ],
)
async def test_hosts(
    make_broadcasts: MakeBroadcasts, chosen: Environment | str, endpoint: str | None, host: str
) -> None:
    """The host is the one of device pushes, and can be set (CONN-4, CONN-4a)."""
    dialed: list[Endpoint] = []

    async def note(factory: object, where: Endpoint, context: object) -> object:
        dialed.append(where)
        raise OSError("enough")

    client = make_broadcasts(environment=chosen, endpoint=endpoint, connect=note, connect_attempts=1)
    assert isinstance(await client.send(CHANNEL, goal()), NotSent)
    assert dialed == [Endpoint(host, 443)]


def test_repr(signing_key: SigningKey) -> None:
    """The text for people has the app and the counts."""
    shown = repr(BroadcastClient(signing_key, bundle_id=BUNDLE))
    assert shown == (
        "<BroadcastClient com.example.app, <Pool api.push.apple.com: 0 of 4 connections, "
        "0 leaving, 0 in flight, 0 waiting>>"
    )


async def test_the_howto_runs(
    server: ApnsServer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The how-to's program does what it says, against a server in Apple's place."""

    def apple(peer: Peer, request: Received) -> None:
        match header(request, b":method"), header(request, b":path").rpartition(b"/")[2]:
            case b"POST", b"channels":
                respond(peer, request, 201, b"", (b"apns-channel-id", CHANNEL.encode()))
            case b"GET", b"channels":
                respond(peer, request, 200, b'{"message-storage-policy":1,"push-type":"LiveActivity"}')
            case b"GET", _:
                respond(peer, request, 200, b'{"channels":["%b"]}' % CHANNEL.encode())
            case b"DELETE", _:
                respond(peer, request, 204)
            case _:
                respond(peer, request, 200)

    server.on_request = apple
    (tmp_path / "AuthKey_ABC123DEFG.p8").write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1())))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", authority.cafile)
    here = Endpoint.parse(server.endpoint)
    monkeypatch.setitem(environment._ENDPOINTS, Environment.SANDBOX, here)
    monkeypatch.setitem(environment._CHANNEL_ENDPOINTS, Environment.SANDBOX, here)
    program, *_ = re.findall(r"```python\n(.*?)```", HOWTO.read_text("utf-8"), re.DOTALL)
    definitions, _, last = program.partition("asyncio.run(main())")
    assert not last.strip()
    scope: dict[str, Any] = {}
    exec(definitions, scope)  # noqa: S102 - the project's own page
    await scope["main"]()
    methods = [header(one, b":method") for one in server.requests]
    assert methods == [b"POST", b"GET", b"GET", b"POST", b"DELETE"]
    assert f"device_token='{CHANNEL}'" in capsys.readouterr().out
