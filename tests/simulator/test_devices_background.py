"""Background pushes as a device rations them (LIFE-8, TYPE-3)."""

from __future__ import annotations

import pytest
from support.phones import BACKGROUND, SILENT, push, shown, states
from support.sim_client import TOPIC, World

from heliogram.simulator import Settings
from heliogram.simulator.deliverylog import RECEIVED, STORED_POWER

pytestmark = pytest.mark.anyio


async def test_background_never_wakes_a_device(world: World) -> None:
    """LIFE-8, TYPE-2: a background push is of priority 5, whatever the default is."""
    world.device.wake(False)
    await world.push(BACKGROUND, body=SILENT)
    assert states(world) == [[RECEIVED, STORED_POWER]]


class TestBudget:
    """Two background pushes an hour."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(background_budget=2)

    async def background(self, world: World, count: int) -> list[str]:
        made = []
        for _ in range(count):
            reply = await world.push(BACKGROUND, body=SILENT)
            made.append(reply.headers["apns-id"])
        return made

    def woken_by(self, world: World) -> list[str]:
        return [each.apns_id for each in world.simulator.notifications(world.device.id)]

    async def test_newest_is_held(self, world: World) -> None:
        """TYPE-3, LIFE-8: past the budget the device keeps the newest, and hands it over when the hour is over."""
        first, second, _, newest = await self.background(world, 4)
        assert self.woken_by(world) == [first, second]
        world.clock.move(3600)
        assert self.woken_by(world) == [first, second, newest]
        assert (await self.background(world, 1))[0] in self.woken_by(world)
        lines = [line.text for line in world.device.log()]
        assert lines[0] == f"{TOPIC} was woken by a background push"
        assert "its budget is used up" in lines[2]

    async def test_launch_delivers_what_is_held(self, world: World) -> None:
        """LIFE-8: launching the app gives it the background push held, outside its budget."""
        *_, newest = await self.background(world, 3)
        world.launch()
        assert self.woken_by(world)[-1] == newest
        world.clock.move(3600)
        assert len(self.woken_by(world)) == 3

    async def test_alerts_are_not_rationed(self, world: World) -> None:
        """TYPE-3: the budget is for background pushes."""
        for text in "abc":
            await push(world, text)
        assert shown(world) == ["a", "b", "c"]


async def test_force_quit(world: World) -> None:
    """LIFE-8: a force-quit app is not woken; the newest push since then is handed over at its launch."""
    registry = world.simulator.registry
    registry.force_quit(world.device.id, TOPIC)
    await world.push(BACKGROUND, body=SILENT)
    registry.force_quit(world.device.id, TOPIC)
    world.launch()
    assert world.simulator.notifications(world.device.id) == []
    registry.force_quit(world.device.id, TOPIC)
    await world.push(BACKGROUND, body=SILENT)
    world.launch()
    await world.push(BACKGROUND, body=SILENT)
    assert len(world.simulator.notifications(world.device.id)) == 2
    assert "force-quit" in " ".join(line.text for line in world.device.log())
