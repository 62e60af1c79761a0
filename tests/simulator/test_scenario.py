"""A whole world taken down and put back."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.sim_channels import Provider
from support.sim_client import KEY_ID, TEAM, TOPIC, Clock, Signer, World

from heliogram.simulator import Conflict, Forward, Invalid, Settings, Simulator, SimulatorError
from heliogram.simulator.parts import Part
from heliogram.simulator.scenario import FILE_LIMIT, read, settings_of

pytestmark = pytest.mark.anyio

OTHER = "com.example.other"


def populated(settings: Settings | None = None) -> Simulator:
    """A world with something of everything."""
    simulator = Simulator(clock=Clock(), settings=settings, random=random.Random(3))
    simulator.portal.add_team("Example", TEAM)
    simulator.portal.add_app(TOPIC, TEAM)
    simulator.add_key(KEY_ID, TEAM, Signer().public_pem)
    simulator.issue_key(TEAM, topics=[TOPIC], environment="sandbox")
    phone = simulator.add_device("iPhone")
    simulator.install(phone.id, TOPIC)
    simulator.install(phone.id, OTHER, "sandbox", token_bytes=80)
    for bundle_id in (TOPIC, OTHER):
        simulator.launch(phone.id, bundle_id)
    simulator.apns.registry.register(phone.id, TOPIC, "voip")
    simulator.apns.registry.register(phone.id, TOPIC, "control", "lamp")
    simulator.apns.registry.set_permission(phone.id, OTHER, "denied")
    pad = simulator.add_device("iPad", "ipados")
    simulator.install(pad.id, TOPIC)
    simulator.launch(pad.id, TOPIC)
    simulator.uninstall(pad.id, TOPIC)
    pad.connect(False)
    channel = simulator.channels.create(TOPIC, "production", 1)
    simulator.channels.create(TOPIC, "sandbox", 0)
    simulator.channels.subscribe(phone.id, TOPIC, channel.id)
    return simulator


def edited(document: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**copy.deepcopy(document), **members}


def test_a_world_is_put_back_as_it_was() -> None:
    """What was exported, imported into an empty world, exports the same; through JSON, too."""
    document = json.loads(json.dumps(populated().scenario.export()))
    copied = Simulator(clock=Clock())
    copied.scenario.load(document)
    assert copied.scenario.export() == document
    assert {part for part in document if part not in ("heliogramScenario", "at", "settings")} >= {
        "portal",
        "keys",
        "devices",
        "channels",
        "faults",
    }
    assert [device.name for device in copied.devices()] == ["iPhone", "iPad"]
    assert [device.online for device in copied.devices()] == [True, False]


def test_an_empty_world_is_a_scenario() -> None:
    """A document without parts is an empty world."""
    simulator = populated()
    simulator.scenario.load({"heliogramScenario": 1})
    assert simulator.devices() == []
    assert simulator.signing_keys() == []
    assert simulator.channels.all() == []


async def test_clients_go_on_with_an_imported_world(world: World) -> None:
    """TOK-7, LIFE-3, BC-2: keys, tokens and channels of a document work for those who know them already."""
    provider = Provider(world)
    channel = await provider.create(1)
    world.simulator.channels.subscribe(world.device.id, TOPIC, channel)
    document = world.simulator.scenario.export()
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.reset()
    assert (await client.push(world.token, world.bearer)).reason == "InvalidProviderToken"
    world.simulator.scenario.load(document)
    assert (await client.push(world.token, world.bearer)).status == 200
    assert (await provider.broadcast(channel)).status == 200
    assert await provider.ids() == [channel]
    assert len(world.simulator.notifications(world.device.id)) == 2


async def test_life_9_dead_tokens_stay_dead(world: World) -> None:
    """LIFE-9, RESP-6: 410 with the same timestamp after the import, though the device has gone."""
    world.simulator.apns.registry.remove_device(world.device.id)
    client = await world.connect()
    before = await client.push(world.token, world.bearer)
    document = world.simulator.scenario.export()
    world.simulator.time.advance(60)
    world.simulator.scenario.load(document)
    after = await client.push(world.token, world.bearer)
    assert (before.status, after.status) == (410, 410)
    assert before.json == after.json


@pytest.mark.parametrize("settings", [Settings(unregistered_after=60)])
async def test_life_9_a_token_that_apns_is_about_to_notice(world: World) -> None:
    """LIFE-9: the delay until APNs notices goes on in the imported world."""
    world.simulator.uninstall(world.device.id, TOPIC)
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.scenario.load(world.simulator.scenario.export())
    assert (await client.push(world.token, world.bearer)).status == 200
    world.simulator.time.advance(60)
    assert (await client.push(world.token, world.bearer)).reason == "Unregistered"


def test_life_1_an_app_that_waits_for_a_network_still_waits() -> None:
    """LIFE-1: registration that failed for want of a network is tried again in the imported world, too."""
    simulator = populated()
    pad = simulator.devices()[1]
    simulator.install(pad.id, OTHER)
    assert simulator.launch(pad.id, OTHER).device_token is None
    copied = Simulator(clock=Clock())
    copied.scenario.load(simulator.scenario.export())
    assert copied.scenario.export() == simulator.scenario.export()
    copied.device(pad.id).connect(True)
    assert copied.device(pad.id).app(OTHER).token is not None


def test_tok_7_no_secret_leaves() -> None:
    """TOK-7: no private key, and no credential of a server that tokens are forwarded to."""
    simulator = populated()
    phone = simulator.devices()[0]
    forward = Forward(url="http://127.0.0.1:1/x", api_key="id:very-secret")
    simulator.install(phone.id, "com.example.third", forward=forward)
    text = json.dumps(simulator.scenario.export())
    assert "PRIVATE" not in text
    assert "very-secret" not in text
    assert text.count("BEGIN PUBLIC KEY") == 2


def test_tok_7_an_issued_key_stays_issued() -> None:
    """TOK-7: a key the portal made can be downloaded no second time in an imported world either."""
    simulator = populated()
    simulator.scenario.load(simulator.scenario.export())
    issued = [key for key in simulator.signing_keys() if key.issued]
    assert len(issued) == 1
    with pytest.raises(Conflict, match="cannot be downloaded again"):
        simulator.apns.keys.download(issued[0].key_id)


def test_history_is_not_part_of_it() -> None:
    """A scenario says who there is; importing one forgets requests and notifications."""
    simulator = populated()
    simulator.apns.violations.add(1, "TOK-9", "x")
    simulator.scenario.load(simulator.scenario.export())
    assert simulator.requests() == []
    assert len(simulator.apns.violations) == 0


def test_the_clock_is_where_it_was() -> None:
    """How far the clock was moved is in the document; without it the clock is the unmoved one."""
    simulator = populated()
    simulator.time.advance(3600)
    document = simulator.scenario.export()
    copied = Simulator(clock=Clock())
    copied.scenario.load(document)
    assert copied.time.offset == 3600.0
    assert copied.scenario.export() == document
    del document["clock"]
    copied.scenario.load(document)
    assert copied.time.offset == 0.0


def test_settings_that_are_not_in_force_are_refused() -> None:
    """A document with other settings than the running ones changes nothing; without settings it is taken."""
    strict = Settings(strict_json=True, token_changes=1)
    document = populated(strict).scenario.export()
    assert document["settings"] == {"strict_json": True, "token_changes": 1}
    assert settings_of(document) == strict
    simulator = populated()
    before = simulator.scenario.export()
    with pytest.raises(Conflict, match="token_changes, strict_json"):
        simulator.scenario.load(document)
    assert simulator.scenario.export() == before
    simulator.scenario.load(document, settings=False)
    simulator.scenario.load(edited(document, settings={}))
    same = populated(strict)
    same.scenario.load(document)


CHANNEL = {"channelId": "AAAA", "bundleId": TOPIC, "environment": "sandbox", "messageStoragePolicy": 0}
BAD: list[tuple[str, Any, str]] = [
    ("heliogramScenario", 2, "heliogramScenario must be 1"),
    ("heliogramScenario", None, "heliogramScenario must be 1"),
    ("settings", {"nonsense": 1}, "nonsense unknown"),
    ("settings", {"window": "x"}, "settings"),
    ("settings", {"token_changes": 0}, "token_changes must be"),
    ("settings", [], "settings"),
    ("nonsense", {}, "nonsense is no part"),
    ("clock", {}, "offset: seconds"),
    ("clock", {"offset": "x"}, "offset: seconds"),
    ("clock", {"offset": 1e12}, "between the years"),
    ("keys", {}, "keys"),
    ("keys", [{"keyId": "x"}], "keys"),
    ("keys", [{"keyId": "KEY1234567", "teamId": TEAM, "publicKey": "x"}], "publicKey must be"),
    ("devices", {"devices": [{"id": "a/b", "name": "x", "platform": "ios"}]}, "device id"),
    ("devices", {"devices": [{"id": "a", "name": "", "platform": "ios"}]}, "name must have"),
    ("devices", {"devices": [{"id": "a", "name": "x", "platform": "android"}]}, "platform"),
    ("devices", {"devices": [{"id": "a", "name": "x", "platform": "ios"}] * 2}, "already"),
    ("devices", {"more": 1}, "more"),
    ("channels", [{"channelId": "AAAA", "bundleId": "x", "environment": "sandbox", "messageStoragePolicy": 0}], "bun"),
    ("channels", [{"channelId": "?", "bundleId": TOPIC, "environment": "sandbox", "messageStoragePolicy": 0}], "base"),
    ("channels", [{"channelId": "", "bundleId": TOPIC, "environment": "sandbox", "messageStoragePolicy": 0}], "base"),
    ("channels", [{"channelId": "AAAA", "bundleId": TOPIC, "environment": "x", "messageStoragePolicy": 0}], "channels"),
    (
        "channels",
        [{"channelId": "AAAA", "bundleId": TOPIC, "environment": "sandbox", "messageStoragePolicy": 0}] * 2,
        "already",
    ),
    ("channels", [{**CHANNEL, "createdAt": 32_503_680_001}], "createdAt"),
    ("channels", [{**CHANNEL, "createdAt": -1}], "createdAt"),
]


@pytest.mark.parametrize(("member", "value", "message"), BAD)
def test_a_document_with_a_mistake_changes_nothing(member: str, value: Any, message: str) -> None:
    """The mistake is named, and the world is as it was."""
    simulator = populated()
    simulator.apns.violations.add(1, "TOK-9", "x")
    before = simulator.scenario.export()
    with pytest.raises(SimulatorError, match=message) as caught:
        simulator.scenario.load(edited(before, **{member: value}))
    assert caught.value.field == member
    assert simulator.scenario.export() == before
    assert len(simulator.apns.violations) == 1


TOKEN = {"value": "ab" * 32, "deviceId": "a", "bundleId": TOPIC, "environment": "production"}
DEVICE = {
    "id": "a",
    "name": "x",
    "platform": "ios",
    "apps": [{"bundleId": TOPIC, "environment": "production"}],
}


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([{**TOKEN, "value": "AB" * 32}], "lower-case hex"),
        ([{**TOKEN, "value": "abc"}], "lower-case hex"),
        ([{**TOKEN, "value": ""}], "lower-case hex"),
        ([{**TOKEN, "deviceId": "b"}], "no such app"),
        ([{**TOKEN, "bundleId": OTHER}], "no such app"),
        ([{**TOKEN, "environment": "sandbox"}], "no such app"),
        ([TOKEN, TOKEN], "twice"),
        ([TOKEN, {**TOKEN, "value": "cd" * 32}], "second active one"),
        ([{**TOKEN, "state": "resting"}], "state"),
        ([{**TOKEN, "state": "expired", "endedAt": 32_503_680_000_001}], "endedAt"),
        ([{**TOKEN, "state": "leaving", "endedAt": -1}], "endedAt"),
    ],
)
def test_tokens_must_fit_the_devices(tokens: list[dict[str, Any]], message: str) -> None:
    """LIFE-3: an active token belongs to an app that is there, one of each kind."""
    document = {"heliogramScenario": 1, "devices": {"devices": [DEVICE], "tokens": tokens}}
    with pytest.raises(SimulatorError, match=message):
        Simulator(clock=Clock()).scenario.load(document)


@pytest.mark.parametrize("document", [None, 1, "x", [], {}, {"devices": {}}])
def test_what_is_no_scenario(document: Any) -> None:
    """A document says that it is one."""
    with pytest.raises(Invalid, match="this is no scenario"):
        Simulator().scenario.load(document)


def test_a_new_part_plugs_in() -> None:
    """A part that registers itself is exported, imported and cleared with the rest, in the order of registration."""
    simulator = Simulator(clock=Clock())
    seen: list[str] = []
    apns = simulator.apns
    apns.parts.add(
        Part(
            name="mine",
            clear=lambda: seen.append("clear"),
            export=lambda: {"a": 1},
            import_=lambda value: seen.append(f"import {value}"),
        )
    )
    document = simulator.scenario.export()
    assert document["mine"] == {"a": 1}
    simulator.scenario.load(document)
    assert seen == ["clear", "import {'a': 1}"]
    assert "mine" in repr(simulator.scenario)


# ---- files


def test_a_file_is_read(tmp_path: Path) -> None:
    """A document written to a file is one again."""
    path = tmp_path / "scenario.json"
    document = populated().scenario.export()
    path.write_text(json.dumps(document))
    assert read(path) == document


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "no JSON"), (b"\xff", "no JSON"), (b"[]", "no JSON object"), (b"{}", "no scenario"), (None, "cannot be")],
)
def test_bad_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    """What is wrong with the file is said."""
    path = tmp_path / "scenario.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Invalid, match=message):
        read(path)


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    """64 MiB, and not one byte more."""
    path = tmp_path / "scenario.json"
    with path.open("wb") as file:
        file.truncate(FILE_LIMIT + 1)
    with pytest.raises(Invalid, match=f"more than {FILE_LIMIT} bytes"):
        read(path)
