"""Credentials that are a certificate and its private key."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier
from support.service import Service

pytestmark = pytest.mark.anyio

SANDBOX = ObjectIdentifier("1.2.840.113635.100.6.3.1")
PRODUCTION = ObjectIdentifier("1.2.840.113635.100.6.3.2")


class Pair(NamedTuple):
    """PEM texts."""

    certificate: str
    private_key: str


def push_certificate(*environments: ObjectIdentifier, topic: str | None = "com.example.shop") -> Pair:
    """A certificate as Apple issues them: the topic in UID, the environments as extensions (CERT-3, CERT-5)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services")]
    if topic is not None:
        names.append(x509.NameAttribute(NameOID.USER_ID, topic))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(x509.Name(names))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2028, 1, 1, tzinfo=UTC))
    )
    for oid in environments:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=False)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private_key = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Pair(certificate.decode(), private_key.decode())


@pytest.fixture(scope="module")
def pair() -> Pair:
    """A certificate for both environments."""
    return push_certificate(SANDBOX, PRODUCTION)


def new_credential(pair: Pair, type_: str = "APN", form: str = "base64") -> dict[str, object]:
    """The body of an upload."""

    def text(pem: str) -> str:
        if form == "base64 of one line":
            pem = pem.replace("\n", "")  # how published samples have it
        return pem if form == "pem" else base64.b64encode(pem.encode()).decode()

    content = {"certificate": text(pair.certificate), "privateKey": text(pair.private_key)}
    return {"credentialType": type_, "appName": "shop", "content": content}


@pytest.mark.parametrize("form", ["pem", "base64", "base64 of one line"])
async def test_a_certificate_is_taken_in_each_form(service: Service, pair: Pair, form: str) -> None:
    """PEM, base64 of PEM, and base64 of PEM that lost its line breaks; topic and expiry are read from it."""
    answer = await service.post("/Credentials", new_credential(pair, form=form))
    assert answer.status_code == 202, answer.text
    shown = (await service.get(f"/Credentials/{answer.json()['resourceId']}")).json()
    assert shown["content"] == {
        "form": "certificate",
        "bundleId": "com.example.shop",
        "topics": ["com.example.shop"],
        "notAfter": "2028-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("environment", "type_", "status"),
    [(SANDBOX, "APN_SANDBOX", 202), (PRODUCTION, "APN", 202), (SANDBOX, "APN", 400), (PRODUCTION, "APN_SANDBOX", 400)],
)
async def test_a_certificate_must_be_for_the_environment(
    service: Service, environment: ObjectIdentifier, type_: str, status: int
) -> None:
    """A sandbox certificate cannot be uploaded as a production one, nor the other way round (CERT-3)."""
    answer = await service.post("/Credentials", new_credential(push_certificate(environment), type_))
    assert answer.status_code == status
    if status == 400:
        (error,) = answer.json()["errors"]
        assert (error["context"], error["code"]) == ("$.credentialType", 70033)


async def test_key_and_certificate_must_belong_together(service: Service, pair: Pair) -> None:
    """The refusal names a field and quotes neither."""
    other = push_certificate(SANDBOX, PRODUCTION)
    mixed = Pair(pair.certificate, other.private_key)
    answer = await service.post("/Credentials", new_credential(mixed))
    assert (answer.status_code, answer.json()["code"]) == (400, 70033)
    assert other.private_key.splitlines()[1] not in answer.text


async def test_a_certificate_without_a_topic_is_refused(service: Service) -> None:
    """It is not a push certificate."""
    answer = await service.post("/Credentials", new_credential(push_certificate(PRODUCTION, topic=None)))
    assert (answer.status_code, answer.json()["code"]) == (400, 70033)
