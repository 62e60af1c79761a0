"""The simulator's own certificate authority: the certificate its listeners show, and those that clients present.

The CA's and the server's live by the machine's clock, whatever clock the simulator was given: it is the client's TLS
that judges them. Clients' live by the simulator's clock, so TLS does not look at their dates here.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from .errors import Invalid
from .tables import CertificateRefusal

CA_FILE, CA_KEY_FILE = "ca.pem", "ca.key"
SERVER_FILE, SERVER_KEY_FILE = "server.pem", "server.key"
REVOKED_FILE = "revoked.pem"
CA_LIFE = datetime.timedelta(days=3652)
SERVER_LIFE = datetime.timedelta(days=397)
RENEW_BEFORE = datetime.timedelta(days=30)

DNS_NAMES = (
    "localhost",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "api.development.push.apple.com",
    "api-manage-broadcast.push.apple.com",
    "api-manage-broadcast.sandbox.push.apple.com",
)
ADDRESSES = ("127.0.0.1", "::1")
MAX_HOST = 253
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""
_FIRST_LIST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_LIST_LIFE = datetime.timedelta(days=36524)


class Certificates:
    """The files in a directory: made when they are missing, the server's renewed 30 days before its end.

    ``names`` are hosts and addresses that the server is called by beside the usual ones. Raises Invalid when the
    directory holds a CA that cannot be read, or for a name that is none.
    """

    def __init__(self, directory: Path, *, names: Sequence[str] = (), now: datetime.datetime | None = None) -> None:
        self.directory = directory
        self._names = [_general_name(name) for name in (*DNS_NAMES, *ADDRESSES, *names)]
        self._now = now or datetime.datetime.now(datetime.UTC)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.contexts: list[ssl.SSLContext] = []
        """Those made by `server_context`; what is changed on one holds for new handshakes."""
        self._lists = 0
        self._pair = authority, key = self._authority()
        if not self._server_is_good(authority):
            self._issue_server(authority, key)

    def __repr__(self) -> str:
        return f"<Certificates {self.directory}>"

    @property
    def ca_path(self) -> Path:
        """What a client must trust."""
        return self.directory / CA_FILE

    def server_context(self, refusal: CertificateRefusal = "wire") -> ssl.SSLContext:
        """TLS 1.2 or newer (CONN-8), ALPN h2 for those who ask (CONN-11), and a request for the client's certificate.

        A client may present none (CONN-9); one of another CA, or with ``wire`` a revoked one, gets a TLS alert
        (CERT-10).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.directory / SERVER_FILE, self.directory / SERVER_KEY_FILE)
        context.set_alpn_protocols(["h2"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.ca_path)
        context.verify_flags |= _NO_CHECK_TIME
        if refusal == "wire":
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        self.contexts.append(context)
        self.revoke_clients(())
        return context

    def revoke_clients(self, serials: Iterable[int]) -> None:
        """Have new handshakes refuse exactly these certificates of clients."""
        authority, key = self._pair
        # Of several lists OpenSSL takes the one with the latest date, and dates count whole seconds.
        self._lists += 1
        issued = _FIRST_LIST + datetime.timedelta(seconds=self._lists)
        builder = x509.CertificateRevocationListBuilder(authority.subject, issued, issued + _LIST_LIFE)
        for serial in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder(serial, revocation_date=_FIRST_LIST).build()
            )
        path = self.directory / REVOKED_FILE
        _write(path, builder.sign(key, SHA256()).public_bytes(Encoding.PEM), 0o644)
        for context in self.contexts:
            context.load_verify_locations(path)

    def sign_client(
        self,
        *,
        common_name: str,
        uid: str,
        team_id: str | None,
        extensions: Iterable[tuple[ObjectIdentifier, bytes]],
        life: tuple[datetime.datetime, datetime.datetime],
        rsa: bool,
    ) -> tuple[x509.Certificate, PrivateKey]:
        """A certificate for a client, with Apple's ``extensions`` (none of them critical), and its private key."""
        authority, key = self._pair
        own = _new_key(rsa)
        names = [x509.NameAttribute(NameOID.USER_ID, uid), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if team_id is not None:
            names.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, team_id))
        builder = (
            x509.CertificateBuilder(authority.subject, x509.Name(names), own.public_key(), x509.random_serial_number())
            .not_valid_before(life[0])
            .not_valid_after(life[1])
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        for oid, value in extensions:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        return builder.sign(key, SHA256()), own

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        path, key_path = self.ca_path, self.directory / CA_KEY_FILE
        if path.exists() or key_path.exists():
            try:
                key = load_pem_private_key(key_path.read_bytes(), password=None)
                certificate = x509.load_pem_x509_certificate(path.read_bytes())
            except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
                why = f"cannot read the CA in {self.directory}: {error}; remove {CA_FILE} and {CA_KEY_FILE}"
                raise Invalid(f"--data: {why}", field="--data") from error
            if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
                why = f"{CA_FILE} and {CA_KEY_FILE} in {self.directory} do not belong together; remove both"
                raise Invalid(f"--data: {why}", field="--data")
            if certificate.not_valid_after_utc - self._now > SERVER_LIFE:
                return certificate, key
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Heliogram simulator CA")
        certificate = (
            self._builder(name, name, key.public_key(), CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        _write(key_path, _pem(key), 0o600)
        _write(path, certificate.public_bytes(Encoding.PEM), 0o644)
        return certificate, key

    def _server_is_good(self, authority: x509.Certificate) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate((self.directory / SERVER_FILE).read_bytes())
            certificate.verify_directly_issued_by(authority)
            key = load_pem_private_key((self.directory / SERVER_KEY_FILE).read_bytes(), password=None)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # whatever is wrong with it, a new one is the cure
            return False
        return (
            key.public_key() == certificate.public_key()
            and certificate.not_valid_after_utc - self._now > RENEW_BEFORE
            and set(self._names) <= set(names)
        )

    def _issue_server(self, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        own = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(_name("Heliogram simulator"), authority.subject, own.public_key(), SERVER_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(self._names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        _write(self.directory / SERVER_KEY_FILE, _pem(own), 0o600)
        _write(self.directory / SERVER_FILE, certificate.public_bytes(Encoding.PEM), 0o644)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(hours=1))
            .not_valid_after(self._now + life)
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _HOST.fullmatch(name) or len(name) > MAX_HOST:
        raise Invalid(f"--name: expected a host name or an address such as apns.test, got {name!r}", field="--name")
    return x509.DNSName(name.lower())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _new_key(wants_rsa: bool) -> PrivateKey:
    return rsa.generate_private_key(65537, 2048) if wants_rsa else ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others for a moment before ``mode`` is set."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
