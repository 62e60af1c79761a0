"""Broadcast channels in the dashboard."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from support.dashboard import Person, Site, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


async def test_a_channel_is_made_shown_and_deleted(window: Window, site: Site) -> None:
    """At APNs, with the app's credential; deleting asks first."""
    page = window.page
    await window.open("/channels")
    await expect(page.get_by_text("Add the credential first.")).to_be_visible()
    await site.credential()
    await window.open("/channels")
    await page.get_by_label("Messages").select_option("MOST_RECENT_MESSAGE_STORED")
    await page.get_by_role("button", name="Make it for shop in production").click()
    await expect(page.get_by_role("status")).to_contain_text("The channel is made.")
    await expect(page.get_by_text("Keep the latest for devices that are away")).to_be_visible()
    assert await window.axe() == []
    ident = await page.locator("#channel-id").inner_text()
    await window.open("/channels")
    await expect(page.get_by_role("link", name=ident)).to_be_visible()
    await window.check()
    await page.get_by_role("link", name=ident).click()
    await page.get_by_role("link", name="Delete").click()
    assert await window.axe() == []
    await page.get_by_role("button", name="Delete the channel").click()
    await expect(page.get_by_role("status")).to_have_text("The channel was deleted.")
    await expect(page.get_by_role("link", name=ident)).to_have_count(0)


async def test_without_a_credential_the_page_leads_to_one(person: Person, site: Site) -> None:
    """What the API says, and where the cure is; a channel cannot be made there either."""
    await site.credential()
    page = (await person.get("/channels", app="shop", environment="sandbox")).text
    assert "The channels cannot be shown." in page
    assert 'href="/dashboard/apps/shop"' in page
    form = {"app": "shop", "environment": "sandbox", "storagePolicy": "NO_MESSAGE_STORED"}
    assert (await person.post("/channels", **form)).status_code == 400
    assert (await person.post("/channels", **form | {"app": "nobody"})).status_code == 404
