"""Certificate mode: what a push certificate may do, and how it gets into TLS (apns-rules section 3)."""

from __future__ import annotations

import datetime
import os
import secrets
import ssl
import tempfile

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID, ObjectIdentifier

from . import der, pem, pkcs12
from .environment import Environment
from .errors import InvalidCertificate

_TOPICS = ObjectIdentifier("1.2.840.113635.100.6.3.6")
_VOIP = ObjectIdentifier("1.2.840.113635.100.6.3.4")
_ENVIRONMENTS = {
    Environment.SANDBOX: ObjectIdentifier("1.2.840.113635.100.6.3.1"),
    Environment.PRODUCTION: ObjectIdentifier("1.2.840.113635.100.6.3.2"),
}


class Certificate:
    """A push certificate with its private key. Immutable; `repr` shows topics and end of life alone."""

    __slots__ = ("_chain", "_key", "environments", "not_after", "topics", "uid", "voip")

    def __init__(self, chain: list[x509.Certificate], private_key: PrivateKeyTypes) -> None:
        leaf = chain[0]
        _check_pair(leaf, private_key)
        self._chain = chain
        self._key = private_key
        self.uid = _uid(leaf)
        self.topics = _topics(leaf, self.uid)
        self.voip = _extension(leaf, _VOIP) is not None
        self.environments = frozenset(one for one, oid in _ENVIRONMENTS.items() if _extension(leaf, oid) is not None)
        self.not_after = leaf.not_valid_after_utc

    @classmethod
    def from_pem(cls, certificate: str | bytes, private_key: str | bytes) -> Certificate:
        """A certificate from PEM text (or base64 of it), with or without line breaks.

        More certificates after the first are sent as its chain. Raises `InvalidCertificate`.
        """
        return cls(_load_chain(certificate), _load_key(private_key))

    @classmethod
    def from_pkcs12(
        cls, data_or_path: bytes | str | os.PathLike[str], password: str | bytes | None = None
    ) -> Certificate:
        """A certificate with its key from a `.p12` or `.pfx` file: its bytes (or base64 of them), or its path.

        More certificates in it are sent as its chain. Raises `InvalidCertificate`: for a wrong
        password, when there is no key or no certificate in it, or when it is something else.
        """
        return cls(*pkcs12.load(data_or_path, password))

    @property
    def default_topic(self) -> str | None:
        """The topic when none is given: the only one, or the subject's UID without an extension (CERT-5, CERT-6)."""
        return self.topics[0] if len(self.topics) == 1 else None

    def allows(self, environment: Environment) -> bool:
        """Whether the certificate is for this environment; one that says nothing is for both (CERT-3)."""
        return not self.environments or environment in self.environments

    def expired(self, now: datetime.datetime) -> bool:
        """Whether the certificate's life is over."""
        return now > self.not_after

    def load_into(self, context: ssl.SSLContext) -> None:
        """Present this certificate in every handshake of the context."""
        # Python's ssl takes files alone. The key is written encrypted under a password that
        # nobody ever sees, into a file that is gone when this returns.
        password = secrets.token_bytes(24).hex()
        sealed = BestAvailableEncryption(password.encode("ascii"))
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)
        handle, path = tempfile.mkstemp(prefix="heliogram-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(key + b"".join(one.public_bytes(Encoding.PEM) for one in self._chain))
            context.load_cert_chain(path, password=password)
        finally:
            os.unlink(path)  # noqa: PTH108 - mkstemp speaks of paths as text

    def __repr__(self) -> str:
        return f"<Certificate {', '.join(self.topics)} until {self.not_after:%Y-%m-%d}>"


def _load_chain(source: str | bytes) -> list[x509.Certificate]:
    try:
        found = [one for one in pem.blocks(source) if one.label == "CERTIFICATE"]
        chain = [x509.load_pem_x509_certificate(one.pem()) for one in found]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCertificate(f"certificate: cannot be read ({error}); export it again as PEM") from None
    if not chain:
        raise InvalidCertificate("certificate: no CERTIFICATE block found; give the PEM text of the push certificate")
    return chain


def _load_key(source: str | bytes) -> PrivateKeyTypes:
    try:
        found = pem.blocks(source)
    except ValueError as error:
        raise InvalidCertificate(f"private_key: {error}") from None
    block = next((one for one in found if one.label.endswith("PRIVATE KEY")), None)
    if block is None:
        raise InvalidCertificate("private_key: no PRIVATE KEY block found; give the PEM text of the certificate's key")
    try:
        return load_pem_private_key(block.pem(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidCertificate("private_key: cannot be read; export it again as PEM, not encrypted") from None


def _check_pair(leaf: x509.Certificate, private_key: PrivateKeyTypes) -> None:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != private_key.public_key().public_bytes(*form):
        raise InvalidCertificate(
            "private_key: belongs to another certificate; export the two together from the key chain"
        )


def _extension(leaf: x509.Certificate, oid: ObjectIdentifier) -> bytes | None:
    try:
        value = leaf.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise InvalidCertificate(f"certificate: its extensions cannot be read ({error})") from None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else b""


def _uid(leaf: x509.Certificate) -> str | None:
    found = leaf.subject.get_attributes_for_oid(NameOID.USER_ID)
    return str(found[0].value) if found else None


def _topics(leaf: x509.Certificate, uid: str | None) -> tuple[str, ...]:
    extension = _extension(leaf, _TOPICS)
    if extension is not None:
        try:
            listed = tuple(der.topics(extension))
        except ValueError as error:
            raise InvalidCertificate(f"certificate: its list of topics cannot be read ({error})") from None
        if listed:
            return listed
    if uid is None:
        raise InvalidCertificate(
            "certificate: names no topic (no topic extension, no UID in the subject); this is not a push certificate"
        )
    return (uid,)
