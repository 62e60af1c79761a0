"""Who may manage channels and broadcast: the credentials of pushes, on every kind of listener."""

from __future__ import annotations

import json

import pytest
from support.sim_channels import CREATE, NOWHERE, UUID, Provider, goal
from support.sim_client import KEY_ID, TEAM, TOPIC, Signer, World
from support.sim_identity import identity, issue

from heliogram.simulator import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def provider(world: World) -> Provider:
    return Provider(world)


async def test_tok_21_no_credential(provider: Provider) -> None:
    """TOK-21: 403 MissingProviderToken, with the request id."""
    reply = await provider.manage("GET", ("apns-request-id", UUID), resource="all-channels", bearer=None)
    assert reply.verdict == (403, "MissingProviderToken")
    assert reply.headers["apns-request-id"] == UUID


async def test_provider_tokens_are_judged_as_for_pushes(world: World) -> None:
    """TOK-8, TOK-11, TOK-12, TOK-19: age, environment, team and signature of a token, on every kind of listener."""
    now = int(world.clock.now)
    sandbox, foreign = Signer("KEYSANDBOX"), Signer("KEYOTHER01", "TEAMOTHER1")
    world.simulator.add_key(sandbox.key_id, TEAM, sandbox.public_pem, environment="sandbox")
    world.simulator.add_key(foreign.key_id, foreign.team_id, foreign.public_pem)
    for bearer, reason in (
        ("junk", "InvalidProviderToken"),
        (Signer(KEY_ID).token(now), "InvalidProviderToken"),
        (world.signer.token(now - 3601), "ExpiredProviderToken"),
        (sandbox.token(now), "BadEnvironmentKeyInToken"),
    ):
        provider = Provider(world)
        assert (await provider.manage("GET", resource="all-channels", bearer=bearer)).verdict == (403, reason)
        assert (await provider.broadcast(NOWHERE, bearer=bearer)).verdict == (403, reason)
    provider = Provider(world)
    assert await provider.ids() == []
    reply = await provider.manage("GET", resource="all-channels", bearer=foreign.token(now))
    assert reply.verdict == (403, "InvalidProviderToken")


async def test_tok_9_the_floor_holds_here_too(world: World, provider: Provider) -> None:
    """TOK-9, TOK-10: the third token within 20 minutes on a connection is one too many; 20 minutes on it is not."""
    now = int(world.clock.now)
    bearers = [world.signer.token(now - age) for age in range(3)]
    replies = [await provider.manage("GET", resource="all-channels", bearer=each) for each in bearers]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].reason == "TooManyProviderTokenUpdates"
    world.simulator.time.advance(1200)
    assert (await provider.manage("GET", resource="all-channels", bearer=bearers[2])).status == 200


async def test_a_certificate_manages_and_broadcasts(world: World) -> None:
    """6.2, CERT-11: with a certificate of the app no token is needed, and one that is there is not looked at."""
    context = identity(world.simulator, issue(world.simulator, TOPIC, team_id=TEAM))
    manager = await world.connect("manage_production", context=context)
    path = f"/1/apps/{TOPIC}/channels"
    made = await manager.push("", None, path=path, topic=None, body=json.dumps(CREATE).encode())
    assert made.status == 201
    assert (await manager.push("", "junk", path=path, topic=None, method="GET", body=b"")).reason == "MissingChannelId"
    sender = await world.connect(context=context)
    fields = {"apns-push-type": "liveactivity", "apns-expiration": "0", "apns-priority": "5"}
    fields["apns-channel-id"] = made.headers["apns-channel-id"]
    path = f"/4/broadcasts/apps/{TOPIC}"
    assert (await sender.push("", None, *fields.items(), path=path, topic=None, body=goal())).status == 200


@pytest.mark.parametrize("settings", [Settings(documented_spelling=True, error_content_type=True)])
async def test_settings_of_errors_hold_here_too(world: World, provider: Provider) -> None:
    """TOK-17, RESP-2: the documented spelling and content type, when they are wanted."""
    sandbox = Signer("KEYSANDBOX")
    world.simulator.add_key(sandbox.key_id, TEAM, sandbox.public_pem, environment="sandbox")
    reply = await provider.manage("GET", resource="all-channels", bearer=sandbox.token(int(world.clock.now)))
    assert reply.reason == "BadEnvironmentKeyIdInToken"
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("settings", [Settings(one_stream_first=True)])
async def test_conn_15_an_authenticated_call_opens_the_connection(provider: Provider) -> None:
    """CONN-14, CONN-15: on the management listeners, too, the first authenticated request raises the stream limit."""
    client = await provider.client("manage_production")
    assert client.settings_seen[0][3] == 1
    await provider.ids()
    await provider.ids()
    assert client.settings_seen[-1][3] == 1000
