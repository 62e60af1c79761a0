"""Credentials that are a certificate and its private key."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID, ObjectIdentifier
from support.service import Service

pytestmark = pytest.mark.anyio

SANDBOX = ObjectIdentifier("1.2.840.113635.100.6.3.1")
PRODUCTION = ObjectIdentifier("1.2.840.113635.100.6.3.2")


class Pair(NamedTuple):
    """PEM texts."""

    certificate: str
    private_key: str


def push_certificate(
    *environments: ObjectIdentifier,
    topic: str | None = "com.example.shop",
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
) -> Pair:
    """A certificate as Apple issues them: the topic in UID, the environments as extensions (CERT-3, CERT-5)."""
    key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
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
        if form == "spelled breaks":  # a line that went through JSON or a shell once too often
            return pem.replace("\n", "\\n")
        packed = base64.b64encode(pem.encode()).decode()
        if form == "stray breaks":  # as a published sample has one in the middle
            return f"{packed[:99]}\\n{packed[99:200]}\n {packed[200:]}"
        return pem if form == "pem" else packed.rstrip("=") if form == "one pad less" else packed

    content = {"certificate": text(pair.certificate), "privateKey": text(pair.private_key)}
    return {"credentialType": type_, "appName": "shop", "content": content}


@pytest.mark.parametrize(
    "form", ["pem", "base64", "base64 of one line", "stray breaks", "spelled breaks", "one pad less"]
)
async def test_a_certificate_is_taken_in_each_form(service: Service, pair: Pair, form: str) -> None:
    """TW-56: PEM, base64 of PEM, and base64 of PEM that lost its line breaks; topic and expiry are read from it."""
    answer = await service.post("/Credentials", new_credential(pair, form=form))
    assert answer.status_code == 202, answer.text
    shown = (await service.get(f"/Credentials/{answer.json()['resourceId']}")).json()
    der = x509.load_pem_x509_certificate(pair.certificate.encode())
    assert shown["content"] == {
        "form": "certificate",
        "bundleId": "com.example.shop",
        "topics": ["com.example.shop"],
        "notAfter": "2028-01-01T00:00:00Z",
        "fingerprint": der.fingerprint(hashes.SHA256()).hex(),
    }
    assert (shown["expiresAt"], shown["expiresInDays"]) == ("2028-01-01T00:00:00Z", 350)


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


KEYS = serialization.PrivateFormat


@pytest.mark.parametrize("format_", [KEYS.PKCS8, KEYS.TraditionalOpenSSL])
@pytest.mark.parametrize("curve", [None, ec.SECP256R1()])
async def test_private_keys_are_taken_in_each_common_form(
    service: Service, format_: serialization.PrivateFormat, curve: ec.EllipticCurve | None
) -> None:
    """PKCS#8, PKCS#1 and EC keys, not encrypted."""
    key = rsa.generate_private_key(65537, 2048) if curve is None else ec.generate_private_key(curve)
    made = push_certificate(PRODUCTION, key=key)
    text = key.private_bytes(serialization.Encoding.PEM, format_, serialization.NoEncryption()).decode()
    answer = await service.post("/Credentials", new_credential(Pair(made.certificate, text)))
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("format_", [KEYS.PKCS8, KEYS.TraditionalOpenSSL])
async def test_an_encrypted_key_is_refused_with_the_cure(
    service: Service, format_: serialization.PrivateFormat
) -> None:
    """Whoever has no password to give is told to decrypt it first."""
    key = rsa.generate_private_key(65537, 2048)
    made = push_certificate(PRODUCTION, key=key)
    locked = key.private_bytes(serialization.Encoding.PEM, format_, serialization.BestAvailableEncryption(b"pw"))
    answer = await service.post("/Credentials", new_credential(Pair(made.certificate, locked.decode())))
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["context"]) == (400, 70033, "$.content.privateKey")
    assert "encrypted; decrypt it first" in error["message"]


def p12(made: Pair, password: bytes | None) -> str:
    """The pair as a key chain exports it, in base64."""
    key = serialization.load_pem_private_key(made.private_key.encode(), None)
    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    assert isinstance(key, rsa.RSAPrivateKey)
    return base64.b64encode(pkcs12.serialize_key_and_certificates(b"push", key, certificate, None, sealed)).decode()


@pytest.mark.parametrize("password", [None, "geheim"])
async def test_a_p12_file_is_taken_with_its_password(service: Service, pair: Pair, password: str | None) -> None:
    """Certificate and key out of one file; it is kept as if both had been given in PEM."""
    content = {"pkcs12": p12(pair, password.encode() if password else None)}
    content |= {"password": password} if password else {}
    body = {"credentialType": "APN", "appName": "shop", "content": content}
    answer = await service.post("/Credentials", body)
    assert answer.status_code == 202, answer.text
    shown = (await service.get(f"/Credentials/{answer.json()['resourceId']}")).json()["content"]
    assert (shown["form"], shown["bundleId"]) == ("certificate", "com.example.shop")
    assert "geheim" not in str(shown)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"pkcs12": "!"}, "$.content.pkcs12"),
        ({"pkcs12": "AAAA"}, "$.content.pkcs12"),
        ({"pkcs12": "file", "password": "wrong"}, "$.content.password"),
        ({"pkcs12": "file"}, "$.content.password"),
        ({"password": "x"}, "$.content.pkcs12"),
        ({"pkcs12": "file", "certificate": "x"}, "$.content"),
    ],
)
async def test_a_p12_file_that_does_not_open_names_the_field(
    service: Service, pair: Pair, content: dict[str, str], path: str
) -> None:
    """No file, the wrong password, none, or another form beside it."""
    content = {name: p12(pair, b"geheim") if value == "file" else value for name, value in content.items()}
    answer = await service.post("/Credentials", {"credentialType": "APN", "appName": "shop", "content": content})
    assert answer.status_code == 400
    assert [each["context"] for each in answer.json()["errors"]] == [path]
