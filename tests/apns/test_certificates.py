"""Certificates: topics, environments, end of life, and the forms they come in (apns-rules section 3)."""

from __future__ import annotations

import base64
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from support.tls import Authority

from heliogram.apns import Certificate, Client, Environment, InvalidCertificate

APPLE = "1.2.840.113635.100.6.3."
Pair = tuple[bytes, bytes]


def element(tag: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes((tag, len(content))) + content


def topic_list(*pairs: tuple[str, str]) -> bytes:
    inner = b"".join(
        element(0x0C, topic.encode()) + element(0x30, element(0x0C, kind.encode())) for topic, kind in pairs
    )
    return element(0x30, inner)


def make(authority: Authority, uid: str | None = "com.x", **extensions: bytes) -> Pair:
    """A push certificate; `t6=` is extension 1.2.840.113635.100.6.3.6, and so on."""
    subject = [(NameOID.COMMON_NAME, "Apple Push Services")]
    if uid is not None:
        subject.append((NameOID.USER_ID, uid))
    listed: list[tuple[x509.ExtensionType, bool]] = [
        (x509.UnrecognizedExtension(ObjectIdentifier(APPLE + name[1:]), value), False)
        for name, value in extensions.items()
    ]
    return authority.issue(subject, listed)


def test_topics_from_the_extension(authority: Authority) -> None:
    """The extension lists the topics; with several of them there is no default (CERT-2, CERT-6)."""
    listed = topic_list(("com.x", "app"), ("com.x.voip", "voip"), ("com.x.complication", "complication"))
    certificate = Certificate.from_pem(*make(authority, t6=listed))
    assert certificate.topics == ("com.x", "com.x.voip", "com.x.complication")
    assert certificate.default_topic is None


def test_topic_from_the_subject(authority: Authority) -> None:
    """Without the extension the subject's UID is the topic (CERT-5)."""
    certificate = Certificate.from_pem(*make(authority))
    assert certificate.topics == ("com.x",)
    assert certificate.default_topic == certificate.uid == "com.x"


def test_environments(authority: Authority) -> None:
    """The two marks say where it may be used; none of them means both (CERT-3, CERT-1)."""
    null = b"\x05\x00"
    assert Certificate.from_pem(*make(authority, t1=null)).environments == {Environment.SANDBOX}
    assert Certificate.from_pem(*make(authority, t2=null)).environments == {Environment.PRODUCTION}
    both = Certificate.from_pem(*make(authority, t1=null, t2=null))
    none = Certificate.from_pem(*make(authority))
    assert all(one.allows(environment) for one in (both, none) for environment in Environment)


def test_wrong_environment_is_refused_locally(authority: Authority) -> None:
    """A sandbox certificate is not even tried on production (CERT-3, CERT-8)."""
    certificate = Certificate.from_pem(*make(authority, t1=b"\x05\x00"))
    with pytest.raises(InvalidCertificate, match="sandbox, not for production"):
        Client(certificate, environment=Environment.PRODUCTION, cafile=authority.cafile)


def test_end_of_life(authority: Authority) -> None:
    """`not_after` is there to warn of (CERT-12)."""
    assert Certificate.from_pem(*make(authority)).not_after.year == 2124


@pytest.mark.parametrize("form", ["plain", "one line", "stray break", "base64", "base64 of one line", "text before"])
def test_forms(authority: Authority, form: str) -> None:
    """PEM without line breaks, in base64, or with text around it is taken like ordinary PEM."""

    def shape(pem: bytes) -> bytes:
        bare = pem.replace(b"\n", b"")
        return {
            "plain": pem,
            "one line": bare,
            "stray break": bare[:200] + b"\n" + bare[200:],
            "base64": base64.b64encode(pem),
            "base64 of one line": base64.b64encode(bare),
            "text before": b"Bag Attributes\n    friendlyName: x\n" + pem,
        }[form]

    certificate, key = make(authority)
    assert Certificate.from_pem(shape(certificate), shape(key).decode()).topics == ("com.x",)


def test_errors(authority: Authority) -> None:
    """What is wrong is named: the certificate, its key, or that they do not belong together."""
    certificate, key = make(authority)
    _, other = make(authority)
    cases: list[tuple[bytes, bytes, str]] = [
        (b"", key, "certificate: no CERTIFICATE"),
        (key, key, "certificate: no CERTIFICATE"),
        (certificate, b"", "private_key: no PRIVATE KEY"),
        (certificate, other, "private_key: belongs to another"),
        (certificate.replace(b"MI", b"MQ", 1), key, "certificate: cannot be read"),
        (certificate, key.replace(b"MI", b"MQ", 1), "private_key: cannot be read"),
        (*make(authority, uid=None), "certificate: names no topic"),
        (*make(authority, t6=b"\x30\x7f"), "certificate: its list of topics"),
        (*make(authority, t6=b"\x30\x04\x0c\x02\xff\xfe"), "certificate: its list of topics"),
    ]
    for first, second, words in cases:
        with pytest.raises(InvalidCertificate, match=words):
            Certificate.from_pem(first, second)


def test_loading_leaves_no_file_behind(authority: Authority, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key goes into the TLS context through a file that is encrypted and gone afterwards."""
    import tempfile
    from pathlib import Path

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    Certificate.from_pem(*make(authority)).load_into(context)
    assert list(Path(str(tmp_path)).iterdir()) == []


def test_repr(authority: Authority) -> None:
    """Topics and end of life, nothing of the key."""
    assert repr(Certificate.from_pem(*make(authority))) == "<Certificate com.x until 2124-01-01>"
