"""Users and their devices in the dashboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import expect
from support.dashboard import BUNDLE, Person, Site, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


SCRIPT = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
DEAD = "cd" * 32
"""A token that APNs does not know."""


async def test_no_user_yet_teaches_how_one_is_made(person: Person) -> None:
    """The empty page says what makes a user, and a search without a result what else to look for."""
    assert "A user appears when an app registers its first device" in (await person.get("/users")).text
    found = (await person.get("/users", q="nobody")).text
    assert "Nobody here is called “nobody”" in found
    assert "Find a device by its token" in found


async def test_a_search_leads_to_the_user(person: Person, site: Site) -> None:
    """By the external id, and by the id."""
    await site.credential()
    user = await site.user("anna@example.com")
    for asked in ("anna@example.com", user):
        answer = await person.get("/users", q=asked)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/dashboard/users/{user}")
    page = (await person.get(f"/users/{user}")).text
    assert "anna@example.com" in page
    assert f"/dashboard/compose?to={user}" in page


async def test_a_user_is_seen_with_devices_and_what_was_sent(window: Window) -> None:
    """Which device is reachable, why another is not and what cures it, and what became of the last notifications."""
    site, page = window.site, window.page
    await site.credential()
    user = await site.user("anna@example.com", appVersion="3.1", environment="production")
    body = {"appName": "shop", "provider": "APN", "userId": user, "token": DEAD, "environment": "production"}
    await site.call("POST", "/PushNotifications/DeviceRegistrations", body)
    await site.completed(await site.send({"userId": user}, tags={"campaign": "spring"}))
    await window.open(f"/users/{user}")
    devices = page.get_by_role("region", name="Devices")
    await expect(devices.get_by_text("reachable")).to_be_visible()
    await expect(devices.get_by_text("quarantined")).to_be_visible()
    await expect(devices.get_by_text("APNs does not know this token in the environment")).to_be_visible()
    await expect(devices.get_by_text("What cures it:")).to_be_visible()
    sent = page.get_by_role("region", name="Last notifications")
    await expect(sent.get_by_text("APNs accepted it")).to_be_visible()
    await expect(sent.get_by_text("campaign:spring")).to_be_visible()
    await window.check()
    await page.get_by_role("link", name=f"Remove {DEAD[:8]}…").click()
    await expect(page.get_by_role("heading", name="Remove this device?")).to_be_visible()
    await page.get_by_role("button", name="Remove the device").click()
    await expect(page.get_by_role("status")).to_have_text("The device was removed.")
    await expect(page.get_by_text("quarantined")).to_have_count(0)


async def test_where_the_devices_of_a_user_went_is_told_in_plain_words(window: Window, tmp_path: Path) -> None:
    """When there is none any more, too: what APNs said, since when, and what brings it back; newest first."""
    site, page = window.site, window.page
    await site.credential()
    user = await site.user("anna", installationId="phone")
    before = site.simulator.devices()[-1]
    await site.user("anna", installationId="phone")
    device = site.simulator.devices()[-1]
    assert before.id != device.id
    site.simulator.uninstall(device.id, BUNDLE)
    await site.completed(await site.send({"userId": user}))
    await window.open(f"/users/{user}")
    await expect(page.get_by_text("Nothing can be sent to this user.")).to_be_visible()
    happened = page.get_by_role("region", name="What happened so far")
    entries = happened.get_by_role("listitem")
    await expect(entries).to_have_count(2)
    await expect(entries.nth(0)).to_contain_text("Removed")
    await expect(entries.nth(0)).to_contain_text("APNs answered 410 Unregistered, not valid since 20")
    await expect(entries.nth(0)).to_contain_text("It comes back when the app is opened and registers again.")
    await expect(entries.nth(1)).to_contain_text("Token changed")
    await window.check()
    await window.picture("dashboard-user", tmp_path)


async def test_of_a_user_without_a_history_that_is_said(person: Person, site: Site) -> None:
    """And whatever happened to a deleted one is forgotten, so its page has no such part."""
    await site.credential()
    user = await site.user("anna")
    assert "The app handed this token over for the first time." in (await person.get(f"/users/{user}")).text
    made = await site.call("POST", "/PushNotifications/RegistrationTokens", {"appName": "shop", "externalId": "bert"})
    assert "Nothing is known to have happened" in (await person.get(f"/users/{made['userId']}")).text
    await site.call("DELETE", f"/PushNotifications/Users/{user}")
    assert "What happened so far" not in (await person.get(f"/users/{user}")).text


async def test_a_user_is_named_and_deleted(person: Person, site: Site) -> None:
    """A name that somebody has is refused beside the field; deleting asks first, and leaves the deleted user shown."""
    await site.credential()
    user = await site.user("anna")
    await site.user("bert")
    refused = await person.post(f"/users/{user}/name", externalId="bert")
    assert refused.status_code == 409
    assert 'id="e-externalId"' in refused.text
    assert (await person.post(f"/users/{user}/name", externalId="anna2")).status_code == 303
    assert (await site.call("GET", f"/PushNotifications/Users/{user}"))["externalId"] == "anna2"
    asked = (await person.get(f"/users/{user}/delete")).text
    assert "anna2 loses every device in all apps" in asked
    assert (await person.post(f"/users/{user}/delete")).headers["location"] == "/dashboard/users"
    assert "The user was deleted." in (await person.get("/users")).text
    assert "This user was deleted" in (await person.get(f"/users/{user}")).text
    assert (await person.post(f"/users/{user}/delete")).status_code == 404


async def test_names_are_text_and_nothing_else(window: Window) -> None:
    """What users are called is shown and never run: nothing is heard of it, and no tag comes of it."""
    site, page = window.site, window.page
    await site.credential()
    user = await site.user(SCRIPT, appVersion="<b>1</b>")
    await site.completed(await site.send({"userId": user}))
    await window.open("/users")
    await expect(page.get_by_role("link", name=SCRIPT)).to_be_visible()
    await window.open(f"/users/{user}")
    await expect(page.get_by_role("heading", name=SCRIPT)).to_be_visible()
    assert await page.locator("img[src=x], main b").count() == 0
    await window.open("/users?q=" + "%3Cscript%3Ealert(1)%3C/script%3E")
    await expect(page.get_by_text(re.compile("Nobody here is called “<script>"))).to_be_visible()


async def test_users_come_in_pages(person: Person, site: Site) -> None:
    """The next page is led to, and the first one from there."""
    await site.credential()
    for number in range(51):
        body = {"appName": "shop", "provider": "APN", "externalId": f"user-{number}", "token": f"{number:064x}"}
        await site.call("POST", "/PushNotifications/DeviceRegistrations", body)
    first = (await person.get("/users")).text
    link = re.search(r'href="/dashboard(/users\?pageToken=[^"]+)">Next page', first)
    assert link is not None
    assert first.count("user-") == 50
    second = (await person.get(link[1].replace("&amp;", "&"))).text
    assert ("user-0<" in second, "First page" in second) == (True, True)
