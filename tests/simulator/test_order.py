"""The order of checks (9.3)."""

from __future__ import annotations

import pytest
from support.sim_client import ALERT, KEY_ID, TEAM, TOPIC, Signer, World

from heliogram.simulator import RULES

pytestmark = pytest.mark.anyio


def test_order_of_checks() -> None:
    """9.3: the order, pinned."""
    assert [rule.reason for rule in RULES] == [
        "MethodNotAllowed",
        "BadPath",
        "MissingDeviceToken",
        "DuplicateHeaders",
        "BadCertificate",
        "BadCertificateEnvironment",
        "MissingProviderToken",
        "TooManyProviderTokenUpdates",
        "InvalidProviderToken",
        "ExpiredProviderToken",
        "BadEnvironmentKeyInToken",
        "InvalidProviderToken",
        "UnrelatedKeyIdInToken",
        "BadMessageId",
        "BadExpirationDate",
        "BadPriority",
        "BadCollapseId",
        "InvalidPushType",
        "MissingTopic",
        "BadTopic",
        "InvalidPushType",
        "TopicDisallowed",
        "PayloadEmpty",
        "PayloadTooLarge",
        "BadDeviceToken",
        "DeviceTokenNotForTopic",
        "ExpiredToken",
        "Unregistered",
        "TooManyRequests",
    ]


async def test_order_shows_as_faults_are_mended_one_by_one(world: World) -> None:
    """9.3: a push wrong in every way is told one fault at a time, in the table's order."""
    now = int(world.clock.now)
    stale = world.signer.token(now - 3601)
    world.simulator.uninstall(world.device.id, TOPIC)
    world.simulator.add_key(KEY_ID, TEAM, world.signer.public_pem, topics=[TOPIC, "com.example.b"])
    wrong: dict[str, str] = {
        "apns-id": "x",
        "apns-expiration": "x",
        "apns-priority": "x",
        "apns-collapse-id": "x" * 65,
        "apns-push-type": "x",
    }
    state = {"method": "GET", "path": "/nowhere", "bearer": None, "topic": None, "body": b"", "token": "x"}
    twice = [("x-twice", "1"), ("x-twice", "2")]

    async def ask() -> str | None:
        client = await world.connect()
        options = {key: value for key, value in state.items() if key not in ("bearer", "token")}
        return (
            await client.push(str(state["token"]), state["bearer"], *wrong.items(), *twice, **options)  # type: ignore[arg-type]
        ).reason

    seen = [await ask()]
    for mend in (
        lambda: state.update(method="POST"),
        lambda: state.update(path="/3/device/"),
        lambda: state.update(path=None),
        twice.clear,
        lambda: state.update(bearer="junk"),
        lambda: state.update(bearer=stale),
        lambda: state.update(bearer=world.bearer),
        lambda: wrong.pop("apns-id"),
        lambda: wrong.pop("apns-expiration"),
        lambda: wrong.pop("apns-priority"),
        lambda: wrong.pop("apns-collapse-id"),
        lambda: wrong.update({"apns-push-type": "alert"}),
        lambda: state.update(topic="com example"),
        lambda: state.update(topic="com.example.c.voip"),
        lambda: state.update(topic="com.example.c"),
        lambda: state.update(topic="com.example.b"),
        lambda: state.update(body=b"y" * 5000),
        lambda: state.update(body=ALERT),
        lambda: state.update(token=world.token),
        lambda: state.update(topic=TOPIC),
    ):
        mend()
        seen.append(await ask())
    assert seen == [
        "MethodNotAllowed",
        "BadPath",
        "MissingDeviceToken",
        "DuplicateHeaders",
        "MissingProviderToken",
        "InvalidProviderToken",
        "ExpiredProviderToken",
        "BadMessageId",
        "BadExpirationDate",
        "BadPriority",
        "BadCollapseId",
        "InvalidPushType",
        "MissingTopic",
        "BadTopic",
        "InvalidPushType",
        "TopicDisallowed",
        "PayloadEmpty",
        "PayloadTooLarge",
        "BadDeviceToken",
        "DeviceTokenNotForTopic",
        "Unregistered",
    ]


async def test_order_of_faults_in_a_provider_token(world: World) -> None:
    """9.3: update rate, then validity, age, environment, team and relation."""
    now = int(world.clock.now)
    stranger, sandbox = Signer("KEYOTHER01", "TEAMOTHER1"), Signer("KEYSANDBOX", "TEAMOTHER1")
    topical = Signer("KEYTOPIC01")
    world.simulator.add_key(stranger.key_id, stranger.team_id, stranger.public_pem, topics=[TOPIC])
    world.simulator.add_key(sandbox.key_id, sandbox.team_id, sandbox.public_pem, environment="sandbox")
    world.simulator.add_key(topical.key_id, TEAM, topical.public_pem, topics=["com.example.b"])
    for bearer, reason in (
        (Signer("KEYSANDBOX", "TEAMOTHER1").token(now - 3601), "InvalidProviderToken"),  # and old, and all the rest
        (sandbox.token(now - 3601), "ExpiredProviderToken"),  # and of the other environment, and team
        (sandbox.token(now), "BadEnvironmentKeyInToken"),  # and of another team
        (stranger.token(now), "InvalidProviderToken"),  # of another team, and unrelated
        (topical.token(now), "UnrelatedKeyIdInToken"),  # and not for the topic
    ):
        client = await world.connect()
        assert (await client.push(world.token, world.bearer)).status == 200
        assert (await client.push(world.token, bearer, ("apns-id", "x"))).reason == reason
        assert (await client.push(world.token, "junk")).reason == "TooManyProviderTokenUpdates"
