"""The real engine's certificate mode against the simulator, which shares no code with it."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.engine import HELLO
from support.manual_clock import ManualClock
from support.sim_identity import VERSIONS, issue

from heliogram.apns import (
    Accepted,
    Certificate,
    Client,
    Environment,
    InvalidCertificate,
    Notification,
    NotSent,
    Rejected,
)
from heliogram.simulator import Simulator
from heliogram.simulator.clientcerts import IssuedCertificate

pytestmark = pytest.mark.anyio
BUNDLE = "com.example.app"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def simulator(anyio_backend: str, clock: ManualClock) -> AsyncIterator[Simulator]:
    async with Simulator(clock=clock.time) as simulator:
        yield simulator


def token(simulator: Simulator, environment: Environment) -> str:
    device = simulator.add_device("phone")
    simulator.install(device.id, BUNDLE, environment.value)
    given = simulator.launch(device.id, BUNDLE).device_token
    assert given is not None
    return given


def client(
    simulator: Simulator,
    clock: ManualClock,
    certificate: Certificate,
    environment: Environment = Environment.PRODUCTION,
    topic: str | None = BUNDLE,
) -> Client:
    host, port = simulator.ports[environment.value]
    return Client(
        certificate,
        topic=topic,
        environment=environment,
        endpoint=f"{host}:{port}",
        cafile=simulator.ca_path,
        clock=clock,
    )


def from_pem(made: IssuedCertificate, folder: Path) -> Certificate:
    return Certificate.from_pem(made.pem, made.key_pem)


def from_p12(made: IssuedCertificate, folder: Path) -> Certificate:
    path = folder / "push.p12"
    path.write_bytes(made.p12("secret"))
    return Certificate.from_pkcs12(path, "secret")


def narrow(simulator: Simulator, version: ssl.TLSVersion) -> None:
    """Have the simulator speak this TLS alone."""
    authority = simulator.portal.certificates.authority
    assert authority is not None
    for context in authority.contexts:
        context.minimum_version = context.maximum_version = version


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("load", [from_pem, from_p12])
@pytest.mark.parametrize("rsa", [True, False], ids=["RSA", "P-256"])
async def test_accepted(
    simulator: Simulator,
    clock: ManualClock,
    tmp_path: Path,
    version: ssl.TLSVersion,
    load: Callable[[IssuedCertificate, Path], Certificate],
    rsa: bool,
) -> None:
    """CERT-1, CERT-2: PEM pair and PKCS#12, RSA and P-256, TLS 1.2 and 1.3: pushes arrive on the device."""
    narrow(simulator, version)
    certificate = load(issue(simulator, rsa=rsa), tmp_path)
    assert certificate.topics == (BUNDLE, f"{BUNDLE}.voip", f"{BUNDLE}.complication")
    device_token = token(simulator, Environment.PRODUCTION)
    async with client(simulator, clock, certificate) as sender:
        outcomes = await asyncio.gather(*(sender.send(device_token, HELLO) for _ in range(50)))
    assert all(isinstance(one, Accepted) for one in outcomes)
    assert simulator.notifications(simulator.devices()[0].id)


@pytest.mark.parametrize("environment", list(Environment))
async def test_default_topic(
    simulator: Simulator, clock: ManualClock, tmp_path: Path, environment: Environment
) -> None:
    """CERT-3, CERT-5: both sides read the same environment and the same topic in a single-topic certificate."""
    certificate = from_pem(issue(simulator, environment=environment.value), tmp_path)
    assert certificate.environments == {environment}
    async with client(simulator, clock, certificate, environment, topic=None) as sender:
        assert (await sender.send(token(simulator, environment), HELLO)).ok


async def test_voip_certificate(simulator: Simulator, clock: ManualClock, tmp_path: Path) -> None:
    """CERT-3, CERT-5: both sides take the VoIP certificate for the topic with .voip."""
    certificate = from_pem(issue(simulator, kind="voip"), tmp_path)
    assert certificate.default_topic == f"{BUNDLE}.voip"
    assert certificate.voip
    call = Notification(push_type="voip", payload={"caller": "Anna"})
    async with client(simulator, clock, certificate, topic=None) as sender:
        outcome = await sender.send(token(simulator, Environment.PRODUCTION), call)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "DeviceTokenNotForTopic"


@pytest.mark.parametrize("version", VERSIONS)
async def test_revoked(simulator: Simulator, clock: ManualClock, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """CERT-10: the engine is told by the TLS alert that its certificate was revoked."""
    narrow(simulator, version)
    made = issue(simulator)
    simulator.portal.certificates.revoke(made.contents.serial)
    async with client(simulator, clock, from_pem(made, tmp_path)) as sender:
        outcome = await sender.send(token(simulator, Environment.PRODUCTION), HELLO)
    assert isinstance(outcome, NotSent)
    assert "TLS alert of the server: certificate revoked" in outcome.cause


@pytest.mark.parametrize("version", VERSIONS)
async def test_of_another_authority(
    simulator: Simulator, clock: ManualClock, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """CERT-10: a certificate of another simulator's CA ends in the alert `unknown ca`."""
    narrow(simulator, version)
    async with Simulator(clock=clock.time) as other:
        certificate = from_pem(issue(other), tmp_path)
    async with client(simulator, clock, certificate) as sender:
        outcome = await sender.send(token(simulator, Environment.PRODUCTION), HELLO)
    assert isinstance(outcome, NotSent)
    assert "TLS alert of the server: unknown ca" in outcome.cause


async def test_wrong_environment(simulator: Simulator, clock: ManualClock, tmp_path: Path) -> None:
    """CERT-9: the engine refuses such a certificate itself; one that hides its environment learns it by GOAWAY."""
    certificate = from_pem(issue(simulator, environment="sandbox"), tmp_path)
    with pytest.raises(InvalidCertificate, match="is for sandbox"):
        client(simulator, clock, certificate)
    host, port = simulator.ports["production"]  # the sandbox's name at the production's door
    sender = Client(
        certificate,
        environment=Environment.SANDBOX,
        endpoint=f"{host}:{port}",
        cafile=simulator.ca_path,
        clock=clock,
    )
    async with sender:
        outcome = await sender.send(token(simulator, Environment.SANDBOX), HELLO)
    assert isinstance(outcome, NotSent)
    assert "GOAWAY with reason BadCertificateEnvironment" in outcome.cause


async def test_end_of_life(simulator: Simulator, clock: ManualClock, tmp_path: Path) -> None:
    """CERT-12: both sides read the same end of life, to the second."""
    made = issue(simulator, days=30)
    certificate = from_pem(made, tmp_path)
    assert certificate.not_after == datetime.datetime.fromtimestamp(made.contents.not_after, datetime.UTC)
    assert made.contents.not_after == clock.time() + 30 * 86_400
