"""`heliogram serve` over HTTPS."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from support.programs import Program
from support.tls import key_pem


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "heliogram test")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2124, 1, 1, tzinfo=datetime.UTC))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key_pem(key))
    return files


def test_with_a_certificate_the_api_speaks_https(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """The ready line says https, and a client that trusts the certificate is answered."""
    words = ["--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    words += ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])]
    with Program("serve", *words, log=tmp_path / "service.log") as program:
        url = program.ready["url"]
        assert url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        assert httpx2.get(f"{url}/health", verify=trust, trust_env=False).json() == {"status": "ok"}
        assert program.stop() == 0
