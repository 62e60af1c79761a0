"""Certificate mode on the wire: TLS client authentication, and how APNs says that it does not like a certificate."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from support.alerting import AlertingServer
from support.apns_server import ApnsServer, Peer, accept_all, header, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock
from support.tls import Authority

from heliogram.apns import Certificate, NotSent, Outcome, Tuning, Unknown

pytestmark = pytest.mark.anyio

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
GOODBYE = b'{"reason":"BadCertificateEnvironment"}'


def issue(authority: Authority, uid: str = "com.example.app") -> tuple[Certificate, x509.Certificate]:
    """A push certificate, for the engine and for looking at."""
    pem, key = authority.issue([(NameOID.COMMON_NAME, "push"), (NameOID.USER_ID, uid)], [])
    return Certificate.from_pem(pem, key), x509.load_pem_x509_certificate(pem)


def strict_context(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Requires a client certificate that the authority signed."""
    context = authority.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    return context


def revocation_list(authority: Authority, folder: Path, *revoked: x509.Certificate) -> str:
    """The path of a list with these certificates on it."""
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(start)
        .next_update(datetime.datetime(2124, 1, 1, tzinfo=datetime.UTC))
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(start).build()
        builder = builder.add_revoked_certificate(entry)
    path = folder / "crl.pem"
    path.write_bytes(builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return str(path)


@pytest.fixture(params=VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture
async def server(anyio_backend: str, authority: Authority, version: ssl.TLSVersion) -> AsyncIterator[ApnsServer]:
    """In place of the usual one: it wants a certificate."""
    async with ApnsServer(strict_context(authority, version)) as server:
        yield server


async def test_the_certificate_is_presented(
    server: ApnsServer, make_client: MakeClient, authority: Authority, version: ssl.TLSVersion
) -> None:
    """The server gets this very certificate, by either TLS, and no authorization (CERT-11)."""
    certificate, plain = issue(authority)
    assert (await make_client(credential=certificate, topic=None).send(TOKEN, HELLO)).ok
    tls = server.peers[0].transport.get_extra_info("ssl_object")
    assert tls.version() == version.name.replace("v1_", "v1.")
    assert tls.getpeercert(binary_form=True) == plain.public_bytes(Encoding.DER)
    names = [name for name, _ in server.requests[0].headers]
    assert b"authorization" not in names
    assert header(server.requests[0], b"apns-topic") == b"com.example.app"


async def test_several_streams_from_the_start(
    server: ApnsServer, make_client: MakeClient, authority: Authority
) -> None:
    """Only a provider token has to be proven first (CONN-14): with a certificate all streams open at once."""
    server.on_request = hold
    client = make_client(credential=issue(authority)[0], topic=None, max_connections=1)
    sent = [client.send(token, HELLO) for token in tokens(50)]
    await server.received(50)
    for request in server.requests:
        server.peers[0].accept(request)
    assert all_accepted(await asyncio.gather(*sent), 50)


async def check_alert(
    make_client: MakeClient, server: AlertingServer, clock: ManualClock, words: str, **how: object
) -> None:
    """One attempt, everything `NotSent` with the alert; another attempt only after the longest back-off."""
    client = make_client(endpoint=server.endpoint, **how)
    outcomes: list[Outcome] = await asyncio.gather(*(client.send(token, HELLO) for token in tokens(3)))
    later = await client.send(TOKEN, HELLO)
    for outcome in (*outcomes, later):
        assert isinstance(outcome, NotSent)
        assert f"TLS alert of the server: {words}" in outcome.cause
    assert server.connections == 1
    clock.advance(Tuning().max_back_off)
    assert isinstance(await client.send(TOKEN, HELLO), NotSent)
    assert server.connections == 2


async def test_revoked_certificate(
    make_client: MakeClient, authority: Authority, clock: ManualClock, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """A revoked certificate fails in TLS; the cause names the alert (CERT-10)."""
    certificate, plain = issue(authority)
    context = strict_context(authority, version)
    context.load_verify_locations(revocation_list(authority, tmp_path, plain))
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    async with AlertingServer(context) as strict:
        await check_alert(make_client, strict, clock, "certificate revoked", credential=certificate, topic=None)


async def test_unknown_authority(
    make_client: MakeClient, authority: Authority, clock: ManualClock, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """A certificate that the server's authority did not sign fails in TLS (CERT-10)."""
    certificate = issue(Authority(tmp_path))[0]
    async with AlertingServer(strict_context(authority, version)) as strict:
        await check_alert(make_client, strict, clock, "unknown ca", credential=certificate, topic=None)


async def test_no_certificate(make_client: MakeClient, authority: Authority, clock: ManualClock) -> None:
    """A signing key at a server that wants a certificate: not sent, and TLS 1.3 has a word for it."""
    async with AlertingServer(strict_context(authority, ssl.TLSVersion.TLSv1_3)) as strict:
        await check_alert(make_client, strict, clock, "certificate required")


async def test_another_alert_is_no_verdict(make_client: MakeClient, authority: Authority) -> None:
    """An alert that may have other causes than the certificate is tried again as usual."""
    async with AlertingServer(strict_context(authority, ssl.TLSVersion.TLSv1_2)) as strict:
        outcome = await make_client(endpoint=strict.endpoint, connect_attempts=1).send(TOKEN, HELLO)
        assert isinstance(outcome, NotSent)
        assert "handshake failure" in outcome.cause.lower()
        assert "(1 attempts)" in outcome.cause


async def test_wrong_environment(
    server: ApnsServer, make_client: MakeClient, authority: Authority, clock: ManualClock
) -> None:
    """`BadCertificateEnvironment` by GOAWAY: every cause names it, and one connection was enough (CERT-9)."""

    def send_away(peer: Peer) -> None:
        peer.goaway(0, 0, GOODBYE)
        peer.goaway(0)  # the second one says nothing (CONN-21)
        peer.close()

    server.on_connect = send_away
    client = make_client(credential=issue(authority)[0], topic=None)
    outcomes: list[Outcome] = await asyncio.gather(*(client.send(token, HELLO) for token in tokens(20)))
    later = [one async for one in client.send_many((token, HELLO) for token in tokens(5))]
    for outcome in (*outcomes, *later):
        assert isinstance(outcome, NotSent)
        assert "GOAWAY with reason BadCertificateEnvironment" in outcome.cause
    assert len(server.peers) == 1
    server.on_connect = lambda peer: None
    clock.advance(31)
    assert (await client.send(TOKEN, HELLO)).ok


async def test_wrong_environment_after_the_first_pushes(
    server: ApnsServer, make_client: MakeClient, authority: Authority
) -> None:
    """The same GOAWAY when pushes are on the wire already: last-stream-id 0, so none of them was processed."""
    server.on_request = hold
    client = make_client(credential=issue(authority)[0], topic=None, max_connections=1)
    sent = [client.send(token, HELLO) for token in tokens(20)]
    await server.received(20)
    server.peers[0].goaway(0, 0, GOODBYE)
    for outcome in await asyncio.gather(*sent):
        assert isinstance(outcome, NotSent)
        assert "BadCertificateEnvironment" in outcome.cause
    assert len(server.peers) == 1


async def test_a_proven_connection_is_replaced_once(
    server: ApnsServer, make_client: MakeClient, authority: Authority
) -> None:
    """When a certificate that worked is condemned, one fresh connection finds out whether it is so."""
    client = make_client(credential=issue(authority)[0], topic=None)
    assert (await client.send(TOKEN, HELLO)).ok
    server.on_request = hold
    sent = client.send(TOKEN, HELLO)
    await server.received(2)
    server.on_request = accept_all
    server.peers[0].goaway(server.requests[0].stream_id, 0, b'{"reason":"BadCertificate"}')
    assert (await sent).ok
    assert len(server.peers) == 2


async def test_other_goaways_are_no_verdict(
    server: ApnsServer, make_client: MakeClient, authority: Authority, clock: ManualClock
) -> None:
    """A GOAWAY for another reason is tried again as usual."""
    peers: list[Peer] = []

    def send_first_away(peer: Peer) -> None:
        peers.append(peer)
        if len(peers) == 1:
            peer.goaway(0, 0, b'{"reason":"Shutdown"}')
            peer.close()

    server.on_connect = send_first_away
    client = make_client(credential=issue(authority)[0], topic=None)
    sent = client.send(TOKEN, HELLO)
    while len(peers) < 2:
        clock.advance(0.01)
        await asyncio.sleep(0)
    assert (await sent).ok


async def test_an_alert_on_a_living_connection(
    server: ApnsServer, make_client: MakeClient, authority: Authority
) -> None:
    """Once the server has spoken HTTP/2, a broken connection proves nothing about its pushes: unknown."""
    server.on_request = hold
    client = make_client(credential=issue(authority)[0], topic=None)
    sent = client.send(TOKEN, HELLO)
    await server.received(1)
    [connection] = client.pool.connections
    error = ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] sslv3 alert certificate revoked")
    error.reason = "SSLV3_ALERT_CERTIFICATE_REVOKED"
    connection.connection_lost(error)
    assert isinstance(await sent, Unknown)
