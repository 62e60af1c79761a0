"""Overview, operations, notifications and compose in a browser: what they say, and that everybody can use them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect
from support.dashboard import Window

pytestmark = pytest.mark.anyio

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


async def test_a_new_service_teaches_the_next_steps(window: Window, tmp_path: Path) -> None:
    """Without anything in it the first page leads to a credential, a device and a push, and all pages are usable."""
    page = window.page
    await expect(page.get_by_role("heading", name="Three steps to the first push")).to_be_visible()
    await expect(page.get_by_role("link", name="Upload a credential")).to_be_visible()
    await window.check()
    await window.picture("dashboard-first-run", tmp_path)
    for path in ("/operations", "/notifications"):
        await window.open(path)
        await expect(page.get_by_role("heading", name="Nothing was sent yet")).to_be_visible()
        await window.check()
    await window.open("/compose")
    await expect(page.get_by_text("There is no app yet.")).to_be_visible()
    await window.check()


async def test_a_push_is_composed_sent_and_followed(window: Window, tmp_path: Path) -> None:
    """The preview follows the form, the payload is the one that APNs gets, and the outcome arrives by itself."""
    site, page = window.site, window.page
    await site.credential()
    await site.user("anna")
    await window.open("/compose")
    await page.get_by_label("To (required)").fill("anna")
    await page.get_by_label("Title", exact=True).fill("Hello {{ name }}")
    await page.get_by_label("Text", exact=True).fill("Your parcel has arrived at the shop.")
    await page.get_by_label("Variables").fill("name = Anna")
    await page.get_by_label("Badge").fill("3")
    await expect(page.locator(".banner-title")).to_have_text("Hello Anna")
    await expect(page.get_by_role("region", name="What APNs gets")).to_contain_text('"badge": 3')
    await window.check()
    await window.picture("dashboard-compose", tmp_path)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("status").filter(has_text="1 of 1 was accepted by APNs.")).to_be_visible()
    await page.get_by_role("link", name="APNs accepted it").click()
    await expect(page.get_by_text("Accepted by Heliogram")).to_be_visible()
    await expect(page.get_by_text("Accepted is not delivered")).to_be_visible()
    await window.check()
    (device,) = site.simulator.devices()
    (arrived,) = site.simulator.notifications(device.id)
    assert (arrived.title, arrived.badge) == ("Hello Anna", 3)
