"""A simulator whose clock stands at the time of the machine, by which foreign clients date their tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from support.sim_client import Clock, World

from heliogram.simulator import Simulator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = Clock(time.time())
    simulator = Simulator(clock=clock)
    await simulator.start()
    world = World(simulator, clock)
    yield world
    await world.close()
