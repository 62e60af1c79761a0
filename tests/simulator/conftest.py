"""A simulator for each test, on ports of its own, with a clock moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from support.sim_client import Clock, World

from heliogram.simulator import Settings, Simulator


@pytest.fixture
def settings() -> Settings:
    """Override in a test module to change the simulator's settings."""
    return Settings()


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    clock = Clock()
    simulator = Simulator(clock=clock, settings=settings)
    await simulator.start(manage_production="127.0.0.1:0", manage_sandbox="127.0.0.1:0")
    world = World(simulator, clock)
    yield world
    await world.close()
