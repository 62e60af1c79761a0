"""Provider tokens are verified for real, in the order and with the memory APNs is known to have."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from support.sim_client import KEY_ID, TEAM, TOPIC, Signer, World

from heliogram.simulator import Settings

pytestmark = pytest.mark.anyio

INVALID = (403, "InvalidProviderToken")


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("authorization", [None, "", "bearer", "basic abc", "bearerabc"])
async def test_missing_provider_token(world: World, authorization: str | None) -> None:
    """TOK-21: no, an empty, or a malformed authorization is MissingProviderToken."""
    extra = () if authorization is None else (("authorization", authorization),)
    assert (await world.push(*extra, bearer=None)).verdict == (403, "MissingProviderToken")


async def test_extra_members_are_tolerated(world: World) -> None:
    """TOK-5: typ in the header and exp in the claims do no harm."""
    now = int(world.clock.now)
    token = world.signer.token(now, header={"typ": "JWT"}, exp=now + 60)
    assert (await world.push(bearer=token)).status == 200


@pytest.mark.parametrize(
    "header", [{"alg": "HS256"}, {"alg": "none"}, {"alg": None}, {"kid": "KEY7654321"}, {"kid": 1}]
)
async def test_wrong_header(world: World, header: dict[str, Any]) -> None:
    """TOK-2, TOK-3, TOK-19: another algorithm or an unknown key is InvalidProviderToken."""
    assert (await world.push(bearer=world.signer.token(int(world.clock.now), header=header))).verdict == INVALID


@pytest.mark.parametrize("iss", ["TEAM654321", "", None, 5])
async def test_wrong_team(world: World, iss: Any) -> None:
    """TOK-19: iss must be the key's team."""
    assert (await world.push(bearer=world.signer.token(int(world.clock.now), iss=iss))).verdict == INVALID


async def test_key_and_team_swapped(world: World) -> None:
    """TOK-19: swapped ids are InvalidProviderToken."""
    swapped = Signer(TEAM, KEY_ID, world.signer.private)
    assert (await world.push(bearer=swapped.token(int(world.clock.now)))).verdict == INVALID


async def test_der_signature(world: World) -> None:
    """TOK-4: the signature is 64 raw bytes; DER is taken as APNs takes it, and noted once for a connection."""
    client = await world.connect()
    tokens = [world.signer.token(int(world.clock.now) - old, der=True) for old in (1, 0)]
    assert [(await client.push(world.token, token)).verdict for token in tokens] == [(200, None), (200, None)]
    assert len(world.simulator.apns.violations.latest(rule="TOK-4")) == 1


@pytest.mark.parametrize("settings", [Settings(strict_signature=True)])
async def test_der_signature_strictly(world: World) -> None:
    """TOK-4: with the setting, DER is InvalidProviderToken."""
    assert (await world.push(bearer=world.signer.token(int(world.clock.now), der=True))).verdict == INVALID
    assert (await world.push()).verdict == (200, None)


async def test_der_signature_of_another_key(world: World) -> None:
    """TOK-4, TOK-19: a DER signature is verified like any, and wrong bytes are InvalidProviderToken."""
    assert (await world.push(bearer=Signer().token(int(world.clock.now), der=True))).verdict == INVALID
    head, claims, _ = world.bearer.split(".")
    for wrong in ("MA", "MAYCAQACAQA", "A" * 84, "A" * 87):
        assert (await world.push(bearer=f"{head}.{claims}.{wrong}")).verdict == INVALID


async def test_signature_of_another_key(world: World) -> None:
    """TOK-19: a signature by another key is InvalidProviderToken."""
    assert (await world.push(bearer=Signer().token(int(world.clock.now)))).verdict == INVALID


async def test_altered_claims(world: World) -> None:
    """TOK-19: claims changed after signing are InvalidProviderToken."""
    header, _, signature = world.bearer.split(".")
    forged = f"{header}.{part({'iss': TEAM, 'iat': int(world.clock.now) - 1})}.{signature}"
    assert (await world.push(bearer=forged)).verdict == INVALID


@pytest.mark.parametrize("iat", ["1800000000", None, True, [1], 10**400, -(10**400), 1e300])
async def test_issue_time_must_be_a_number(world: World, iat: Any) -> None:
    """TOK-2, TOK-6: a string, even of digits, is InvalidProviderToken."""
    assert (await world.push(bearer=world.signer.token(iat))).verdict == INVALID


@pytest.mark.parametrize(
    "token", ["x", "a.b", "a.b.c", "a.b.c.d", "..", "é.é.é", "e30.e30.e30", "W10.W10.W10", "====.a.b", "A" * 5000]
)
async def test_structure(world: World, token: str) -> None:
    """TOK-2: what is no JWT is InvalidProviderToken."""
    assert (await world.push(bearer=token)).verdict == INVALID


@pytest.mark.parametrize(("age", "verdict"), [(3600, (200, None)), (3601, (403, "ExpiredProviderToken"))])
async def test_age(world: World, age: int, verdict: tuple[int, str | None]) -> None:
    """TOK-8: one hour is the limit, and one second more."""
    assert (await world.push(bearer=world.signer.token(int(world.clock.now) - age))).verdict == verdict


async def test_age_is_judged_again_at_every_push(world: World) -> None:
    """TOK-8: a token verified once on a connection still expires there."""
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.clock.move(3601)
    assert (await client.push(world.token, world.bearer)).verdict == (403, "ExpiredProviderToken")


@pytest.mark.parametrize(("ahead", "verdict"), [(300, (200, None)), (301, INVALID)])
async def test_future(world: World, ahead: int, verdict: tuple[int, str | None]) -> None:
    """TOK-8: beyond a skew of five minutes a future token is InvalidProviderToken."""
    assert (await world.push(bearer=world.signer.token(int(world.clock.now) + ahead))).verdict == verdict


async def test_second_team_on_one_connection(world: World) -> None:
    """TOK-12: a connection belongs to the first team; elsewhere the other team's token is good."""
    other = Signer("KEYOTHER01", "TEAMOTHER1")
    world.simulator.add_key(other.key_id, other.team_id, other.public_pem)
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    bearer = other.token(int(world.clock.now))
    assert (await client.push(world.token, bearer)).verdict == INVALID
    assert (await world.push(bearer=bearer)).status == 200


async def test_key_of_the_other_environment(world: World) -> None:
    """TOK-11, TOK-17: a sandbox key on production is answered in the wire's spelling."""
    key = Signer("KEYSANDBOX")
    world.simulator.add_key(key.key_id, TEAM, key.public_pem, environment="sandbox")
    assert (await world.push(bearer=key.token(int(world.clock.now)))).verdict == (403, "BadEnvironmentKeyInToken")


async def test_topic_not_on_the_key(world: World) -> None:
    """TOK-15, TOK-18: a topic-specific key serves its topics and no other."""
    key = Signer("KEYTOPIC01")
    world.simulator.add_key(key.key_id, TEAM, key.public_pem, topics=[TOPIC], environment="production")
    client = await world.connect()
    bearer = key.token(int(world.clock.now))
    assert (await client.push(world.token, bearer)).status == 200
    verdict = (await client.push(world.token, bearer, topic="com.example.other")).verdict
    assert verdict == (400, "TopicDisallowed")


async def test_topic_added_to_a_key_needs_a_new_connection(world: World) -> None:
    """TOK-14, TOK-13: a connection knows the topics as they were at its first push."""
    key = Signer("KEYTOPIC01")
    world.simulator.add_key(key.key_id, TEAM, key.public_pem, topics=["com.example.other"])
    client, bearer = await world.connect(), key.token(int(world.clock.now))
    assert (await client.push(world.token, bearer)).reason == "TopicDisallowed"
    world.simulator.add_key(key.key_id, TEAM, key.public_pem, topics=["com.example.other", TOPIC])
    assert (await client.push(world.token, bearer)).reason == "TopicDisallowed"
    assert (await world.push(bearer=bearer)).status == 200


async def test_unrelated_key(world: World) -> None:
    """TOK-15, TOK-16: after a topic-specific key only its related key may follow on a connection."""
    first, related, stranger = (Signer(f"KEYTOPIC0{at}") for at in range(3))
    for key, kin in ((first, None), (related, first.key_id), (stranger, None)):
        world.simulator.add_key(key.key_id, TEAM, key.public_pem, topics=[TOPIC], related_key_id=kin)
    now = int(world.clock.now)
    for second, verdict in (
        (related, (200, None)),
        (stranger, (403, "UnrelatedKeyIdInToken")),
        (world.signer, (403, "UnrelatedKeyIdInToken")),
    ):
        client = await world.connect()
        assert (await client.push(world.token, first.token(now))).status == 200
        assert (await client.push(world.token, second.token(now))).verdict == verdict


async def test_topic_key_after_a_team_key(world: World) -> None:
    """TOK-15: after a team-scoped key a topic-specific one is unrelated; another team-scoped one is not."""
    topical, second = Signer("KEYTOPIC01"), Signer("KEYTEAM002")
    world.simulator.add_key(topical.key_id, TEAM, topical.public_pem, topics=[TOPIC])
    world.simulator.add_key(second.key_id, TEAM, second.public_pem)
    now = int(world.clock.now)
    for key, status in ((topical, 403), (second, 200)):
        client = await world.connect()
        assert (await client.push(world.token, world.bearer)).status == 200
        assert (await client.push(world.token, key.token(now))).status == status


async def test_revoked_key(world: World) -> None:
    """TOK-19, TOK-20: a revoked key's token is InvalidProviderToken, on open connections too."""
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.revoke_key(KEY_ID)
    assert (await client.push(world.token, world.bearer)).verdict == INVALID


async def test_third_token_within_twenty_minutes(world: World) -> None:
    """TOK-10: the third distinct token is refused, and with it everything, until the first is 20 min old."""
    client, now = await world.connect(), int(world.clock.now)
    first, second, third = (world.signer.token(now - age) for age in (0, 1, 2))
    refused = (429, "TooManyProviderTokenUpdates")
    assert (await client.push(world.token, first)).status == 200
    world.clock.move(60)
    assert (await client.push(world.token, second)).status == 200
    assert (await client.push(world.token, first)).status == 200
    world.clock.move(1139)
    assert (await client.push(world.token, third)).verdict == refused
    assert (await client.push(world.token, first)).verdict == refused
    world.clock.move(1)
    assert (await client.push(world.token, third)).status == 200


async def test_floor_counts_invalid_tokens_and_comes_before_their_check(world: World) -> None:
    """SUR-7: the third different token is 429 even when none was valid."""
    client = await world.connect()
    reasons = [(await client.push(world.token, f"junk{at}")).reason for at in range(3)]
    assert reasons == ["InvalidProviderToken", "InvalidProviderToken", "TooManyProviderTokenUpdates"]


async def test_floor_is_per_connection(world: World) -> None:
    """TOK-10, reading A: another connection has not seen the tokens of the first."""
    now = int(world.clock.now)
    client = await world.connect()
    for age in range(3):
        await client.push(world.token, world.signer.token(now - age))
    assert (await world.push(bearer=world.signer.token(now - 2))).status == 200


async def test_token_changed_every_twenty_minutes_is_fine(world: World) -> None:
    """TOK-9: a change every 20 min never trips the floor."""
    client = await world.connect()
    for _ in range(6):
        assert (await client.push(world.token, world.signer.token(int(world.clock.now)))).status == 200
        world.clock.move(1200)


class TestToTheLetter:
    """TOK-9 as documented, by settings."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(token_changes=1, documented_spelling=True)

    async def test_second_token_within_twenty_minutes(self, world: World) -> None:
        """TOK-9: a new token sooner than 20 min is refused, then taken."""
        client, now = await world.connect(), int(world.clock.now)
        assert (await client.push(world.token, world.bearer)).status == 200
        world.clock.move(1199)
        assert (await client.push(world.token, world.signer.token(now + 1))).status == 429
        world.clock.move(1)
        assert (await client.push(world.token, world.signer.token(now + 1))).status == 200

    async def test_documented_spelling(self, world: World) -> None:
        """TOK-17: the documents write BadEnvironmentKeyIdInToken."""
        key = Signer("KEYSANDBOX")
        world.simulator.add_key(key.key_id, TEAM, key.public_pem, environment="sandbox")
        reply = await world.push(bearer=key.token(int(world.clock.now)))
        assert reply.verdict == (403, "BadEnvironmentKeyIdInToken")
