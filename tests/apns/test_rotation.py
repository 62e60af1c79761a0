"""Changing the credential of a living client: rotation in peace, revocation at once."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.apns_server import ApnsServer, accept_all, header, hold
from support.credentials import key_id, make_key
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock
from support.tls import Authority

from heliogram.apns import (
    Accepted,
    Certificate,
    InvalidNotification,
    InvalidSigningKey,
    Notification,
    NotSent,
    SigningKey,
    Tuning,
    Unknown,
    sync,
)
from heliogram.apns.connect import Factory
from heliogram.apns.environment import Endpoint

pytestmark = pytest.mark.anyio

PATIENCE = 20 * 60
QUIET = Tuning(ping_after=1e9, max_age=1e9)


def make_certificate(authority: Authority, uid: str) -> Certificate:
    return Certificate.from_pem(*authority.issue([(NameOID.USER_ID, uid)], []))


def keys_used(server: ApnsServer) -> list[str]:
    return [key_id(one) for one in server.requests]


# ---- rotation


async def test_old_connections_drain(server: ApnsServer, make_client: MakeClient) -> None:
    """What is open finishes on the old connection; what comes after goes out on a new one, with the new key."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    pending = client.send(TOKEN, HELLO)
    await server.received(2)
    assert client.rotate(make_key(team_id="OTHER12345")) == 0
    server.on_request = accept_all
    assert (await client.send(TOKEN, HELLO)).ok
    assert not pending.done()
    assert not server.peers[0].closed
    server.peers[0].accept(server.requests[1])
    assert (await pending).ok
    await server.until(lambda: server.peers[0].closed)
    assert keys_used(server) == ["ABC123DEFG", "ABC123DEFG", "NEW123DEFG"]
    assert [len(peer.requests) for peer in server.peers] == [2, 1]


async def test_the_same_team_waits(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Another key of the team takes over 20 minutes after the team's last token, not earlier (TOK-9, TOK-10)."""
    client = make_client(tuning=QUIET)
    await client.send(TOKEN, HELLO)
    clock.advance(100)
    assert client.rotate(make_key()) == PATIENCE - 100
    clock.advance(PATIENCE - 101)
    await client.send(TOKEN, HELLO)
    clock.advance(1)
    await client.send(TOKEN, HELLO)
    assert keys_used(server) == ["ABC123DEFG", "ABC123DEFG", "NEW123DEFG"]
    assert len(server.peers) == 2


async def test_the_last_change_counts(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """The 20 minutes are counted from when a connection moved to the next slot's token."""
    client = make_client(tuning=QUIET)
    await client.send(TOKEN, HELLO)
    clock.advance(1850)
    await client.send(TOKEN, HELLO)
    clock.advance(5)
    assert client.rotate(make_key()) == PATIENCE - 5
    first, second = (header(one, b"authorization") for one in server.requests)
    assert first != second


@pytest.mark.parametrize("early", [1, 0])
async def test_the_edge_of_the_wait(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock, early: int
) -> None:
    """At 20 minutes there is nothing to wait for, a second before there is a second."""
    client = make_client(tuning=QUIET)
    await client.send(TOKEN, HELLO)
    clock.advance(PATIENCE - early)
    assert client.rotate(make_key()) == early


async def test_nothing_presented_nothing_to_wait_for(server: ApnsServer, make_client: MakeClient) -> None:
    """A client that has not opened a connection yet changes at once."""
    client = make_client()
    assert client.rotate(make_key()) == 0
    assert (await client.send(TOKEN, HELLO)).ok
    assert keys_used(server) == ["NEW123DEFG"]


async def test_the_same_key_with_other_topics(server: ApnsServer, make_client: MakeClient) -> None:
    """A key whose topics were changed signs the same tokens: fresh connections at once (TOK-14)."""
    private = ec.generate_private_key(ec.SECP256R1())

    def key(*topics: str) -> SigningKey:
        ids = {"key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}
        return SigningKey(private, **ids, environment="production", topics=topics)

    client = make_client(credential=key("com.example.app"))
    await client.send(TOKEN, HELLO)
    with pytest.raises(InvalidNotification):
        client.send(TOKEN, HELLO, topic="com.example.new")
    assert client.rotate(key("com.example.app", "com.example.new")) == 0
    assert (await client.send(TOKEN, HELLO, topic="com.example.new")).ok
    assert len(server.peers) == 2


async def test_a_detour_over_another_team_does_not_shorten_the_wait(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """The first team's change is remembered while another team's key is in use."""
    client = make_client(tuning=QUIET)
    await client.send(TOKEN, HELLO)
    assert client.rotate(make_key(team_id="OTHER12345")) == 0
    clock.advance(60)
    assert client.rotate(make_key()) == PATIENCE - 60


async def test_a_later_rotation_replaces_the_planned_one(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """Of two rotations that wait the later one happens, and once."""
    client = make_client(tuning=QUIET)
    await client.send(TOKEN, HELLO)
    client.rotate(make_key("FIRST12345"))
    clock.advance(10)
    assert client.rotate(make_key("SECOND1234")) == PATIENCE - 10
    clock.advance(PATIENCE)
    await client.send(TOKEN, HELLO)
    assert keys_used(server) == ["ABC123DEFG", "SECOND1234"]
    assert len(server.peers) == 2


async def test_never_three_tokens_within_twenty_minutes(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """Rotating every quarter of an hour for a day: a limiter for the whole team sees at most two tokens at a time."""
    client = make_client(tuning=QUIET)
    seen: list[tuple[float, bytes]] = []
    for i in range(96):
        client.rotate(make_key(f"KEY{i:07}"))
        for _ in range(3):
            assert (await client.send(TOKEN, HELLO)).ok
            seen.append((clock.elapsed, header(server.requests[-1], b"authorization")))
            clock.advance(300)
    for at, _ in seen:
        assert len({token for when, token in seen if at <= when < at + PATIENCE}) <= 2
    assert len({token for _, token in seen}) > 20


async def test_from_key_to_certificate_and_back(
    server: ApnsServer, make_client: MakeClient, authority: Authority, signing_key: SigningKey
) -> None:
    """A certificate needs no wait; its connections present it, and no token. Back to the same key needs none either."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    assert client.rotate(make_certificate(authority, "com.example.app")) == 0
    await client.send(TOKEN, HELLO)
    assert client.rotate(make_key()) > 0
    assert client.rotate(signing_key) == 0, "its token has been presented already"
    await client.send(TOKEN, HELLO)
    assert keys_used(server) == ["ABC123DEFG", "none", "ABC123DEFG"]
    shown = [peer.transport.get_extra_info("peercert") for peer in server.peers]
    assert not shown[0]
    assert shown[1]["subject"] == ((("userId", "com.example.app"),),)


async def test_the_topic_follows_the_certificate(
    server: ApnsServer, make_client: MakeClient, authority: Authority
) -> None:
    """Where the topic is the certificate's own, it is the new certificate's after the change (CERT-5)."""
    client = make_client(credential=make_certificate(authority, "com.example.one"), topic=None)
    await client.send(TOKEN, HELLO)
    client.rotate(make_certificate(authority, "com.example.two"))
    await client.send(TOKEN, HELLO)
    assert [header(one, b"apns-topic") for one in server.requests] == [b"com.example.one", b"com.example.two"]


async def test_queued_pushes_the_new_credential_cannot_send(server: ApnsServer, make_client: MakeClient) -> None:
    """They end as `NotSent` with the reason; the others go out with the new credential."""
    server.stream_limit = 1
    server.on_request = hold
    client = make_client(max_connections=1)
    first = client.send(TOKEN, HELLO)
    await server.received(1)
    foreign = client.send(TOKEN, Notification(alert="Hi", topic="com.example.other"))
    good = client.send(TOKEN, HELLO)
    server.on_request = accept_all
    client.rotate(make_key(team_id="OTHER12345", environment="production", topics={"com.example.app"}))
    outcome = await foreign
    assert isinstance(outcome, NotSent)
    assert "com.example.other is not among those of the key NEW123DEFG" in outcome.cause
    assert (await good).ok
    server.peers[0].refuse(server.requests[0])  # handed back, and within the new key's topics
    assert (await first).ok


async def test_handed_back_pushes_the_new_credential_cannot_send(server: ApnsServer, make_client: MakeClient) -> None:
    """The same for what an old connection hands back after the change."""
    server.on_request = hold
    client = make_client()
    sent = client.send(TOKEN, HELLO, topic="com.example.other")
    await server.received(1)
    client.rotate(make_key(team_id="OTHER12345", environment="production", topics={"com.example.app"}))
    server.peers[0].refuse(server.requests[0])
    assert isinstance(await sent, NotSent)


async def test_a_credential_that_cannot_work_changes_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """A key for the other environment is refused, and the client goes on with the old one."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    with pytest.raises(InvalidSigningKey, match="environment"):
        client.rotate(make_key(environment="sandbox"))
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 1


async def test_a_new_credential_is_tried_at_once(server: ApnsServer, make_client: MakeClient) -> None:
    """After APNs has condemned a certificate, the next credential need not wait for the back-off."""
    server.on_connect = lambda peer: peer.goaway(0, 0, b'{"reason":"BadCertificate"}')
    client = make_client()
    assert isinstance(await client.send(TOKEN, HELLO), NotSent)
    server.on_connect = lambda peer: None
    client.rotate(make_key(team_id="OTHER12345"))
    assert (await client.send(TOKEN, HELLO)).ok


async def test_closing(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Closing forgets what is planned and leaves no timer; a closed client takes no credential."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    assert client.rotate(make_key()) > 0
    await client.close()
    assert clock.pending == 0
    with pytest.raises(RuntimeError, match="closed"):
        client.rotate(make_key())


# ---- revocation


async def test_everything_closes_at_once(server: ApnsServer, make_client: MakeClient) -> None:
    """Open pushes end as unknown there and then, also on connections that were leaving; nothing more leaves."""
    client = make_client(max_connections=2)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    old = client.send(TOKEN, HELLO)
    await server.received(2)
    client.reconnect()
    sent = client.send(TOKEN, HELLO)
    await server.received(3)
    client.revoke()
    for one in (old, sent):
        outcome = one.result()
        assert isinstance(outcome, Unknown)
        assert outcome.cause == "the credential was revoked"
    late = client.send(TOKEN, HELLO)
    await server.until(lambda: all(peer.closed for peer in server.peers))
    assert len(server.peers) == 2
    assert len(server.requests) == 3
    assert not late.done()


async def test_waiting_pushes_go_out_with_the_next_credential(server: ApnsServer, make_client: MakeClient) -> None:
    """What waits for a connection waits for the new key, which waits for nothing, the same team's or not."""
    server.stream_limit = 1
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = hold
    sent = [client.send(token, HELLO) for token in tokens(10)]
    await server.received(2)
    client.revoke()
    server.on_request = accept_all
    assert client.rotate(make_key()) == 0
    assert isinstance(sent[0].result(), Unknown)
    outcomes = await asyncio.gather(*sent[1:])
    assert all(one.ok for one in outcomes)
    assert keys_used(server) == ["ABC123DEFG"] * 2 + ["NEW123DEFG"] * 9


async def test_no_next_credential(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Without one they end as `NotSent` at their deadline, and the cause says why."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    client.revoke()
    sent = client.send(TOKEN, HELLO, timeout=5)
    await server.until(lambda: server.peers[0].closed)
    clock.advance(5)
    outcome = sent.result()
    assert isinstance(outcome, NotSent)
    assert "the credential was revoked" in outcome.cause
    assert len(server.peers) == 1


async def test_closing_a_revoked_client(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Closing does not wait for a credential that will not come."""
    client = make_client()
    client.revoke()
    sent = client.send(TOKEN, HELLO)
    await client.close()
    outcome = sent.result()
    assert isinstance(outcome, NotSent)
    assert "the credential was revoked" in outcome.cause
    assert clock.pending == 0


async def test_a_planned_rotation_happens_now(server: ApnsServer, make_client: MakeClient) -> None:
    """There is nothing left to go on with, so the wait is over."""
    client = make_client()
    await client.send(TOKEN, HELLO)
    assert client.rotate(make_key()) > 0
    client.revoke()
    assert (await client.send(TOKEN, HELLO)).ok
    assert keys_used(server) == ["ABC123DEFG", "NEW123DEFG"]


async def test_while_a_connection_is_being_opened(server: ApnsServer, make_client: MakeClient) -> None:
    """A connection on its way is given up; the next one opens without waiting for it."""
    reached = asyncio.Event()
    ended: list[str] = []

    async def hang(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        reached.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.append("cancelled")

    client = make_client(connect=hang)
    sent = client.send(TOKEN, HELLO)
    await reached.wait()
    reached.clear()
    client.revoke()
    client.rotate(make_key())
    await reached.wait()
    assert ended == ["cancelled"]
    assert not sent.done()


async def test_a_connection_that_arrives_too_late(server: ApnsServer, make_client: MakeClient) -> None:
    """A `connect` that cannot be cancelled may arrive after the revocation: its connection carries nothing."""
    begun = asyncio.Event()

    async def stubborn(factory: Factory, endpoint: Endpoint, context: ssl.SSLContext) -> object:
        begun.set()
        loop = asyncio.get_running_loop()
        opening = loop.create_task(
            loop.create_connection(factory, endpoint.host, endpoint.port, ssl=context, server_hostname=endpoint.host)
        )
        while not opening.done():
            try:
                await asyncio.shield(opening)
            except asyncio.CancelledError:
                continue
        return opening.result()[0]

    client = make_client(connect=stubborn)
    sent = client.send(TOKEN, HELLO)
    await begun.wait()
    client.revoke()
    await server.connected(1)
    await server.until(lambda: server.peers[0].closed)
    assert server.requests == []
    assert client.pool.connections == ()
    assert client.rotate(make_key()) == 0
    assert (await sent).ok
    assert keys_used(server) == ["NEW123DEFG"]


async def test_without_an_event_loop(server: ApnsServer, authority: Authority, signing_key: SigningKey) -> None:
    """The facade for plain programs hands both on."""

    def program() -> list[bool]:
        with sync.Client(
            signing_key, topic="com.example.app", endpoint=server.endpoint, cafile=authority.cafile
        ) as client:
            first = client.send(TOKEN, HELLO).ok
            client.revoke()
            assert client.rotate(make_key()) == 0
            return [first, client.send(TOKEN, HELLO).ok]

    assert await asyncio.to_thread(program) == [True, True]
    assert keys_used(server) == ["ABC123DEFG", "NEW123DEFG"]


async def test_a_rotation_in_mid_burst_loses_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """Rotated in the middle of a thousand pushes: each is accepted, once."""
    client = make_client()
    outcomes = []
    async for outcome in client.send_many((token, HELLO) for token in tokens(1000)):
        outcomes.append(outcome)
        if len(outcomes) == 300:
            client.rotate(make_key("OTHER12345", team_id="OTHER12345"))
    assert all_accepted(outcomes, 1000)
    assert len(server.requests) == 1000


async def test_a_revocation_in_mid_burst(server: ApnsServer, make_client: MakeClient) -> None:
    """Revoked in the middle: one outcome each, unknown for what was on the wire, accepted for the rest."""
    client = make_client()
    outcomes = []
    async for outcome in client.send_many(((token, HELLO) for token in tokens(3000)), concurrency=900):
        outcomes.append(outcome)
        if len(outcomes) == 1000:
            client.revoke()
            client.rotate(make_key())
    assert sorted(one.device_token for one in outcomes) == tokens(3000)
    assert {type(one) for one in outcomes} <= {Accepted, Unknown}
    assert sum(isinstance(one, Unknown) for one in outcomes) <= 900
