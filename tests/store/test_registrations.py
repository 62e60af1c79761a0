"""Users and their devices."""

from __future__ import annotations

import pytest
from support.stores import Bench, token_of

pytestmark = pytest.mark.anyio


async def test_a_device_without_a_user_gets_a_new_one(bench: Bench) -> None:
    """Registering without a user makes one, with the device in slot 1."""
    await bench.app()
    made = await bench.device(token_of(1))
    assert (made.slot, made.created_user) == (1, True)
    devices = await bench.store.devices_of_users(bench.account, "shop", [made.user_id])
    assert [device.token for device in devices[made.user_id]] == [token_of(1)]
