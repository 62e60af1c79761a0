"""What APNs says afterwards: the delivery log, and the late 410 (LIFE-9 to LIFE-12)."""

from __future__ import annotations

from typing import Any

import pytest
from support.phones import DAY, push, shown, states
from support.sim_client import TOPIC, World

from heliogram.simulator import Missing, Settings
from heliogram.simulator.deliverylog import RECEIVED, STATES, UNREGISTERED

pytestmark = pytest.mark.anyio


def test_states() -> None:
    """LIFE-11: the states of the push console, in its words."""
    assert [state.replace("\u2013", "-") for state in STATES] == [
        "Received by APNs",
        "Delivered to Device",
        "Delivered to Device (From Storage)",
        "Stored - Device Offline",
        "Stored - Power Considerations",
        "Discarded - Token Unregistered",
        "Discarded - Token Unregistered (From Storage)",
        "Discarded - Expired",
        "Discarded - Disabled",
        "Discarded - Disabled (From Storage)",
    ]


async def test_delivery_log_by_unique_id(world: World) -> None:
    """LIFE-12, RESP-4: in the sandbox a push is found by its apns-unique-id, for 7 days."""
    log = world.simulator.registry.log
    device = world.simulator.add_device("sandbox phone")
    world.simulator.install(device.id, TOPIC, "sandbox")
    token = world.simulator.launch(device.id, TOPIC).device_token
    assert token is not None
    client = await world.connect("sandbox")
    reply = await client.push(token, world.bearer)
    unique_id = reply.headers["apns-unique-id"]
    record = log.find(unique_id)
    assert (record.unique_id, record.apns_id, record.device_id) == (unique_id, reply.headers["apns-id"], device.id)
    world.clock.move(7 * DAY)
    assert log.find(unique_id) == record
    world.clock.move(1)
    assert log.of_device(device.id, 1) == []
    with pytest.raises(Missing, match="delivery log"):
        log.find(unique_id)


class TestSmallLog:
    """The bound of the delivery log."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(deliveries=2)

    async def test_oldest_leaves(self, world: World) -> None:
        """LIFE-12: as many pushes as the settings say are in the log, the newest."""
        for text in "abc":
            await push(world, text)
        assert len(world.simulator.registry.log) == 2
        assert "kept=2" in repr(world.simulator.registry.log)


class TestLateUnregistered:
    """410 an hour after the first push."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(unregistered_after=3600)

    async def test_410_comes_late(self, world: World) -> None:
        """LIFE-9, RESP-6: 200 until APNs has noticed by a push, and an hour more; the timestamp is that moment."""
        world.simulator.uninstall(world.device.id, TOPIC)
        world.clock.move(10 * DAY)
        world.bearer = world.signer.token(int(world.clock.now))
        await push(world, "a")
        confirmed = int((world.clock.now + 3600) * 1000)
        world.clock.move(3599)
        await push(world, "b")
        world.clock.move(1)
        reply = await world.push()
        assert (reply.verdict, reply.json["timestamp"]) == ((410, "Unregistered"), confirmed)
        assert states(world) == [[RECEIVED, UNREGISTERED]] * 2

    async def test_old_and_new_token_both_accepted(self, world: World) -> None:
        """LIFE-10: after a re-install both tokens answer 200, and only the new one shows."""
        world.simulator.reinstall(world.device.id, TOPIC)
        new = world.launch()
        await push(world, "old")
        await push(world, "new", token=new)
        assert shown(world) == ["new"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("unregistered_after", (0, 31_536_000), (-1, 31_536_001)),
        ("deliveries", (1, 1_000_000), (0, 1_000_001)),
        ("background_budget", (1, None), (0, -1)),
        ("store_by", ("bundle", "topic", "collapse-id"), ("", "device")),
    ],
)
def test_setting_bounds(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    """Each setting of devices is taken at its bounds and refused, by name, past them."""
    for value in good:
        assert getattr(Settings(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ValueError, match=name):
            Settings(**{name: value})
