"""A certificate authority of our own, made once per session, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_END = datetime.datetime(2124, 1, 1, tzinfo=datetime.UTC)
_KEY_IDENTIFIER = x509.SubjectKeyIdentifier.from_public_key


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The PKCS#8 PEM of a key."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    """Signs server and client certificates; its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Heliogram tests")])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        root = self._builder(self._name, self.key.public_key()).add_extension(constraints, critical=True)
        self.certificate = root.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.cafile = str(folder / "ca.pem")
        Path(self.cafile).write_bytes(self.certificate.public_bytes(Encoding.PEM))
        self._server_file = folder / "server.pem"
        self._server_file.write_bytes(b"".join(self._server()))

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_START)
            .not_valid_after(_END)
            .add_extension(_KEY_IDENTIFIER(public), critical=False)
            .add_extension(issuer, critical=False)
        )

    def _server(self) -> tuple[bytes, bytes]:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self.issue([(NameOID.COMMON_NAME, "localhost")], [(x509.SubjectAlternativeName(names), False)])

    def issue(
        self,
        subject: list[tuple[x509.ObjectIdentifier, str]],
        extensions: list[tuple[x509.ExtensionType, bool]],
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> tuple[bytes, bytes]:
        """A certificate and its private key, both PEM."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
        builder = self._builder(name, key.public_key())
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self.key, hashes.SHA256())
        return certificate.public_bytes(Encoding.PEM), key_pem(key)

    def load_server(self, context: ssl.SSLContext) -> None:
        """Have this context show the server's certificate."""
        context.load_cert_chain(self._server_file)

    def server_context(self) -> ssl.SSLContext:
        """For a server on 127.0.0.1 that requests, but does not require, a client certificate (CONN-9)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_server(context)
        context.set_alpn_protocols(["h2"])
        context.load_verify_locations(self.cafile)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context
