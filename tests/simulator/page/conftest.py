"""The simulator's page in a real Chromium.

Without a chromium these tests are skipped by name with their cure; where `CI` is set that is a failure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect
from support.browser import Shown, chromium
from support.control import served

from heliogram.simulator import Simulator

PATIENCE = 20_000
"""Milliseconds a condition may take: a bound for a machine with much else to do, not a pause."""

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """For the session, so that one browser serves all tests."""
    return "asyncio"


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def shown(browser: Browser) -> AsyncIterator[Shown]:
    """The page, open; in the end it must have logged no error, broken no policy and asked nobody else."""
    simulator = Simulator()
    await simulator.start()
    async with served(simulator) as server:
        context = await browser.new_context(
            locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 1280, "height": 900}
        )
        context.set_default_timeout(PATIENCE)
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        shown = Shown(simulator, server, await context.new_page())
        await shown.open()
        yield shown
        await context.close()
        await shown.close()
    await simulator.stop()
    assert shown.complaints == []
