"""What a credential cannot send is said before the wire: environments, topics, push types, end of life."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ObjectIdentifier, UnrecognizedExtension
from cryptography.x509.oid import NameOID
from support.apns_server import ApnsServer, header
from support.engine import HELLO, TOKEN, MakeClient
from support.manual_clock import ManualClock
from support.tls import Authority, key_pem

from heliogram.apns import (
    Certificate,
    Client,
    Environment,
    InvalidCertificate,
    InvalidNotification,
    InvalidSigningKey,
    Notification,
    NotSent,
    Outcome,
    SigningKey,
)
from heliogram.apns.keykinds import MAX_TOPICS, KeyKind

PRIVATE = ec.generate_private_key(ec.SECP256R1())
VOIP = Notification(payload=b"{}", push_type="voip")
NULL = b"\x05\x00"


def make_key(**options: Any) -> SigningKey:
    return SigningKey(PRIVATE, **{"key_id": "ABC123DEFG", "team_id": "DEF123GHIJ", **options})


def topic_key(*topics: str) -> SigningKey:
    return make_key(environment="production", topics=frozenset(topics))


def topic_list(*topics: str) -> bytes:
    """Extension …6.3.6 with these topics (CERT-2)."""
    kind = b"\x30\x05\x0c\x03app"
    inner = b"".join(bytes((0x0C, len(one))) + one.encode() + kind for one in topics)
    return b"\x30\x81" + bytes((len(inner),)) + inner


def make_certificate(authority: Authority, **extensions: bytes) -> Certificate:
    """`t6=` is extension …6.3.6, and so on."""
    marks = [
        (UnrecognizedExtension(ObjectIdentifier(f"1.2.840.113635.100.6.3.{name[1:]}"), value), False)
        for name, value in extensions.items()
    ]
    return Certificate.from_pem(*authority.issue([(NameOID.USER_ID, "com.x")], list(marks)))


# ---- the kinds of key


def test_kinds() -> None:
    """A legacy team key, a team-scoped one, and a topic-specific one with its related key (TOK-11)."""
    legacy = make_key()
    assert (legacy.kind, legacy.environment, legacy.topics) == (KeyKind.TEAM, None, None)
    scoped = make_key(environment=Environment.SANDBOX)
    assert (scoped.kind, scoped.environment) == (KeyKind.TEAM_SCOPED, Environment.SANDBOX)
    key = make_key(environment="sandbox", topics=["com.x", "com.y"], related_key_id="ZZZ123DEFG")
    assert key.kind is KeyKind.TOPIC_SPECIFIC
    assert (key.environment, key.topics) == (Environment.SANDBOX, frozenset(("com.x", "com.y")))
    assert key.related_key_id == "ZZZ123DEFG"


def test_from_p8() -> None:
    """The same can be said of a key that is read from its file."""
    pem = key_pem(PRIVATE)
    options: dict[str, Any] = {"environment": "sandbox", "topics": {"com.x"}, "related_key_id": "ZZZ123DEFG"}
    key = SigningKey.from_p8(pem, key_id="ABC123DEFG", team_id="DEF123GHIJ", **options)
    assert (key.environment, key.topics, key.related_key_id) == (
        Environment.SANDBOX,
        frozenset(("com.x",)),
        "ZZZ123DEFG",
    )


def test_repr() -> None:
    """`repr` tells the kinds apart."""
    assert repr(make_key()) == "<SigningKey key ABC123DEFG of team DEF123GHIJ>"
    assert repr(topic_key("com.x", "com.y")).endswith("DEF123GHIJ, production only, 2 topics>")


@pytest.mark.parametrize("count", [1, MAX_TOPICS])
def test_number_of_topics(count: int) -> None:
    """1 to 400 topics (TOK-11)."""
    key = topic_key(*(f"com.x{i}" for i in range(count)))
    assert key.topics is not None
    assert len(key.topics) == count


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"environment": "sandbox", "topics": frozenset()}, "topics: 0 of them"),
        ({"environment": "sandbox", "topics": [f"com.x{i}" for i in range(MAX_TOPICS + 1)]}, "topics: 401 of them"),
        ({"environment": "sandbox", "topics": "com.x"}, "topics: a single text"),
        ({"environment": "sandbox", "topics": [7]}, "topics: holds a int"),
        ({"environment": "sandbox", "topics": ["no topic"]}, "topics: 'no topic' is not a topic"),
        ({"topics": ["com.x"]}, "environment: missing"),
        ({"environment": "staging"}, "environment: 'staging' is none"),
        ({"environment": "sandbox", "related_key_id": "ZZZ123DEFG"}, "related_key_id: only a topic-specific key"),
        ({"environment": "sandbox", "topics": ["com.x"], "related_key_id": "short"}, "related_key_id: must be 10"),
        ({"environment": "sandbox", "topics": ["com.x"], "related_key_id": "ABC123DEFG"}, "the key's own id"),
    ],
    ids=["none", "401", "text", "number", "spaces", "no environment", "unknown environment", "team", "short", "own"],
)
def test_impossible_keys(options: dict[str, Any], words: str) -> None:
    """What no portal hands out is refused, naming the field."""
    with pytest.raises(InvalidSigningKey, match=words):
        make_key(**options)


# ---- what a client refuses to be made with


@pytest.mark.parametrize("topics", [None, ["com.x"]])
def test_environment_of_the_key(topics: Collection[str] | None) -> None:
    """A key for one environment does not make a client of the other (TOK-15)."""
    key = make_key(environment="sandbox", topics=topics)
    Client(key, topic="com.x", environment="sandbox")
    with pytest.raises(InvalidSigningKey, match="environment: the key is for sandbox, not for production"):
        Client(key, topic="com.x")


def test_topic_of_the_client() -> None:
    """A client's topic must be one that the key is for, whatever the push type adds to it."""
    for good in ("com.x", "com.x.voip", None):
        Client(topic_key("com.x"), topic=good)
    Client(topic_key("com.x.voip"), topic="com.x")
    with pytest.raises(InvalidSigningKey, match=r"topics: the key is for com\.x, not for com\.y"):
        Client(topic_key("com.x"), topic="com.y")
    many = topic_key(*(f"com.x{i}" for i in range(9)))
    with pytest.raises(InvalidSigningKey, match=r"com\.x4 and 4 more, not for com\.y"):
        Client(many, topic="com.y")


def test_topic_of_the_certificate(authority: Authority) -> None:
    """The same with a certificate."""
    certificate = make_certificate(authority)
    Client(certificate, topic="com.x.voip")
    with pytest.raises(InvalidCertificate, match=r"certificate: is for com\.x, not for com\.y"):
        Client(certificate, topic="com.y")


def test_expired_certificate(authority: Authority, clock: ManualClock) -> None:
    """A certificate whose life is over does not make a client (CERT-12)."""
    certificate = make_certificate(authority)
    clock.wall = certificate.not_after.timestamp()
    Client(certificate, clock=clock)
    clock.wall += 1
    with pytest.raises(InvalidCertificate, match="certificate: expired on 2124-01-01; renew it"):
        Client(certificate, clock=clock)


# ---- what a push may need


@pytest.mark.anyio
async def test_topics_of_a_key(server: ApnsServer, make_client: MakeClient) -> None:
    """A listed bundle id covers the topics derived from it; another topic is refused before the wire (TOK-15)."""
    client = make_client(credential=topic_key("com.example.app", "com.example.other.voip"))
    assert (await client.send(TOKEN, VOIP)).ok
    assert (await client.send(TOKEN, VOIP, topic="com.example.other")).ok
    assert [header(one, b"apns-topic") for one in server.requests] == [
        b"com.example.app.voip",
        b"com.example.other.voip",
    ]
    words = r"topic: com\.example\.other is not among those of the key ABC123DEFG \(com\.example\.app, "
    with pytest.raises(InvalidNotification, match=words):
        client.send(TOKEN, HELLO, topic="com.example.other")


@pytest.mark.anyio
async def test_send_many_goes_on(server: ApnsServer, make_client: MakeClient) -> None:
    """In a batch the push that cannot be sent ends as `NotSent` with the cause, and the rest goes out."""
    client = make_client(credential=topic_key("com.example.app"))
    foreign = Notification(alert="Hi", topic="com.example.other")
    outcomes: list[Outcome] = [one async for one in client.send_many([(TOKEN, foreign), (TOKEN, HELLO)])]
    refused = [one for one in outcomes if isinstance(one, NotSent)]
    assert len(outcomes) == 2
    assert "com.example.other is not among those of the key" in refused[0].cause
    assert len(server.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("extensions", "push_type", "allowed"),
    [
        ({}, "alert", True),
        ({}, "background", True),
        ({}, "fileprovider", True),
        ({}, "pushtotalk", True),
        ({}, "voip", False),
        ({}, "complication", False),
        ({}, "location", False),
        ({"t4": NULL}, "voip", True),
        ({"t4": NULL}, "complication", False),
        ({"t6": topic_list("com.x", "com.x.voip")}, "voip", True),
        ({"t6": topic_list("com.x", "com.x.voip")}, "complication", False),
        ({"t6": topic_list("com.x", "com.x.complication")}, "complication", True),
        ({"t6": topic_list("com.x", "com.x.complication")}, "voip", False),
        ({"t6": topic_list("com.x.voip")}, "alert", False),
        ({"t6": topic_list("com.x", "com.x.location-query")}, "location", False),
    ],
)
async def test_push_types_of_a_certificate(
    server: ApnsServer,
    make_client: MakeClient,
    authority: Authority,
    extensions: dict[str, bytes],
    push_type: str,
    allowed: bool,
) -> None:
    """VoIP and complication topics must be in the certificate, location needs a key (CERT-4)."""
    client = make_client(credential=make_certificate(authority, **extensions), topic="com.x")
    push = Notification(payload=b"{}", push_type=push_type)
    if allowed:
        assert (await client.send(TOKEN, push)).ok
    else:
        with pytest.raises(InvalidNotification, match="CERT-4"):
            client.send(TOKEN, push)
        assert server.requests == []


@pytest.mark.anyio
async def test_a_certificate_of_another_app(server: ApnsServer, make_client: MakeClient, authority: Authority) -> None:
    """A topic of another app is refused before the wire (CERT-7)."""
    client = make_client(credential=make_certificate(authority), topic=None)
    with pytest.raises(InvalidNotification, match=r"com\.y is not among those of the certificate \(com\.x\)"):
        client.send(TOKEN, HELLO, topic="com.y")


@pytest.mark.anyio
async def test_missing_topic(server: ApnsServer, make_client: MakeClient, authority: Authority) -> None:
    """A certificate for several topics needs one of them named (CERT-6); a key needs one always."""
    several = make_certificate(authority, t6=topic_list("com.x", "com.x.voip"))
    client = make_client(credential=several, topic=None)
    with pytest.raises(InvalidNotification, match=r"certificate is for several \(com\.x, com\.x\.voip\) \(CERT-6\)"):
        client.send(TOKEN, HELLO)
    assert (await client.send(TOKEN, HELLO, topic="com.x")).ok
    with pytest.raises(InvalidNotification, match="topic: missing; give the client"):
        make_client(topic=None).send(TOKEN, HELLO)


@pytest.mark.anyio
async def test_a_certificate_that_expires_in_service(
    server: ApnsServer, make_client: MakeClient, authority: Authority, clock: ManualClock
) -> None:
    """Once it has expired no connection is tried with it; the cause says so."""
    certificate = make_certificate(authority)
    client = make_client(credential=certificate, topic=None)
    clock.wall = certificate.not_after.timestamp() + 1
    for _ in range(2):
        outcome = await client.send(TOKEN, HELLO)
        assert isinstance(outcome, NotSent)
        assert "certificate: expired on 2124-01-01" in outcome.cause
    assert server.peers == []
