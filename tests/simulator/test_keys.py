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
    edge = [f"com.example.a{at}" for at in range(400)]
    keys.add(KEY_ID, TEAM, pem, topics=edge)
    assert len(keys.change(KEY_ID, topics=[*edge, edge[0]]).topics or ()) == 400
    for topics in ([*edge, TOPIC], []):
        with pytest.raises(Invalid) as caught:
            keys.change(KEY_ID, topics=topics)
        assert caught.value.field == "topics"
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
    keys.issue(TEAM, topics=[TOPIC], environment="production")
    keys.issue(TEAM, environment="sandbox")
    keys.revoke(keys.all()[0].key_id)
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


def pair(keys: KeyRing) -> tuple[str, str]:
    """Two related topic-specific keys."""
    first = keys.issue(TEAM, topics=[TOPIC], environment="sandbox").key_id
    second = keys.issue(TEAM, topics=["com.x"], environment="sandbox", related_key_id=first).key_id
    return first, second


def test_related_keys_know_of_each_other(keys: KeyRing) -> None:
    """TOK-11: a pair is a pair from both sides, until one of the two is revoked or given up."""
    first, second = pair(keys)
    assert keys.find(first).related_key_id == second
    keys.change(second, related_key_id=None)
    assert keys.find(first).related_key_id is None
    keys.change(first, related_key_id=second)
    assert keys.find(second).related_key_id == first
    keys.revoke(second)
    assert keys.find(first).related_key_id is None


def test_one_related_key(keys: KeyRing) -> None:
    """TOK-11: at most one; a second one has to wait until the first pair is given up."""
    first, _ = pair(keys)
    third = keys.issue(TEAM, topics=[TOPIC], environment="sandbox").key_id
    with pytest.raises(Conflict, match="has one at most"):
        keys.change(third, related_key_id=first)
    with pytest.raises(Conflict, match="has one at most"):
        keys.issue(TEAM, topics=[TOPIC], environment="sandbox", related_key_id=first)
    keys.change(first, related_key_id=third)
    assert [key.related_key_id for key in keys.all()] == [third, None, first]


@pytest.mark.parametrize("wrong", ["itself", "unknown", "team-scoped", "other environment", "other team"])
def test_related_keys_that_cannot_be(keys: KeyRing, wrong: str) -> None:
    """TOK-11: another topic-specific key of the same team and environment, and one that there is."""
    mine = keys.issue(TEAM, topics=[TOPIC], environment="sandbox").key_id
    others = {
        "itself": mine,
        "unknown": "NOSUCHKEY1",
        "team-scoped": keys.issue(TEAM, environment="sandbox").key_id,
        "other environment": keys.issue(TEAM, topics=[TOPIC], environment="production").key_id,
        "other team": keys.issue("TEAMOTHER1", topics=[TOPIC], environment="sandbox").key_id,
    }
    with pytest.raises(Invalid) as caught:
        keys.change(mine, related_key_id=others[wrong])
    assert caught.value.field == "relatedKeyId"
    assert keys.find(mine).related_key_id is None


def test_a_team_scoped_key_has_no_related_one(keys: KeyRing) -> None:
    """TOK-11: and none is made for it."""
    other = keys.issue(TEAM, topics=[TOPIC], environment="sandbox").key_id
    with pytest.raises(Invalid) as caught:
        keys.issue(TEAM, environment="sandbox", related_key_id=other)
    assert caught.value.field == "relatedKeyId"
    assert len(keys) == 1


def test_the_related_key_may_be_imported_later(keys: KeyRing) -> None:
    """TOK-11: imports come in any order; what the second is then has to fit."""
    keys.add(KEY_ID, TEAM, Signer().public_pem, topics=[TOPIC], related_key_id="KEYTOPIC01")
    keys.add("KEYTOPIC01", TEAM, Signer().public_pem, topics=["com.x"])
    assert keys.find("KEYTOPIC01").related_key_id == KEY_ID
    with pytest.raises(Conflict):
        keys.add("KEYTOPIC02", TEAM, Signer().public_pem, topics=["com.x"], related_key_id=KEY_ID)


def test_a_key_stays_of_its_kind(keys: KeyRing) -> None:
    """TOK-11: topics neither come to a team-scoped key nor go from a topic-specific one."""
    for made, topics in ((keys.issue(TEAM), [TOPIC]), (keys.issue(TEAM, topics=[TOPIC]), None)):
        with pytest.raises(Invalid, match="issue another key") as caught:
            keys.change(made.key_id, topics=topics)
        assert caught.value.field == "topics"


async def test_changed_topics_need_a_new_connection(world: World) -> None:
    """TOK-14, TOK-15: topics that are put on a key, and taken from it, are so on new connections alone."""
    issued = world.simulator.issue_key(TEAM, topics=[TOPIC], environment="production")
    bearer = Signer.from_p8(issued.key_id, TEAM, issued.p8).token(int(world.clock.now))
    client = await world.connect()
    assert (await client.push(world.token, bearer)).status == 200
    world.simulator.portal.change_key(issued.key_id, topics=["com.example.other"])
    assert (await client.push(world.token, bearer)).status == 200
    assert (await client.push(world.token, bearer, topic="com.example.other")).reason == "TopicDisallowed"
    assert (await world.push(bearer=bearer)).reason == "TopicDisallowed"


async def test_a_changed_relation_needs_a_new_connection(world: World) -> None:
    """TOK-15, TOK-16: the related key is the one there was at the first push; its topics, too."""
    signers: list[Signer] = []
    for at in range(3):
        related = signers[0].key_id if at == 1 else None
        issued = world.simulator.issue_key(TEAM, topics=[TOPIC], environment="production", related_key_id=related)
        signers.append(Signer.from_p8(issued.key_id, TEAM, issued.p8))
    first, second, third = signers
    bearers = {signer.key_id: signer.token(int(world.clock.now)) for signer in signers}
    client = await world.connect()
    assert (await client.push(world.token, bearers[first.key_id])).status == 200
    world.simulator.portal.change_key(second.key_id, topics=["com.example.other"])
    world.simulator.portal.change_key(first.key_id, related_key_id=third.key_id)
    assert (await client.push(world.token, bearers[second.key_id])).status == 200
    for follower, verdict in ((third, (200, None)), (second, (403, "UnrelatedKeyIdInToken"))):
        late = await world.connect()
        assert (await late.push(world.token, bearers[first.key_id])).status == 200
        assert (await late.push(world.token, bearers[follower.key_id])).verdict == verdict
    early = await world.connect()
    assert (await early.push(world.token, bearers[second.key_id])).reason == "TopicDisallowed"


async def test_team_scoped_keys_of_both_environments(world: World) -> None:
    """TOK-11, TOK-15: each works in its own; on one connection the other environment's is an error."""
    keys = {}
    for environment in ENVIRONMENTS:
        issued = world.simulator.issue_key(TEAM, environment=environment)
        keys[environment] = Signer.from_p8(issued.key_id, TEAM, issued.p8).token(int(world.clock.now))
    client = await world.connect()
    assert (await client.push(world.token, keys["production"])).status == 200
    verdict = (await client.push(world.token, keys["sandbox"])).verdict
    assert verdict == (403, "BadEnvironmentKeyInToken")
    other = await world.connect("sandbox")
    assert (await other.push(world.token, keys["sandbox"])).reason == "BadDeviceToken"
