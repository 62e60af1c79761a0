"""TYPE rules as the simulator keeps them."""

from __future__ import annotations

import pytest
from support.sim_client import TOPIC, World

pytestmark = pytest.mark.anyio


async def test_a_watch_app_has_its_own_token(world: World) -> None:
    """TYPE-5: a watch app's token does not go with the bare bundle id."""
    watch = world.simulator.add_device("Watch", "watchos")
    bundle = f"{TOPIC}.watchkitapp"
    world.simulator.install(watch.id, bundle, "production")
    token = world.simulator.launch(watch.id, bundle).device_token
    assert token is not None
    assert (await world.push(token=token)).verdict == (400, "DeviceTokenNotForTopic")
    assert (await world.push(token=token, topic=bundle)).verdict == (200, None)
