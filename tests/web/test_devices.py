"""Devices in the dashboard, found by their token."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect
from support.dashboard import Person, Site, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


DEAD = "cd" * 32


async def test_a_token_tells_whose_it_is_and_why_nothing_is_sent_to_it(window: Window, tmp_path: Path) -> None:
    """In any spelling: the user, the app, the reason in plain words and its cure."""
    site, page = window.site, window.page
    await site.credential()
    user = await site.user("anna", DEAD, environment="production")
    await site.user("anna")
    await site.completed(await site.send({"userId": user}))
    await window.open("/devices")
    await expect(page.get_by_text("Give the token as the app logged it")).to_be_visible()
    await page.get_by_label("Device token").fill(f"<{DEAD[:8].upper()} {DEAD[8:]}>")
    await page.get_by_role("button", name="Find").click()
    found = page.get_by_role("region", name="Device of the app shop")
    await expect(found.get_by_text("quarantined")).to_be_visible()
    await expect(found.get_by_text("most often it belongs to the other one")).to_be_visible()
    await expect(found.get_by_text("let it register the token it is handed")).to_be_visible()
    await expect(found.get_by_text("and 1 other device in this app")).to_be_visible()
    await window.check()
    await window.picture("dashboard-device", tmp_path)
    await found.get_by_role("link", name="anna").click()
    await page.wait_for_url(f"**/users/{user}")


async def test_what_is_no_token_is_said_beside_the_field(person: Person) -> None:
    """And a token that nobody has is explained."""
    wrong = await person.get("/devices", token="a b")
    assert wrong.status_code == 400
    assert 'id="e-token">Expected an even number of hexadecimal digits' in wrong.text
    nobody = await person.get("/devices", token=DEAD)
    assert nobody.status_code == 200
    assert "Nobody has this token" in nobody.text


async def test_a_token_that_has_gone_is_told_of(person: Person, site: Site) -> None:
    """Whose it was, and why it is nobody's now."""
    await site.credential()
    user = await site.user("anna", DEAD)
    listed = await site.call("GET", f"/PushNotifications/DeviceRegistrations?userId={user}")
    (registration,) = listed["deviceRegistrations"]
    await site.call("DELETE", f"/PushNotifications/DeviceRegistrations/{registration['id']}")
    page = (await person.get("/devices", token=DEAD)).text
    assert "Nobody has this token" in page
    assert "What happened so far" in page
    assert "By request: the app signed out, or somebody removed the device." in page
    assert f'href="/dashboard/users/{user}"' in page
