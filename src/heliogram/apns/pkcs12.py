"""PKCS#12, the form in which a key chain exports a push certificate with its key (`.p12`, `.pfx`)."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from .errors import InvalidCertificate

MAX_SIZE = 1 << 20
"""Bytes. Real ones have a few thousand."""

Source = bytes | str | os.PathLike[str]
_AGAIN = "export certificate and key together from the key chain, as .p12"


def load(source: Source, password: str | bytes | None) -> tuple[list[x509.Certificate], PrivateKeyTypes]:
    """The certificate with its chain behind it, and its key. Raises `InvalidCertificate`."""
    data = _read(source)
    if len(data) > MAX_SIZE:
        raise InvalidCertificate(f"certificate: {len(data)} bytes, the limit is {MAX_SIZE}; is this a .p12 file?")
    secret = password.encode("utf-8") if isinstance(password, str) else password
    if secret is not None and b"\0" in secret:  # the library panics on it
        raise InvalidCertificate("password: has a NUL character; give the one chosen at the export")
    key, leaf, others = _open(data, secret or None)
    certificates = [one for one in (leaf, *others) if one is not None]
    if not certificates:
        raise InvalidCertificate(f"certificate: the PKCS#12 file holds no certificate; {_AGAIN}")
    if key is None:
        raise InvalidCertificate(f"private_key: the PKCS#12 file holds no private key; {_AGAIN}")
    public = _spki(key)
    own = next((one for one in certificates if _spki(one) == public), certificates[0])
    return [own, *(one for one in certificates if one is not own)], key


def _read(source: Source) -> bytes:
    """The file's bytes: given as such, in base64, or by its path."""
    if isinstance(source, str) and len(source) > 1024:
        source = source.encode("utf-8", "replace")  # longer than a path: base64
    if isinstance(source, bytes):
        try:
            return base64.b64decode(b"".join(source.split()), validate=True) if source[:1] == b"M" else source
        except binascii.Error:
            return source
    try:
        path = Path(source)
        if path.stat().st_size > MAX_SIZE:
            raise InvalidCertificate(f"certificate: the file has more than {MAX_SIZE} bytes; is it a .p12 file?")
        return path.read_bytes()
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, InvalidCertificate):
            raise
        cause = (error.strerror or "not a file") if isinstance(error, OSError) else "not a path"
        raise InvalidCertificate(
            f"certificate: no readable file ({cause}); give the path of the .p12 file or its bytes"
        ) from None


_Content = tuple[PrivateKeyTypes | None, x509.Certificate | None, list[x509.Certificate]]


def _open(data: bytes, secret: bytes | None) -> _Content:
    try:
        return load_key_and_certificates(data, secret)  # None also opens what was sealed with an empty password
    except UnsupportedAlgorithm as error:
        raise InvalidCertificate(f"certificate: cannot be decrypted here ({error}); {_AGAIN}") from None
    except (ValueError, TypeError) as error:
        if "password" not in str(error).lower():
            raise InvalidCertificate(
                f"certificate: not a PKCS#12 file, or not a whole one; {_AGAIN}; PEM is another form"
            ) from None
    what = "missing" if secret is None else "wrong"
    raise InvalidCertificate(f"password: {what} for this PKCS#12 file; give the one chosen at the export")


def _spki(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
