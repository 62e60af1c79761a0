"""Apple's push certificates: the kinds the portal makes, and what their extensions say (rule book, section 3)."""

from __future__ import annotations

from typing import Literal

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from .names import base_topic, is_topic
from .tables import Environment

TOPICS_OID = ObjectIdentifier("1.2.840.113635.100.6.3.6")
VOIP_OID = ObjectIdentifier("1.2.840.113635.100.6.3.4")
ENVIRONMENT_OIDS: dict[Environment, ObjectIdentifier] = {
    "sandbox": ObjectIdentifier("1.2.840.113635.100.6.3.1"),
    "production": ObjectIdentifier("1.2.840.113635.100.6.3.2"),
}
PRESENT = b"\x05\x00"
"""An ASN.1 NULL: the value of an extension that says what it says by being there."""

CertificateKind = Literal["app", "voip", "complication", "mdm", "pass", "website"]

LISTED = (b".voip", b".complication")
"""Topics that a certificate must list one by one; the others go with the app's own (4.2, CERT-4)."""

TOKEN_ONLY = (b".location-query",)
PERHAPS_TOKEN_ONLY = (b".push-type.liveactivity",)

_UTF8, _SEQUENCE = 0x0C, 0x30
_COMMON_NAME_LIMIT = 64
"""Characters (RFC 5280, ub-common-name); a bundle id may be longer, and then is cut there and whole in the UID."""


class Kind(msgspec.Struct, frozen=True):
    """One kind of certificate in the portal.

    ``title``: of the subject's common name; ``suffix``: from the identifier to the subject's UID; ``prefix``: how the
    identifier must begin; ``environments``: those it works in, unless the order names one.
    """

    title: str
    suffix: str = ""
    prefix: str = ""
    environments: tuple[Environment, ...] = ("sandbox", "production")


KINDS: dict[CertificateKind, Kind] = {
    "app": Kind("Apple Push Services"),
    "voip": Kind("VoIP Services", suffix=".voip"),
    "complication": Kind("WatchKit Services", suffix=".complication"),
    "mdm": Kind("APSP", prefix="com.apple.mgmt.", environments=("production",)),
    "pass": Kind("Pass Type ID", prefix="pass.", environments=("production",)),
    "website": Kind("Website Push ID", prefix="web.", environments=("production",)),
}
_SINGLE_TITLES: dict[Environment, str] = {
    "sandbox": "Apple Development IOS Push Services",
    "production": "Apple Production IOS Push Services",
}


def describe(
    kind: CertificateKind, identifier: str, environment: Environment | None
) -> tuple[str, str, list[tuple[ObjectIdentifier, bytes]]]:
    """Common name, UID and Apple's extensions for a certificate; ``environment`` None: all that the kind works in.

    An app's certificate for both environments lists the app, its VoIP and its complication topic (CERT-1, CERT-2).
    """
    row = KINDS[kind]
    uid = identifier + row.suffix
    title = _SINGLE_TITLES[environment] if kind == "app" and environment is not None else row.title
    environments = row.environments if environment is None else (environment,)
    extensions = [(ENVIRONMENT_OIDS[one], PRESENT) for one in environments]
    if kind == "voip":
        extensions.append((VOIP_OID, _tlv(_UTF8, uid.encode("ascii"))))
    elif kind == "complication":
        extensions.append((TOPICS_OID, encode_topics([(uid, "complication")])))
    elif kind == "app" and environment is None:
        listed = [(uid, "app"), (uid + ".voip", "voip"), (uid + ".complication", "complication")]
        extensions.append((TOPICS_OID, encode_topics(listed)))
    return f"{title}: {identifier}"[:_COMMON_NAME_LIMIT], uid, extensions


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate says, as APNs reads it. Times are seconds since the epoch."""

    serial: str
    common_name: str
    team_id: str | None
    topics: frozenset[bytes]
    default_topic: bytes
    environments: frozenset[Environment]
    not_before: float
    not_after: float


def read(der: bytes) -> Contents:
    """A push certificate's contents. Raises ValueError when it is none: unreadable, or without any topic."""
    certificate = x509.load_der_x509_certificate(der)
    uid = _attribute(certificate, NameOID.USER_ID)
    raw = _extension(certificate, TOPICS_OID)
    topics = [] if raw is None else [topic for topic, _ in decode_topics(raw)]
    voip = _extension(certificate, VOIP_OID)
    if voip is not None and (uid is None or not uid.endswith(".voip")):
        topics.append(_voip_topic(voip))
    if not topics and uid is not None:
        topics = [uid]
    encoded = [topic.encode("utf-8") for topic in topics]
    if not encoded or not all(is_topic(topic) for topic in encoded):
        raise ValueError("the certificate names no topic")
    return Contents(
        serial=f"{certificate.serial_number:x}",
        common_name=_attribute(certificate, NameOID.COMMON_NAME) or "",
        team_id=_attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME),
        topics=frozenset(encoded),
        # A certificate with one topic speaks for it without being asked (CERT-5, CERT-6).
        default_topic=encoded[0] if len(set(encoded)) == 1 else b"",
        environments=_environments(certificate),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def covers(topics: frozenset[bytes], topic: bytes, *, live_activities: bool) -> bool:
    """Whether a certificate that lists these topics may send to this one (CERT-4, CERT-7)."""
    if topic in topics:
        return True
    if topic.endswith(LISTED) or topic.endswith(TOKEN_ONLY):
        return False
    if topic.endswith(PERHAPS_TOKEN_ONLY) and not live_activities:
        return False
    return base_topic(topic) in topics


def _environments(certificate: x509.Certificate) -> frozenset[Environment]:
    """Where it may be used; one that says nothing is for both (CERT-3)."""
    named = [one for one, oid in ENVIRONMENT_OIDS.items() if _extension(certificate, oid) is not None]
    return frozenset(named or ENVIRONMENT_OIDS)


def _attribute(certificate: x509.Certificate, oid: ObjectIdentifier) -> str | None:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else None


def _extension(certificate: x509.Certificate, oid: ObjectIdentifier) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else b""


def _voip_topic(raw: bytes) -> str:
    tag, content, rest = _take(raw)
    if tag != _UTF8 or rest:
        raise ValueError("the VoIP extension holds no text")
    return content.decode("utf-8")


def encode_topics(topics: list[tuple[str, str]]) -> bytes:
    """The extension's value: a SEQUENCE of each topic's name and a SEQUENCE with its kind (CERT-2)."""
    parts = (_tlv(_UTF8, topic.encode()) + _tlv(_SEQUENCE, _tlv(_UTF8, kind.encode())) for topic, kind in topics)
    return _tlv(_SEQUENCE, b"".join(parts))


def decode_topics(raw: bytes) -> list[tuple[str, str]]:
    """The topics with their kinds. Raises ValueError."""
    tag, content, rest = _take(raw)
    if tag != _SEQUENCE or rest:
        raise ValueError("the list of topics is no SEQUENCE")
    found = []
    while content:
        tag, name, content = _take(content)
        kind_tag, kinds, content = _take(content)
        if tag != _UTF8 or kind_tag != _SEQUENCE:
            raise ValueError("the list of topics is not made of names and kinds")
        inner_tag, kind, _ = _take(kinds)
        if inner_tag != _UTF8:
            raise ValueError("a topic's kind is no text")
        found.append((name.decode("utf-8"), kind.decode("utf-8")))
    return found


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def _take(raw: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what is behind it. Raises ValueError."""
    if len(raw) < 2:
        raise ValueError("the extension ends too soon")
    tag, size, start = raw[0], raw[1], 2
    if size >= 0x80:
        start = 2 + (size & 0x7F)
        if not 3 <= start <= 6 or len(raw) < start:
            raise ValueError("the extension has a length that cannot be")
        size = int.from_bytes(raw[2:start], "big")
    if len(raw) < start + size:
        raise ValueError("the extension ends too soon")
    return tag, raw[start : start + size], raw[start + size :]
