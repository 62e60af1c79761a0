"""Client certificates on the wire: what they may send, and how the simulator refuses one."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from support.sim_client import TEAM, TOPIC, SimClient, World
from support.sim_identity import VERSIONS, identity, issue

from heliogram.simulator import Settings

pytestmark = pytest.mark.anyio

GOODBYE = b'{"reason":"BadCertificateEnvironment"}'
YEAR = 395 * 86_400


async def connect(world: World, listener: str = "production", **order: Any) -> SimClient:
    """A connection with a new certificate."""
    version = order.pop("version", None)
    return await world.connect(listener, context=identity(world.simulator, issue(world.simulator, **order), version))


def token_for(world: World, bundle_id: str) -> str:
    """The production token of another app on the world's device."""
    world.simulator.install(world.device.id, bundle_id, "production")
    token = world.simulator.launch(world.device.id, bundle_id).device_token
    assert token is not None
    return token


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rsa", [True, False])
async def test_a_certificate_needs_no_token(world: World, version: ssl.TLSVersion, rsa: bool) -> None:
    """CERT-1, CONN-9: a client with a push certificate sends without a provider token, by either TLS."""
    client = await connect(world, version=version, rsa=rsa)
    assert (await client.push(world.token, None)).verdict == (200, None)


async def test_without_certificate_a_token_is_needed(world: World) -> None:
    """CONN-9, TOK-21: a certificate is asked for and not required; with neither, MissingProviderToken."""
    assert (await world.push(bearer=None)).verdict == (403, "MissingProviderToken")
    assert (await world.push()).status == 200


@pytest.mark.parametrize("authorization", ["bearer junk", "basic aGVsbG8=", "bearer"])
async def test_authorization_is_ignored(world: World, authorization: str) -> None:
    """CERT-11, TOK-1: beside a certificate a provider token is not looked at, right or wrong."""
    client = await connect(world)
    assert (await client.push(world.token, None, ("authorization", authorization))).status == 200


async def test_tokens_beside_a_certificate_are_not_counted(world: World) -> None:
    """CERT-11, TOK-9: the twenty minutes between tokens do not count where tokens are not looked at."""
    client = await connect(world)
    for at in range(5):
        assert (await client.push(world.token, f"junk{at}")).status == 200


async def test_certificate_and_token_for_a_live_activity(world: World) -> None:
    """SUR-14, CERT-4: the certificate wins, and lacks the topic, though the token would have been good."""
    client = await connect(world)
    topic, kind = f"{TOPIC}.push-type.liveactivity", ("apns-push-type", "liveactivity")
    assert (await client.push(world.token, world.bearer, kind, topic=topic)).verdict == (400, "TopicDisallowed")


async def test_single_topic_is_the_default(world: World) -> None:
    """CERT-5: with one topic on the certificate apns-topic may be left out; the log shows which it was."""
    client = await connect(world, environment="production")
    for _ in range(2):
        assert (await client.push(world.token, None, topic=None)).verdict == (200, None)
    assert world.simulator.requests(1)[0].topic == TOPIC


async def test_default_topic_of_another_app(world: World) -> None:
    """CERT-5: the topic taken from the certificate is judged like any other."""
    client = await connect(world, bundle_id="com.example.other", environment="production")
    assert (await client.push(world.token, None, topic=None)).verdict == (400, "DeviceTokenNotForTopic")


async def test_several_topics_have_no_default(world: World) -> None:
    """CERT-6: a certificate for several topics needs apns-topic."""
    client = await connect(world)
    assert (await client.push(world.token, None, topic=None)).verdict == (400, "MissingTopic")


@pytest.mark.parametrize(
    ("topic", "push_type"),
    [
        ("com.example.other", "alert"),
        (f"{TOPIC}.location-query", "location"),
        (f"{TOPIC}.push-type.liveactivity", "liveactivity"),
    ],
)
async def test_topics_it_does_not_cover(world: World, topic: str, push_type: str) -> None:
    """CERT-4, CERT-7: another app's topic, and what needs a token, are TopicDisallowed."""
    client = await connect(world)
    reply = await client.push(world.token, None, ("apns-push-type", push_type), topic=topic)
    assert reply.verdict == (400, "TopicDisallowed")


@pytest.mark.parametrize(
    ("topic", "push_type"),
    [
        (f"{TOPIC}.voip", "voip"),
        (f"{TOPIC}.complication", "complication"),
        (f"{TOPIC}.pushkit.fileprovider", "fileprovider"),
        (f"{TOPIC}.voip-ptt", "pushtotalk"),
        (f"{TOPIC}.push-type.widgets", "widgets"),
    ],
)
async def test_topics_it_covers(world: World, topic: str, push_type: str) -> None:
    """CERT-1, CERT-4: an app's certificate covers its VoIP and complication topics, and those that need no token."""
    client = await connect(world)
    reply = await client.push(world.token, None, ("apns-push-type", push_type), topic=topic)
    assert reply.verdict == (400, "DeviceTokenNotForTopic")  # past the credential, before the device


@pytest.mark.parametrize("suffix", ["voip", "complication"])
async def test_a_single_environment_certificate_lists_the_app_alone(world: World, suffix: str) -> None:
    """CERT-2, CERT-4: what is not listed is not covered."""
    client = await connect(world, environment="production")
    reply = await client.push(world.token, None, ("apns-push-type", suffix), topic=f"{TOPIC}.{suffix}")
    assert reply.verdict == (400, "TopicDisallowed")


@pytest.mark.parametrize(("kind", "reason"), [("voip", "DeviceTokenNotForTopic"), ("app", "MissingTopic")])
async def test_voip_certificate(world: World, kind: str, reason: str) -> None:
    """CERT-3, CERT-5: a VoIP certificate has the one topic with .voip, and not the app's own."""
    client = await connect(world, kind=kind)
    assert (await client.push(world.token, None, ("apns-push-type", "voip"), topic=None)).reason == reason
    covered = (await client.push(world.token, None)).status
    assert covered == (200 if kind == "app" else 400)


async def test_mdm_certificate(world: World) -> None:
    """4.2: the topic of MDM is the UID of its certificate."""
    topic = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"
    token = token_for(world, topic)
    client = await connect(world, bundle_id=topic, kind="mdm")
    assert (await client.push(token, None, ("apns-push-type", "mdm"), topic=None)).status == 200


async def goodbye(client: SimClient) -> tuple[int, int, bytes]:
    """The first GOAWAY of a connection that ends."""
    await client.closed
    return client.goaways[0]


@pytest.mark.parametrize(
    ("listener", "environment"), [("production", "sandbox"), ("sandbox", "production"), ("sandbox", None)]
)
async def test_wrong_environment(world: World, listener: str, environment: str | None) -> None:
    """CERT-9, SUR-9: GOAWAY right after the handshake: NO_ERROR, last-stream-id 0, the reason as compact JSON, EOF."""
    client = await connect(world, listener, environment=environment)
    if environment is None:
        assert (await client.push(world.token, None)).reason == "BadDeviceToken"
        assert client.goaways == []
    else:
        assert await goodbye(client) == (0, 0, GOODBYE)


async def test_expired_certificate(world: World) -> None:
    """CERT-12: the simulator's clock judges; the last second is good, the next is not, and an open connection gets
    BadCertificate.
    """
    made = issue(world.simulator)
    client = await world.connect(context=identity(world.simulator, made))
    world.clock.move(YEAR)
    world.bearer = world.signer.token(int(world.clock.now))
    assert (await client.push(world.token, None)).status == 200
    world.clock.move(1)
    assert (await client.push(world.token, None)).verdict == (403, "BadCertificate")
    late = await world.connect(context=identity(world.simulator, made))
    assert await goodbye(late) == (0, 0, b'{"reason":"BadCertificate"}')


async def test_certificate_of_the_future(world: World) -> None:
    """CERT-8: one that is not valid yet is bad, too."""
    made = issue(world.simulator)
    world.clock.move(-3601)
    client = await world.connect(context=identity(world.simulator, made))
    assert await goodbye(client) == (0, 0, b'{"reason":"BadCertificate"}')


async def test_revoked_while_connected(world: World) -> None:
    """CERT-8, CERT-10: open connections get BadCertificate from now on."""
    made = issue(world.simulator)
    client = await world.connect(context=identity(world.simulator, made))
    assert (await client.push(world.token, None)).status == 200
    world.simulator.portal.certificates.revoke(made.contents.serial)
    assert (await client.push(world.token, None)).verdict == (403, "BadCertificate")


@pytest.mark.parametrize("version", VERSIONS)
async def test_revoked_before_the_handshake(world: World, version: ssl.TLSVersion) -> None:
    """CERT-10: the handshake ends with the alert `certificate revoked`; other certificates are good as before."""
    gone, kept = issue(world.simulator), issue(world.simulator)
    for made in (gone, kept):
        client = await world.connect(context=identity(world.simulator, made, version))
        assert (await client.push(world.token, None)).status == 200
    world.simulator.portal.certificates.revoke(gone.contents.serial)
    refused = SimClient.connect(
        world.simulator.ports["production"],
        world.simulator.ca_pem,
        preface=False,
        context=identity(world.simulator, gone, version),
    )
    if version == ssl.TLSVersion.TLSv1_2:
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.revoked"):
            await refused
    else:
        await (await refused).closed
    client = await world.connect(context=identity(world.simulator, kept, version))
    assert (await client.push(world.token, None)).status == 200


async def test_a_fresh_start_forgets_revocations(world: World) -> None:
    """After a reset a certificate in a client's hands is good again, and known from its use."""
    made = issue(world.simulator)
    certificates = world.simulator.portal.certificates
    certificates.revoke(made.contents.serial)
    world.simulator.reset()
    assert len(certificates) == 0
    client = await world.connect(context=identity(world.simulator, made))
    assert (await client.push(world.token, None)).reason == "BadDeviceToken"
    assert not certificates.get(made.contents.serial).issued


class TestAnswers:
    """CERT-8 as documented: 403 to each request, by settings."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(certificate_refusal="answer", certificate_live_activities=True)

    async def test_wrong_environment(self, world: World) -> None:
        """CERT-8: BadCertificateEnvironment as an answer, before the device is looked at."""
        client = await connect(world, environment="sandbox")
        for _ in range(2):
            assert (await client.push(world.token, None)).verdict == (403, "BadCertificateEnvironment")

    async def test_revoked(self, world: World) -> None:
        """CERT-8: BadCertificate as an answer on a new connection."""
        made = issue(world.simulator)
        world.simulator.portal.certificates.revoke(made.contents.serial)
        client = await world.connect(context=identity(world.simulator, made))
        assert (await client.push(world.token, None)).verdict == (403, "BadCertificate")

    async def test_live_activity(self, world: World) -> None:
        """CERT-4: that certificates cannot send Live Activities is likely and not proven, so it can be switched."""
        client = await connect(world)
        kind, topic = ("apns-push-type", "liveactivity"), f"{TOPIC}.push-type.liveactivity"
        assert (await client.push(world.token, None, kind, topic=topic)).reason == "DeviceTokenNotForTopic"


class TestOneStreamFirst:
    """CONN-15 "strict"."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(one_stream_first=True)

    async def test_a_certificate_lifts_the_limit(self, world: World) -> None:
        """CONN-14: only a provider token has to be proven; with a certificate all streams are there at once."""
        client = await connect(world)
        assert (await client.push(world.token, None)).status == 200
        assert [seen.get(3) for seen in client.settings_seen] == [1, 1000]


async def test_management_with_a_certificate(world: World) -> None:
    """6.2: the channel hosts take a certificate, and hold it to its topics."""
    client = await connect(world, "manage_production", bundle_id="com.example.other", team_id=TEAM)
    path = f"/1/apps/{TOPIC}/channels"
    reply = await client.push("", None, path=path, topic=None, method="GET", body=b"")
    assert reply.reason == "TopicMismatch"
