"""TOK rules as the simulator keeps them."""

from __future__ import annotations

import pytest
from support.sim_client import World

pytestmark = pytest.mark.anyio


async def test_scheme_and_one_space(world: World) -> None:
    """TOK-1: `authorization` is `bearer`, one space, and the token."""
    client = await world.connect()
    for value, status in ((f"bearer {world.bearer}", 200), (f"bearer{world.bearer}", 403), (world.bearer, 403)):
        reply = await client.push(world.token, None, ("authorization", value))
        assert reply.status == status
