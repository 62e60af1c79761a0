"""The dashboard of a real service: over HTTP (`person`), and in a real Chromium (`window`).

Without a chromium the tests that need one are skipped by name with their cure; where `CI` is set that is a failure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from support.browser import chromium
from support.dashboard import PATIENCE, Person, Site, Window, running_site, shown

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
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A new service with nothing in it."""
    async with running_site(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
async def house(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One service for all tests that need nothing but an account of their own."""
    told = {"webhooks_allow_private": True, "webhooks_allow_http": True}
    async with running_site(tmp_path_factory.mktemp("house"), **told) as made:
        yield made


@pytest.fixture
async def tenant(house: Site) -> AsyncIterator[Site]:
    """A new account of a service that is there already: a module takes it in place of a new `site`."""
    async with house.tenant() as made:
        yield made


@pytest.fixture
async def person(site: Site) -> AsyncIterator[Person]:
    """Signed in with all scopes, without JavaScript."""
    made = Person(site)
    async with made.http:
        answer = await made.sign_in(site.key)
        assert answer.status_code == 303, answer.text
        yield made


@pytest.fixture
async def window(site: Site, browser: Browser) -> AsyncIterator[Window]:
    """Signed in with all scopes, at the first page."""
    async with shown(site, browser) as made:
        yield made
