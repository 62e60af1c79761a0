"""The way to APNs, looked at over real TLS on loopback: the resolver and the sockets lead Apple's names here."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from support.apns_server import ApnsServer, Peer
from support.tls import Authority
from support.waiting import HANG_SECONDS

from heliogram.apns.connect import tls_context
from heliogram.doctor import Finding
from heliogram.doctor.network import Net, Target, dial, look
from heliogram.wire import Received

pytestmark = pytest.mark.anyio

HOST = "api.push.apple.com"
TEST_NET = "192.0.2.1"
NOW = 1_780_000_000.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def server_context(
    authority: Authority, folder: Path, *, host: str = HOST, alpn: Sequence[str] = ("h2",)
) -> ssl.SSLContext:
    """A server that is called `host`."""
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    (folder / "host.pem").write_bytes(b"".join(authority.issue([(NameOID.COMMON_NAME, host)], [(names, False)])))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "host.pem")
    context.set_alpn_protocols(list(alpn))
    return context


def forbid(peer: Peer, request: Received) -> None:
    """What APNs says to a request without a credential, with a date."""
    date = formatdate(NOW - 2, usegmt=True).encode()
    peer.session.respond(request.stream_id, 403, ((b"date", date),), b'{"reason":"MissingProviderToken"}')
    peer.flush()


@pytest.fixture
async def server(anyio_backend: str, authority: Authority, tmp_path: Path) -> AsyncIterator[ApnsServer]:
    async with ApnsServer(server_context(authority, tmp_path), forbid) as made:
        yield made


class Way:
    """Where names and addresses lead: `open_ports` to a server here, all else nowhere."""

    def __init__(self, server: ApnsServer | None, *open_ports: int, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        self.port = 0 if server is None else int(server.endpoint.rpartition(":")[2])
        self.open_ports, self.addresses = open_ports, addresses

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.addresses

    async def dial(self, address: str, port: int) -> socket.socket:
        if port not in self.open_ports or address == TEST_NET:
            raise ConnectionRefusedError(111, "Connection refused")
        return await dial(address, self.port)


async def seen(
    way: Way, authority: Authority | None, *, now: float = NOW, issuer: str = "Heliogram tests", host: str = HOST
) -> dict[str, Finding]:
    """What is found, by its check; this machine trusts `authority`, if any."""
    context = tls_context if authority is None else lambda cafile: tls_context(authority.cafile)
    net = Net(way.resolve, way.dial, context, time=lambda: now, seconds=HANG_SECONDS)
    return {each.check: each async for each in look(Target(host, (443, 2197), issuer), net)}


async def test_all_is_well(server: ApnsServer, authority: Authority) -> None:
    """A name, both ports, TLS with the known issuer, HTTP/2 with an answer, and a clock that agrees."""
    found = await seen(Way(server, 443, 2197), authority)
    assert {check: each.state for check, each in found.items()} == {
        f"dns {HOST}": "ok",
        f"tcp {HOST}:443": "ok",
        f"tcp {HOST}:2197": "ok",
        f"tls {HOST}:443": "ok",
        f"http/2 {HOST}:443": "ok",
        f"clock against {HOST}": "ok",
    }
    assert "issued by Heliogram tests" in found[f"tls {HOST}:443"].text
    assert "status 403" in found[f"http/2 {HOST}:443"].text
    assert [dict(each.headers).get(b"authorization") for each in server.requests] == [None]


async def test_a_name_without_an_address() -> None:
    """Nothing else is tried; it says where to look."""
    (found,) = (await seen(Way(None, addresses=()), None)).values()
    assert (found.check, found.state) == (f"dns {HOST}", "failed")
    assert "resolv.conf" in found.cure


async def test_no_port_is_open(authority: Authority) -> None:
    """Each is named with what the firewall must let out."""
    found = await seen(Way(None), authority)
    assert [each.state for each in found.values()] == ["ok", "failed", "failed"]
    assert "TCP 443" in found[f"tcp {HOST}:443"].cure
    assert "TCP 2197" in found[f"tcp {HOST}:2197"].cure


async def test_the_second_port_is_only_a_second_way(server: ApnsServer, authority: Authority) -> None:
    """Port 2197 shut is a warning."""
    found = await seen(Way(server, 443), authority)
    assert found[f"tcp {HOST}:2197"].state == "warning"
    assert found[f"http/2 {HOST}:443"].state == "ok"


async def test_port_2197_alone_is_told_with_the_setting(server: ApnsServer, authority: Authority) -> None:
    """What is not the default has to be said to the service."""
    found = await seen(Way(server, 2197), authority, issuer="Apple")
    assert found[f"tcp {HOST}:443"].state == "failed"
    assert f'"{HOST}:2197"' in found[f"tcp {HOST}"].cure


async def test_an_address_that_does_not_answer_is_named(server: ApnsServer, authority: Authority) -> None:
    """Where another one does, it is a warning."""
    found = (await seen(Way(server, 443, addresses=(TEST_NET, "127.0.0.1")), authority))[f"tcp {HOST}:443"]
    assert found.state == "warning"
    assert f"{TEST_NET}: Connection refused" in found.text


async def test_a_proxy_that_opens_tls_is_named(server: ApnsServer) -> None:
    """Its certificate is not trusted: who issued it names the proxy."""
    found = await seen(Way(server, 443), None, issuer="Apple")
    tls = found[f"tls {HOST}:443"]
    assert tls.state == "failed"
    assert "issued by Heliogram tests" in tls.text
    assert "a proxy opens TLS" in tls.cure
    assert f"http/2 {HOST}:443" not in found


async def test_a_proxy_that_this_machine_trusts_is_named_too(server: ApnsServer, authority: Authority) -> None:
    """TLS works, but the certificate is not Apple's."""
    tls = (await seen(Way(server, 443), authority, issuer="Apple"))[f"tls {HOST}:443"]
    assert tls.state == "warning"
    assert "Heliogram tests issued it, not Apple" in tls.text


async def test_a_certificate_of_another_name_is_refused(server: ApnsServer, authority: Authority) -> None:
    """Whoever answers is not who was called."""
    tls = (await seen(Way(server, 443), authority, host="api.sandbox.push.apple.com"))[
        "tls api.sandbox.push.apple.com:443"
    ]
    assert tls.state == "failed"
    assert "Hostname mismatch" in tls.text


async def test_a_peer_without_http_2_is_told(authority: Authority, tmp_path: Path) -> None:
    """ALPN says so before any request."""
    async with ApnsServer(server_context(authority, tmp_path, alpn=("http/1.1",))) as server:
        found = (await seen(Way(server, 443), authority))[f"http/2 {HOST}:443"]
    assert found.state == "failed"
    assert "ALPN chose nothing in place of h2" in found.text


async def test_a_peer_that_speaks_no_tls_is_told(authority: Authority) -> None:
    """A firewall that answers in plain text."""

    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(greet, "127.0.0.1", 0)
    way = Way(None, 443)
    way.port = plain.sockets[0].getsockname()[1]
    async with plain:
        tls = (await seen(way, authority))[f"tls {HOST}:443"]
    assert tls.state == "failed"
    assert "no TLS" in tls.text


@pytest.mark.parametrize(
    ("off", "state"), [(30, "ok"), (-30, "ok"), (31, "warning"), (300, "warning"), (-301, "failed"), (301, "failed")]
)
async def test_a_clock_that_is_off_is_told(server: ApnsServer, authority: Authority, off: float, state: str) -> None:
    """Up to half a minute is well, beyond five it is not."""
    found = (await seen(Way(server, 443), authority, now=NOW - 2 + off))[f"clock against {HOST}"]
    assert found.state == state
    assert f"{abs(off)} s {'ahead' if off > 0 else 'behind'}" in found.text
