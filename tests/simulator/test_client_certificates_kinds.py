"""What the portal's kinds of certificate say, how they are read, and the bounds of an order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sim_client import TOPIC, Clock

from heliogram.simulator import Conflict, Invalid, Missing
from heliogram.simulator.certificates import Certificates
from heliogram.simulator.certkinds import (
    KINDS,
    TOPICS_OID,
    CertificateKind,
    covers,
    decode_topics,
    encode_topics,
    read,
)
from heliogram.simulator.clientcerts import MAX_KNOWN, CertificateOrder, ClientCertificate, ClientCertificates, make
from heliogram.simulator.feed import Feed

BOTH = {"production", "sandbox"}
MDM = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("ca")))


@pytest.fixture
def portal(authority: Certificates) -> ClientCertificates:
    certificates = ClientCertificates(clock=Clock(), feed=Feed())
    certificates.authority = authority
    return certificates


def order(**changes: Any) -> CertificateOrder:
    return CertificateOrder(**{"bundle_id": TOPIC, "rsa": False, **changes})


@pytest.mark.parametrize(
    ("kind", "identifier", "environment", "name", "topics", "environments"),
    [
        ("app", TOPIC, None, "Apple Push Services", {"", ".voip", ".complication"}, BOTH),
        ("app", TOPIC, "sandbox", "Apple Development IOS Push Services", {""}, {"sandbox"}),
        ("app", TOPIC, "production", "Apple Production IOS Push Services", {""}, {"production"}),
        ("voip", TOPIC, None, "VoIP Services", {".voip"}, BOTH),
        ("complication", TOPIC, None, "WatchKit Services", {".complication"}, BOTH),
        ("mdm", MDM, None, "APSP", {""}, {"production"}),
        ("pass", "pass.com.example.ticket", None, "Pass Type ID", {""}, {"production"}),
        ("website", "web.com.example", None, "Website Push ID", {""}, {"production"}),
    ],
)
def test_kinds(
    authority: Certificates,
    kind: CertificateKind,
    identifier: str,
    environment: Any,
    name: str,
    topics: set[str],
    environments: set[str],
) -> None:
    """CERT-1, CERT-2, CERT-3, CERT-5: names, topics and environments of each kind, as they are read again."""
    made = make(authority, order(bundle_id=identifier, kind=kind, environment=environment, team_id="DEF123GHIJ"), 1e9)
    contents = made.contents
    assert contents == read(made.der)
    assert contents.common_name == f"{name}: {identifier}"[:64]
    assert contents.topics == {(identifier + suffix).encode() for suffix in topics}
    assert contents.environments == environments
    assert contents.team_id == "DEF123GHIJ"
    assert bool(contents.default_topic) == (len(topics) == 1)


def test_every_kind_is_shown() -> None:
    """The table of kinds is whole."""
    assert set(KINDS) == set(get_args(CertificateKind))


def test_extension_as_published(authority: Certificates) -> None:
    """CERT-2: pairs of a name and a SEQUENCE with the kind, in this order, not critical."""
    certificate = x509.load_der_x509_certificate(make(authority, order(), 1e9).der)
    extension = certificate.extensions.get_extension_for_oid(TOPICS_OID)
    assert not extension.critical
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    listed = [(TOPIC, "app"), (f"{TOPIC}.voip", "voip"), (f"{TOPIC}.complication", "complication")]
    assert decode_topics(extension.value.value) == listed
    assert encode_topics([("a.b", "app")]) == bytes.fromhex("300c0c03612e6230050c03617070")


@pytest.mark.parametrize("size", [127, 128, 255, 256, 70_000])
def test_lengths(size: int) -> None:
    """DER's short and long lengths come back as they went."""
    assert decode_topics(encode_topics([("a" * size, "app")])) == [("a" * size, "app")]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    """CERT-2: an extension that is no list of topics is a ValueError and nothing else."""
    try:
        found = decode_topics(raw)
    except ValueError:
        return
    assert all(isinstance(topic, str) for topic, _ in found)


@pytest.mark.parametrize("wrong", ["31020c00", "3002", "30030c0161", "30060c01610c0161", "30050c01613000", "308500"])
def test_malformed_lists(wrong: str) -> None:
    """CERT-2: another tag, an end too soon, a name without a kind."""
    with pytest.raises(ValueError, match=r"extension|list|kind"):
        decode_topics(bytes.fromhex(wrong))


def test_no_push_certificate(authority: Certificates, portal: ClientCertificates) -> None:
    """CERT-8: what names no topic, or is no certificate at all, is bad, and is not listed."""
    pem = (authority.directory / "server.pem").read_bytes()
    with pytest.raises(ValueError, match="names no topic"):
        read(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    for der in (b"", b"junk", pem):
        assert not portal.of(der).good(1e9)
    assert len(portal) == 0


@pytest.mark.parametrize(
    ("listed", "topic", "covered"),
    [
        ("com.x", "com.x", True),
        ("com.x", "com.x.pushkit.fileprovider", True),
        ("com.x", "com.x.voip", False),
        ("com.x", "com.x.complication", False),
        ("com.x", "com.x.location-query", False),
        ("com.x", "com.y", False),
        ("com.x.voip", "com.x.voip", True),
        ("com.x.voip", "com.x", False),
        ("com.x.voip", "com.x.voip-ptt", False),
    ],
)
def test_covers(listed: str, topic: str, covered: bool) -> None:
    """CERT-4, CERT-7: what is listed by name, and what goes with the app's own topic."""
    assert covers(frozenset({listed.encode()}), topic.encode(), live_activities=False) is covered


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bundle_id": "nodots"}, "bundleId"),
        ({"bundle_id": "com." + "x" * 152}, "bundleId"),
        ({"kind": "gold"}, "kind"),
        ({"kind": "pass"}, "bundleId"),
        ({"kind": "website", "bundle_id": "pass.com.x"}, "bundleId"),
        ({"kind": "mdm", "bundle_id": MDM, "environment": "sandbox"}, "environment"),
        ({"environment": "staging"}, "environment"),
        ({"team_id": "short"}, "teamId"),
        ({"days": 0}, "days"),
        ({"days": 3651}, "days"),
    ],
)
def test_orders_that_cannot_be(portal: ClientCertificates, changes: dict[str, Any], field: str) -> None:
    """A clear error names the field; the edges themselves are fine."""
    with pytest.raises(Invalid) as caught:
        portal.issue(order(**changes))
    assert caught.value.field == field


@pytest.mark.parametrize("changes", [{"bundle_id": "com." + "x" * 151}, {"days": 1}, {"days": 3650}])
def test_orders_at_the_edge(portal: ClientCertificates, changes: dict[str, Any]) -> None:
    """155 characters of bundle id, a day and ten years are taken."""
    assert portal.issue(order(**changes)).contents.topics


def test_a_clock_beyond_all_dates(authority: Certificates) -> None:
    """A simulator whose clock was set to the far future says so."""
    with pytest.raises(Invalid, match="before the year 10000"):
        make(authority, order(), 1e15)


def test_without_a_running_simulator() -> None:
    """There is no CA before start."""
    with pytest.raises(Conflict, match="start it first"):
        ClientCertificates(clock=Clock(), feed=Feed()).issue(order())


def test_how_many(portal: ClientCertificates) -> None:
    """10,000 certificates are remembered; one more is refused, and one that is presented is judged all the same."""
    made = portal.issue(order())
    spare = make(portal.ready(), order(), Clock()())
    for at in range(MAX_KNOWN - 2):
        portal._known[f"x{at}"] = ClientCertificate(der=b"", contents=made.contents)
    portal.issue(order())
    with pytest.raises(Conflict, match="10000 certificates already"):
        portal.issue(order())
    assert portal.of(spare.der).good(Clock()())
    assert len(portal) == MAX_KNOWN


def test_serial_in_any_spelling(portal: ClientCertificates) -> None:
    """A serial number is found in upper case, with colons and leading zeros, as tools print it; another is Missing."""
    serial = portal.issue(order()).contents.serial
    even = serial.zfill(42).upper()
    assert portal.get(":".join(even[at : at + 2] for at in range(0, 42, 2))).issued
    with pytest.raises(Missing):
        portal.revoke("abc")


def test_same_serial_other_certificate(portal: ClientCertificates) -> None:
    """Somebody with the CA's key signs a second one under a known serial: it is judged for itself."""
    known = portal.get(portal.issue(order()).contents.serial)
    other = make(portal.ready(), order(bundle_id="com.example.other"), Clock()())
    portal._known[other.contents.serial] = known
    assert portal.of(other.der).contents == other.contents


def test_secrets_are_in_no_repr(portal: ClientCertificates) -> None:
    """No private key in a repr; PKCS#12 needs a password."""
    made = portal.issue(order())
    assert "PRIVATE" not in repr(made) + repr(portal) + repr(list(portal))
    assert "rsa" not in repr(made).lower()
    with pytest.raises(Invalid) as caught:
        made.p12("")
    assert caught.value.field == "password"
