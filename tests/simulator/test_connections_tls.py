"""TLS: versions, certificates asked for, alerts, and the faults that meet a connection before its first request."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from support.sim_client import SimClient, World

from heliogram.simulator.session import Session
from heliogram.simulator.tables import Environment

pytestmark = pytest.mark.anyio

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def client_certificate(world: World, directory: Path, *, foreign: bool = False, days: int = 1) -> tuple[Path, bytes]:
    """A file with a client certificate and its key, of the simulator's CA or of another; and the certificate's DER."""
    if foreign:
        issuer, issuer_key = named("Another CA"), ec.generate_private_key(ec.SECP256R1())
    else:
        issuer = x509.load_pem_x509_certificate(world.simulator.ca_pem).subject
        loaded = load_pem_private_key(world.simulator.ca_path.with_name("ca.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        issuer_key = loaded
    key = ec.generate_private_key(ec.SECP256R1())
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named("provider"))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=30))
        .not_valid_after(end)
        .sign(issuer_key, SHA256())
    )
    path = directory / "client.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return path, certificate.public_bytes(Encoding.DER)


def context(world: World, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=world.simulator.ca_pem.decode())
    if version is not None:
        made.minimum_version = made.maximum_version = version
    return made


async def dial(world: World, using: ssl.SSLContext) -> asyncio.StreamWriter:
    """Connect and read the first bytes of SETTINGS, so that the server's verdict on the handshake is here."""
    reader, writer = await asyncio.open_connection(*world.simulator.ports["production"], ssl=using)
    await reader.readexactly(9)
    return writer


async def end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def say_hello(world: World, using: ssl.SSLContext) -> SimClient:
    """A client that has done all its part and waits."""
    client = SimClient()
    client._quiet = True
    await asyncio.get_running_loop().create_connection(
        lambda: client, *world.simulator.ports["production"], ssl=using, server_hostname="localhost"
    )
    client.h2.initiate_connection()
    client.transport.write(client.h2.data_to_send())
    return client


@pytest.mark.parametrize("version", VERSIONS)
async def test_versions(world: World, version: ssl.TLSVersion) -> None:
    """CONN-8: TLS 1.2 and 1.3, and what the client sees of itself without a certificate (CONN-9)."""
    client = await say_hello(world, context(world, version))
    await world.push()
    (own,) = [one for one in world.simulator.listeners["production"].connections if one.number == 1]
    assert own.tls_version == version.name.replace("_", ".")
    assert own.session.certificate is None
    await client.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("days", [1, -1])
async def test_a_certificate_is_handed_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion, days: int
) -> None:
    """CONN-9: requested, not required; one of the simulator's CA reaches the session as DER, expired or not.

    Whether it may be used is judged by the simulator's own clock.
    """
    path, der = client_certificate(world, tmp_path, days=days)
    using = context(world, version)
    using.load_cert_chain(path)
    seen: list[bytes] = []
    judge = Session.present

    def present(session: Session, given: bytes, environment: Environment) -> str | None:
        seen.append(given)
        return judge(session, given, environment)

    monkeypatch.setattr(Session, "present", present)
    client = await say_hello(world, using)
    await world.push()
    assert seen == [der]
    await client.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_unknown_ca(world: World, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """CERT-10: a certificate of another CA ends in TLS itself, with the alert "unknown CA"."""
    path, _ = client_certificate(world, tmp_path, foreign=True)
    using = context(world, version)
    using.load_cert_chain(path)
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        await end(await dial(world, using))
    assert (await world.push()).status == 200


async def test_old_tls_is_told_why(world: World) -> None:
    """CONN-8: TLS 1.1 gets the alert "protocol version"."""
    using = context(world)
    using.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        using.minimum_version = using.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        await dial(world, using)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("alert", "says"),
    [("certificate_revoked", "certificate.revoked"), ("handshake_failure", "handshake.failure")],
)
async def test_fault_tls(world: World, version: ssl.TLSVersion, alert: str, says: str) -> None:
    """CERT-10: new connections get any alert; open ones go on."""
    client = await world.connect()
    world.simulator.faults.add(kind="tls", alert=alert, next=1)
    with pytest.raises(ssl.SSLError, match=rf"(?i){says}"):
        await dial(world, context(world, version))
    assert (await client.push(world.token, world.bearer)).status == 200
    assert (await world.push()).status == 200


async def test_fault_drop(world: World) -> None:
    """SUR-9: the end of the connection in the middle of the handshake, without a word, on one listener."""
    world.simulator.faults.add(kind="drop", listener="production", next=1)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await world.connect()
    assert (await world.push()).status == 200


async def test_fault_refuse(world: World) -> None:
    """A closed port: TCP refuses new connections, open ones go on, and the same port is open again afterwards."""
    client = await world.connect()
    port = world.simulator.ports["production"]
    fault = world.simulator.faults.add(kind="refuse", listener="production")
    with pytest.raises(ConnectionRefusedError):
        await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    await world.connect("sandbox")
    world.simulator.faults.remove(fault.id)
    assert world.simulator.ports["production"] == port
    assert (await world.push()).status == 200


async def test_fault_refuse_until(world: World) -> None:
    """It ends with the simulator's time, and with the simulator."""
    world.simulator.faults.add(kind="refuse", seconds=60)
    with pytest.raises(ConnectionRefusedError):
        await world.connect()
    world.simulator.time.advance(60)
    assert (await world.push()).status == 200
    world.simulator.faults.add(kind="refuse")
    await world.simulator.stop()


async def test_both_environments_at_once(world: World) -> None:
    """CONN-1, CONN-3: sandbox, production and both management listeners serve at the same time."""
    clients = [await world.connect(name) for name in world.simulator.ports]
    statuses = [(await client.push(world.token, world.bearer)).status for client in clients]
    assert dict(zip(world.simulator.ports, statuses, strict=True)) == {
        "production": 200, "sandbox": 400, "manage_production": 404, "manage_sandbox": 404,
    }  # fmt: skip
