"""Certificates from PKCS#12 files, as key chains export them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from support.tls import Authority

from heliogram.apns import Certificate, InvalidCertificate
from heliogram.apns.pkcs12 import MAX_SIZE

PASSWORD = "s3cret-pässword"
SEALED = BestAvailableEncryption(PASSWORD.encode())


class Parts:
    """A push certificate, its key, and files made of them."""

    def __init__(self, authority: Authority) -> None:
        certificate, key = authority.issue([(NameOID.USER_ID, "com.example.app")], [])
        self.pem = certificate
        self.certificate = x509.load_pem_x509_certificate(certificate)
        loaded = load_pem_private_key(key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self.key = loaded
        self.authority = authority.certificate

    def file(
        self,
        *,
        key: bool = True,
        certificate: bool = True,
        chain: bool = False,
        seal: KeySerializationEncryption = SEALED,
    ) -> bytes:
        return pkcs12.serialize_key_and_certificates(
            b"push",
            self.key if key else None,
            self.certificate if certificate else None,
            [self.authority] if chain else None,
            seal,
        )


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(Authority(tmp_path_factory.mktemp("p12")))


@pytest.mark.parametrize("password", [PASSWORD, PASSWORD.encode()])
def test_bytes(parts: Parts, password: str | bytes) -> None:
    """The file's bytes with its password, as text or as UTF-8."""
    assert Certificate.from_pkcs12(parts.file(), password).topics == ("com.example.app",)


def test_path(parts: Parts, tmp_path: Path) -> None:
    """The path of the file, as a `Path` or as text."""
    path = tmp_path / "push.p12"
    path.write_bytes(parts.file())
    assert Certificate.from_pkcs12(path, PASSWORD).uid == "com.example.app"
    assert Certificate.from_pkcs12(str(path), PASSWORD).uid == "com.example.app"


def test_base64(parts: Parts) -> None:
    """Base64 of the file, as it comes out of forms and environment variables."""
    text = base64.encodebytes(parts.file(chain=True))
    assert Certificate.from_pkcs12(text, PASSWORD).uid == "com.example.app"
    assert Certificate.from_pkcs12(text.decode(), PASSWORD).uid == "com.example.app"


@pytest.mark.parametrize("password", [None, "", b""])
def test_without_password(parts: Parts, password: str | bytes | None) -> None:
    """A file that was exported without a password needs none."""
    assert Certificate.from_pkcs12(parts.file(seal=NoEncryption()), password).uid == "com.example.app"


def test_old_encryption(parts: Parts) -> None:
    """The triple DES and SHA-1 that key chains still write is understood."""
    old = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - it is what is out there
        .build(PASSWORD.encode())
    )
    assert Certificate.from_pkcs12(parts.file(seal=old), PASSWORD).uid == "com.example.app"


def test_chain(parts: Parts) -> None:
    """The certificate that belongs to the key comes first, whatever the order in the file."""
    certificate = Certificate.from_pkcs12(parts.file(chain=True), PASSWORD)
    assert certificate._chain == [parts.certificate, parts.authority]


@pytest.mark.parametrize("password", ["gu3ss", None, ""])
def test_wrong_password(parts: Parts, password: str | None) -> None:
    """A password that does not open the file is named as such, and not repeated."""
    with pytest.raises(InvalidCertificate, match=r"^password: ") as caught:
        Certificate.from_pkcs12(parts.file(), password)
    assert ("wrong" if password else "missing") in str(caught.value)
    assert "gu3ss" not in str(caught.value)


def test_no_key(parts: Parts) -> None:
    """A file with the certificate alone cannot open a connection."""
    with pytest.raises(InvalidCertificate, match="private_key: the PKCS#12 file holds no private key"):
        Certificate.from_pkcs12(parts.file(key=False), PASSWORD)


def test_no_certificate(parts: Parts) -> None:
    """Nor can one with the key alone."""
    with pytest.raises(InvalidCertificate, match="certificate: the PKCS#12 file holds no certificate"):
        Certificate.from_pkcs12(parts.file(certificate=False), PASSWORD)


@pytest.mark.parametrize("what", ["nothing", "junk", "cut", "pem"])
def test_something_else(parts: Parts, what: str) -> None:
    """Anything but a whole PKCS#12 file is called that."""
    data = {"nothing": b"", "junk": b"\x30\x03abc", "cut": parts.file()[:-20], "pem": parts.pem}[what]
    with pytest.raises(InvalidCertificate, match="certificate: not a PKCS#12 file"):
        Certificate.from_pkcs12(data, PASSWORD)


def test_no_file(tmp_path: Path) -> None:
    """A path that leads nowhere, to a folder, or is none."""
    for path in (str(tmp_path / "missing.p12"), tmp_path, "nul\0"):
        with pytest.raises(InvalidCertificate, match="certificate: no readable file"):
            Certificate.from_pkcs12(path, PASSWORD)


def test_size(tmp_path: Path) -> None:
    """A mebibyte is read, one byte more is not."""
    path = tmp_path / "large.p12"
    for size, words in ((MAX_SIZE, "not a PKCS#12 file"), (MAX_SIZE + 1, str(MAX_SIZE))):
        path.write_bytes(b"\0" * size)
        for source in (path, b"\0" * size):
            with pytest.raises(InvalidCertificate, match=words):
                Certificate.from_pkcs12(source)


@pytest.mark.parametrize("password", ["a\0", "\0", b"a\0b"])
def test_a_password_with_a_nul_is_refused(parts: Parts, password: str | bytes) -> None:
    """The library would panic on it, which is no `Exception`."""
    with pytest.raises(InvalidCertificate, match="NUL"):
        Certificate.from_pkcs12(parts.file(), password=password)
