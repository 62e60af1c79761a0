"""Reading `.p8` keys: every form people paste, and clear words for the rest."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from support.tls import key_pem

from heliogram.apns import InvalidSigningKey, SigningKey

PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = key_pem(PRIVATE).decode()
IDS = {"key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}
EXPECTED = SigningKey(PRIVATE, **IDS).provider_token(1)


@pytest.mark.parametrize(
    "source",
    [
        PEM,
        PEM.encode(),
        PEM.replace("\n", ""),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        "  \n" + PEM + "\n\n",
        base64.b64encode(PEM.encode()).decode(),
        base64.encodebytes(PEM.encode()),
        base64.b64encode(PEM.replace("\n", "").encode()),
    ],
    ids=["text", "bytes", "one line", "crlf", "spelled out", "spaces", "base64", "base64 lines", "base64 one line"],
)
def test_forms(source: str | bytes) -> None:
    """PEM text, bytes, without line breaks, with `\\n` spelled out, in base64: all the same key (TOK-7)."""
    assert SigningKey.from_p8(source, **IDS).provider_token(1) == EXPECTED


def test_path(tmp_path: Path) -> None:
    """A path, as text or as `Path`."""
    path = tmp_path / "AuthKey_ABC123DEFG.p8"
    path.write_text(PEM)
    assert SigningKey.from_p8(path, **IDS).provider_token(1) == EXPECTED
    assert SigningKey.from_p8(str(path), **IDS).provider_token(1) == EXPECTED


@pytest.mark.parametrize("field", ["key_id", "team_id"])
@pytest.mark.parametrize("value", ["", "ABC123DEF", "ABC123DEFGH", "abc123defg", "ABC-23DEFG", "ABC123DEF\n", None])
def test_ids(field: str, value: str) -> None:
    """Key id and team id are 10 characters of A-Z and 0-9; the message names the field (TOK-2)."""
    with pytest.raises(InvalidSigningKey, match=field):
        SigningKey(PRIVATE, **{**IDS, field: value})


def encrypted() -> bytes:
    return PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


def public() -> bytes:
    return PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def rsa_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def other_curve() -> bytes:
    return key_pem(ec.generate_private_key(ec.SECP384R1()))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "no PEM block"),
        (b"hello", "no PEM block"),
        ("/nowhere/AuthKey.p8", "nor a readable file"),
        ("null\0byte", "nor a readable file"),
        (encrypted(), "encrypted"),
        (public(), "PUBLIC KEY"),
        (rsa_pem(), "elliptic"),
        (other_curve(), "P-256"),
        (PEM.replace("MI", "**"), "not base64"),
        (PEM[:60] + PEM[64:], "no private key"),
        (PEM[:80], "no PEM block"),
    ],
    ids=[
        "empty",
        "text",
        "no file",
        "no path",
        "encrypted",
        "public",
        "rsa",
        "other curve",
        "not base64",
        "cut inside",
        "cut short",
    ],
)
def test_malformed(source: str | bytes, words: str) -> None:
    """What is wrong is said in words, and nothing of the key is."""
    with pytest.raises(InvalidSigningKey, match=words) as caught:
        SigningKey.from_p8(source, **IDS)
    body = PEM.split("-----")[2].replace("\n", "")
    assert body[:20] not in str(caught.value)
    assert caught.value.code == "invalid_signing_key"
