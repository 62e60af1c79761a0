"""Apps in the dashboard."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from support.dashboard import Person, Site, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


async def test_an_app_shows_what_it_sends_with(window: Window, site: Site) -> None:
    """Its credentials with their health, and what is the default; another app can be made so."""
    page = window.page
    await window.open("/apps")
    await expect(page.get_by_role("heading", name="No app yet")).to_be_visible()
    await site.credential()
    await site.credential("bank", "APN_SANDBOX")
    await window.open("/apps")
    assert await window.axe() == []
    await page.get_by_role("link", name="bank").click()
    await expect(page.get_by_text("It sends what names it.")).to_be_visible()
    await expect(page.get_by_role("row").get_by_text("not checked")).to_be_visible()
    await page.get_by_role("button", name="Make it the default").click()
    await expect(page.get_by_role("status")).to_have_text("Sends that name no app go out from bank now.")
    await expect(page.get_by_text("It sends what names no app.")).to_be_visible()
    await window.check()


async def test_an_app_that_is_not_there_is_said(person: Person) -> None:
    """With the status of the API, whatever its name looks like."""
    for name in ("nobody", "..%2f..%2fAccount", "%3Cscript%3E"):
        answer = await person.get(f"/apps/{name}")
        assert answer.status_code == 404, name
        assert "<script>" not in answer.text.partition("<main")[2]
