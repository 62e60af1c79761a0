"""The portal: keys imported, keys issued once, and the limits Apple sets."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.sim_client import KEY_ID, TEAM, TOPIC, Signer, World

from heliogram.simulator import Conflict, Invalid, Missing
from heliogram.simulator.keys import KeyRing
from heliogram.simulator.tables import ENVIRONMENTS

pytestmark = pytest.mark.anyio


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing(random.Random(1).choice)


async def test_issued_key_works(world: World) -> None:
    """TOK-7: the .p8 the portal hands out signs tokens that are honoured."""
    issued = world.simulator.issue_key(TEAM)
    signer = Signer.from_p8(issued.key_id, TEAM, issued.p8)
    assert issued.p8.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert (await world.push(bearer=signer.token(int(world.clock.now)))).status == 200


def test_second_download_is_refused(keys: KeyRing) -> None:
    """TOK-7: a key is downloadable once, and that was when it was made."""
    issued = keys.issue(TEAM)
    with pytest.raises(Conflict, match="cannot be downloaded again"):
        keys.download(issued.key_id)
    with pytest.raises(Missing):
        keys.download("NOSUCHKEY1")


def test_imported_key_has_no_p8(keys: KeyRing) -> None:
    """The portal never had the private half of an imported key."""
    keys.add(KEY_ID, TEAM, Signer().public_pem)
    with pytest.raises(Missing):
        keys.download(KEY_ID)


def test_private_half_is_in_no_repr(keys: KeyRing) -> None:
    """No private key in a repr, nor anywhere in the ring."""
    issued = keys.issue(TEAM)
    assert issued.p8 not in repr(issued)
    assert "PRIVATE" not in repr(issued) + repr(keys) + repr(keys.all())


@pytest.mark.parametrize("wrong", ["", "ABC", "ABC123DEF", "ABC123DEFGH", "abc123defg", "ABC123DEF\n", "ÄBC123DEFG"])
def test_identifiers(keys: KeyRing, wrong: str) -> None:
    """TOK-2: key and team ids are 10 characters of A-Z and 0-9."""
    pem = Signer().public_pem
    for call, field in (
        (lambda: keys.add(wrong, TEAM, pem), "keyId"),
        (lambda: keys.add(KEY_ID, wrong, pem), "teamId"),
        (lambda: keys.add(KEY_ID, TEAM, pem, related_key_id=wrong), "relatedKeyId"),
        (lambda: keys.issue(wrong), "teamId"),
    ):
        with pytest.raises(Invalid) as caught:
            call()
        assert caught.value.field == field


def _pem(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("kind", ["junk", "private", "rsa", "p384"])
def test_public_key_must_be_p256(keys: KeyRing, kind: str) -> None:
    """TOK-4: ES256 needs P-256; anything else is refused, and a private key never quoted."""
    if kind == "rsa":
        pem = _pem(rsa.generate_private_key(65537, 2048).public_key())
    elif kind == "p384":
        pem = _pem(ec.generate_private_key(ec.SECP384R1()).public_key())
    else:
        pem = {"junk": "junk", "private": "-----BEGIN PRIVATE KEY-----\nhush\n"}[kind]
    with pytest.raises(Invalid) as caught:
        keys.add(KEY_ID, TEAM, pem)
    assert caught.value.field == "publicKey"
    assert "hush" not in str(caught.value)


def test_key_id_belongs_to_one_key(keys: KeyRing) -> None:
    """The same key may be imported again with other topics; another key under its id may not."""
    signer = Signer()
    keys.add(KEY_ID, TEAM, signer.public_pem)
    assert keys.add(KEY_ID, TEAM, signer.public_pem, topics=[TOPIC]).topics == frozenset({TOPIC.encode()})
    with pytest.raises(Conflict):
        keys.add(KEY_ID, TEAM, Signer().public_pem)
    with pytest.raises(Conflict):
        keys.add(KEY_ID, "TEAMOTHER1", signer.public_pem)


def test_topics_per_key(keys: KeyRing) -> None:
    """TOK-11: up to 400 topics."""
    pem = Signer().public_pem
    keys.add(KEY_ID, TEAM, pem, topics=[f"com.example.a{at}" for at in range(400)])
    for topics in ([f"com.example.a{at}" for at in range(401)], []):
        with pytest.raises(Invalid) as caught:
            keys.add(KEY_ID, TEAM, pem, topics=topics)
        assert caught.value.field == "topics"
    with pytest.raises(Invalid) as caught:
        keys.add(KEY_ID, TEAM, pem, topics=[TOPIC, "com example"])
    assert caught.value.field == "topics[1]"


def test_team_scoped_keys_per_environment(keys: KeyRing) -> None:
    """TOK-11: two team-scoped keys in each environment; legacy keys and other teams do not count."""
    for environment in ENVIRONMENTS:
        for _ in range(2):
            keys.issue(TEAM, environment=environment)
    keys.issue(TEAM)
    keys.issue("TEAMOTHER1", environment="sandbox")
    with pytest.raises(Conflict, match="2 team-scoped keys for sandbox"):
        keys.issue(TEAM, environment="sandbox")


def test_topic_keys_per_environment(keys: KeyRing) -> None:
    """TOK-11: 200 topic-specific keys in each environment."""
    for _ in range(200):
        keys.issue(TEAM, topics=[TOPIC], environment="sandbox")
    with pytest.raises(Conflict, match="200 topic-specific"):
        keys.issue(TEAM, topics=[TOPIC], environment="sandbox")


def test_environment_of_a_key(keys: KeyRing) -> None:
    """TOK-11: production, sandbox, or none for both."""
    with pytest.raises(Invalid) as caught:
        keys.issue(TEAM, environment="staging")  # type: ignore[arg-type]
    assert caught.value.field == "environment"


def test_revoking_what_is_not_there(keys: KeyRing) -> None:
    """An unknown key is Missing."""
    with pytest.raises(Missing):
        keys.revoke(KEY_ID)
