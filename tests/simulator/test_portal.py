"""The developer portal: teams, App IDs, and what a connection is bound to of them."""

from __future__ import annotations

from typing import Any

import pytest
from support.sim_client import TEAM, TOPIC, Clock, Signer, SimClient, World
from support.sim_identity import identity, issue

from heliogram.simulator import Conflict, Invalid, Missing, Settings, Simulator
from heliogram.simulator.clientcerts import CertificateOrder
from heliogram.simulator.portal import MAX_APPS, MAX_TEAMS, AppId, Portal

pytestmark = pytest.mark.anyio

OTHER = "TEAMOTHER1"
DISALLOWED = (400, "TopicDisallowed")


@pytest.fixture
def portal() -> Portal:
    return Simulator(clock=Clock()).portal


@pytest.fixture
def stranger(world: World) -> Signer:
    """A team key of another team; both teams are declared, and the app is the first one's."""
    other = Signer("KEYOTHER01", OTHER)
    world.simulator.add_key(other.key_id, other.team_id, other.public_pem)
    for team_id in (TEAM, OTHER):
        world.simulator.portal.add_team(f"Team {team_id}", team_id)
    world.simulator.portal.add_app(TOPIC, TEAM)
    return other


async def pushes(world: World, client: SimClient, signer: Signer, **how: Any) -> tuple[int, str | None]:
    return (await client.push(world.token, signer.token(int(world.clock.now)), **how)).verdict


async def test_nothing_declared_allows_everything(world: World) -> None:
    """Without an App ID every team may send to every topic; the device token still has to fit (9.3)."""
    client = await world.connect()
    assert await pushes(world, client, world.signer) == (200, None)
    assert await pushes(world, client, world.signer, topic="com.example.other") == (400, "DeviceTokenNotForTopic")


async def test_another_teams_app(world: World, stranger: Signer) -> None:
    """TOK-13, TOK-18: a team key covers the team's own apps; with another team's it is TopicDisallowed."""
    assert await pushes(world, await world.connect(), world.signer) == (200, None)
    assert await pushes(world, await world.connect(), stranger) == DISALLOWED


async def test_suffixes_belong_to_the_app(world: World, stranger: Signer) -> None:
    """4.2: the topics of push types are their app's."""
    topic, kind = f"{TOPIC}.voip", ("apns-push-type", "voip")
    for signer, reason in ((world.signer, "DeviceTokenNotForTopic"), (stranger, "TopicDisallowed")):
        client, bearer = await world.connect(), signer.token(int(world.clock.now))
        assert (await client.push(world.token, bearer, kind, topic=topic)).reason == reason


async def test_transfer(world: World, stranger: Signer) -> None:
    """TOK-13, TOK-14, CONN-28: after a transfer both teams' open connections keep what they had; new ones have it."""
    old, new = await world.connect(), await world.connect()
    assert await pushes(world, old, world.signer) == (200, None)
    assert await pushes(world, new, stranger) == DISALLOWED
    world.simulator.portal.change_app(TOPIC, team_id=OTHER)
    assert await pushes(world, old, world.signer) == (200, None)
    assert await pushes(world, new, stranger) == DISALLOWED
    assert await pushes(world, await world.connect(), stranger) == (200, None)
    assert await pushes(world, await world.connect(), world.signer) == DISALLOWED


async def test_app_added_to_a_strict_portal(world: World) -> None:
    """TOK-14: a bundle id that is added to the team needs a new connection."""
    portal = world.simulator.portal
    portal.strict = True
    portal.add_team("Example", TEAM)
    client = await world.connect()
    assert await pushes(world, client, world.signer) == DISALLOWED
    portal.add_app(TOPIC, TEAM)
    assert await pushes(world, client, world.signer) == DISALLOWED
    assert await pushes(world, await world.connect(), world.signer) == (200, None)


@pytest.mark.parametrize("way", ["off", "removed"])
async def test_push_turned_off(world: World, stranger: Signer, way: str) -> None:
    """TOK-13: open connections keep an app whose capability goes; new ones do not have it."""
    client = await world.connect()
    assert await pushes(world, client, world.signer) == (200, None)
    if way == "off":
        world.simulator.portal.change_app(TOPIC, push=False)
    else:
        world.simulator.portal.strict = True
        world.simulator.portal.remove_app(TOPIC)
    assert await pushes(world, client, world.signer) == (200, None)
    assert await pushes(world, await world.connect(), world.signer) == DISALLOWED


async def test_a_connection_is_bound_at_its_first_push(world: World, stranger: Signer) -> None:
    """TOK-13: not when it is opened."""
    client = await world.connect()
    world.simulator.portal.change_app(TOPIC, team_id=OTHER)
    assert await pushes(world, client, stranger) == (200, None)


async def test_topic_key_of_another_team(world: World, stranger: Signer) -> None:
    """TOK-15: a topic on the key does not help when the app is another team's."""
    key = Signer("KEYTOPIC01", OTHER)
    world.simulator.add_key(key.key_id, OTHER, key.public_pem, topics=[TOPIC])
    assert await pushes(world, await world.connect(), key) == DISALLOWED


async def test_certificate_of_the_old_team(world: World, stranger: Signer) -> None:
    """TOK-13, CERT-7: a certificate that names its team is bound like a key."""
    made = issue(world.simulator)
    assert made.contents.team_id == TEAM
    client = await world.connect(context=identity(world.simulator, made))
    assert (await client.push(world.token, None)).status == 200
    world.simulator.portal.change_app(TOPIC, team_id=OTHER)
    assert (await client.push(world.token, None)).status == 200
    late = await world.connect(context=identity(world.simulator, made))
    assert (await late.push(world.token, None)).verdict == DISALLOWED


async def test_registration_needs_the_capability(world: World, stranger: Signer) -> None:
    """LIFE-1: an app whose App ID has no push capability gets an error in place of a token."""
    portal, device = world.simulator.portal, world.device.id
    portal.change_app(TOPIC, push=False)
    world.simulator.reinstall(device, TOPIC)
    launch = world.simulator.launch(device, TOPIC)
    assert launch.device_token is None
    assert launch.error == f"App ID {TOPIC} does not have the Push Notifications capability"
    portal.change_app(TOPIC, push=True)
    assert world.simulator.launch(device, TOPIC).device_token


class TestStrict:
    """`Settings.strict_portal`."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(strict_portal=True)

    @pytest.fixture
    def portal(self, settings: Settings) -> Portal:
        return Simulator(clock=Clock(), settings=settings).portal

    def test_registration(self, portal: Portal) -> None:
        """LIFE-1: what is not declared does not register."""
        assert portal.registration_error(TOPIC) == f"App ID {TOPIC} is not in the developer portal"

    def test_channels(self, portal: Portal) -> None:
        """BC-1: the Broadcast capability needs a declared App ID, and push with it."""
        portal.add_team("Example", TEAM)
        assert not portal.broadcasts(TOPIC)
        portal.add_app(TOPIC, TEAM)
        assert portal.broadcasts(TOPIC)
        portal.change_app(TOPIC, push=False)
        assert not portal.broadcasts(TOPIC)

    def test_keys_and_certificates(self, portal: Portal) -> None:
        """TOK-11: only declared teams have keys, only for their App IDs, and a topic-specific one is for one
        environment.
        """
        calls: list[tuple[Any, str]] = [
            (lambda: portal.issue_key(TEAM), "teamId"),
            (lambda: portal.issue_certificate(CertificateOrder(bundle_id=TOPIC)), "bundleId"),
        ]
        for call, field in calls:
            with pytest.raises(Invalid) as caught:
                call()
            assert caught.value.field == field
        portal.add_team("Example", TEAM)
        portal.add_app(TOPIC, TEAM)
        with pytest.raises(Invalid) as caught:
            portal.issue_key(TEAM, topics=["com.example.other"], environment="sandbox")
        assert caught.value.field == "topics[0]"
        with pytest.raises(Invalid) as caught:
            portal.issue_key(TEAM, topics=[TOPIC])
        assert caught.value.field == "environment"
        assert portal.issue_key(TEAM, topics=[TOPIC], environment="sandbox").key_id

    def test_a_fresh_start(self, portal: Portal) -> None:
        """A reset makes it as strict as at the start."""
        portal.strict = False
        portal.clear()
        assert portal.strict


def test_teams(portal: Portal) -> None:
    """A team gets an id or brings one of its own; ids are unique, and a team with App IDs stays."""
    made = portal.add_team("Example")
    assert len(made.id) == 10
    portal.add_team("Other", OTHER)
    with pytest.raises(Conflict):
        portal.add_team("Again", OTHER)
    portal.add_app(TOPIC, OTHER)
    with pytest.raises(Conflict, match="has 1 App IDs"):
        portal.remove_team(OTHER)
    portal.remove_app(TOPIC)
    portal.remove_team(OTHER)
    assert list(portal.teams) == [made.id]


@pytest.mark.parametrize(
    ("name", "team_id", "field"), [("", None, "name"), ("x" * 101, None, "name"), ("x" * 100, "short", "id")]
)
def test_teams_that_cannot_be(portal: Portal, name: str, team_id: str | None, field: str) -> None:
    """TOK-2: names of 1 to 100 characters, ids of 10."""
    with pytest.raises(Invalid) as caught:
        portal.add_team(name, team_id)
    assert caught.value.field == field


def test_apps_that_cannot_be(portal: Portal) -> None:
    """An App ID is a bundle id that nobody has, of a team that there is."""
    portal.add_team("Example", TEAM)
    portal.add_app(TOPIC, TEAM)
    with pytest.raises(Conflict):
        portal.add_app(TOPIC, TEAM)
    with pytest.raises(Invalid) as caught:
        portal.add_app("com.example.new", OTHER)
    assert caught.value.field == "teamId"
    with pytest.raises(Invalid) as caught:
        portal.change_app(TOPIC, team_id=OTHER)
    assert caught.value.field == "teamId"
    with pytest.raises(Invalid) as caught:
        portal.add_app("nodots", TEAM)
    assert caught.value.field == "bundleId"


def test_what_is_not_there(portal: Portal) -> None:
    """Unknown teams, App IDs and keys are Missing."""
    calls: tuple[Any, ...] = (
        lambda: portal.remove_team(TEAM),
        lambda: portal.change_app(TOPIC, push=False),
        lambda: portal.remove_app(TOPIC),
        lambda: portal.change_key("NOSUCHKEY1", related_key_id=None),
        lambda: portal.revoke_key("NOSUCHKEY1"),
    )
    for call in calls:
        with pytest.raises(Missing):
            call()


def test_keys_of_another_teams_app(portal: Portal) -> None:
    """TOK-11: a key's topics are App IDs of its own team, also when they are changed; suffixes go with the app."""
    for team_id in (TEAM, OTHER):
        portal.add_team("Example", team_id)
    portal.add_app(TOPIC, TEAM)
    key_id = portal.issue_key(TEAM, topics=[TOPIC, f"{TOPIC}.voip", "com.example.undeclared"]).key_id
    with pytest.raises(Invalid) as caught:
        portal.issue_key(OTHER, topics=["com.example.undeclared", f"{TOPIC}.voip"])
    assert caught.value.field == "topics[1]"
    portal.change_app(TOPIC, team_id=OTHER)
    with pytest.raises(Invalid) as caught:
        portal.change_key(key_id, topics=[TOPIC])
    assert caught.value.field == "topics[0]"


async def test_certificates_of_an_app(world: World, stranger: Signer) -> None:
    """CERT-1: an App ID's certificate is of its team, which may be left out; without push there is none."""
    with pytest.raises(Invalid) as caught:
        issue(world.simulator, team_id=OTHER)
    assert caught.value.field == "teamId"
    world.simulator.portal.change_app(TOPIC, push=False)
    with pytest.raises(Conflict, match="Push Notifications capability"):
        issue(world.simulator)


def test_how_many(portal: Portal) -> None:
    """1,000 teams and 10,000 App IDs; one more of either is refused."""
    for _ in range(MAX_TEAMS - 1):
        portal.add_team("x")
    portal.add_team("Example", TEAM)
    with pytest.raises(Conflict, match="1000 teams"):
        portal.add_team("x")
    for at in range(MAX_APPS):
        portal.add_app(f"com.example.a{at}", TEAM)
    with pytest.raises(Conflict, match="10000 App IDs"):
        portal.add_app(TOPIC, TEAM)


def test_a_scenario_comes_back(portal: Portal) -> None:
    """What a portal exports another imports, and nothing else."""
    portal.add_team("Example", TEAM)
    portal.add_app(TOPIC, TEAM, push=False)
    portal.strict = True
    again = Simulator(clock=Clock()).portal
    again.import_(portal.export())
    assert again.apps == {TOPIC: AppId(bundle_id=TOPIC, team_id=TEAM, push=False)}
    assert (again.teams, again.strict) == (portal.teams, True)
    for wrong in ({}, {"strict": True, "teams": [{"id": 1, "name": "x"}], "apps": []}):
        with pytest.raises(Invalid, match="portal: "):
            again.import_(wrong)


async def test_changes_are_told(world: World) -> None:
    """Watchers of the feed hear of teams, App IDs, keys and certificates, without any secret."""
    subscription = world.simulator.apns.feed.subscribe()
    portal = world.simulator.portal
    portal.add_team("Example", TEAM)
    portal.add_app(TOPIC, TEAM)
    portal.change_app(TOPIC, push=True)
    key_id = portal.issue_key(TEAM).key_id
    portal.revoke_key(key_id)
    portal.certificates.revoke(issue(world.simulator).contents.serial)
    portal.remove_app(TOPIC)
    portal.remove_team(TEAM)
    portal.strict = True
    events = await subscription.take()
    assert {event.kind for event in events} == {"portal"}
    told = [event.data for event in events if isinstance(event.data, dict)]
    assert [(one["what"], one["change"]) for one in told] == [
        ("team", "made"),
        ("app", "made"),
        ("app", "changed"),
        ("key", "made"),
        ("key", "gone"),
        ("certificate", "made"),
        ("certificate", "revoked"),
        ("app", "gone"),
        ("team", "gone"),
        ("portal", "changed"),
    ]
    assert "PRIVATE" not in repr(events)
