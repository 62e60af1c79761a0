"""Webhooks in the dashboard, with a receiver that is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect
from support.dashboard import Person, Site, Window
from support.webhooks import Receiver, receiving

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


@pytest.fixture
async def receiver(anyio_backend: str) -> AsyncIterator[Receiver]:
    """Somewhere to send to."""
    async with receiving() as made:
        yield made


async def test_a_webhook_is_made_tested_and_changed(window: Window, site: Site, receiver: Receiver) -> None:
    """Its secret is shown once; the test says what the receiver answered."""
    page = window.page
    await window.open("/webhooks")
    await expect(page.get_by_role("heading", name="No webhook yet")).to_be_visible()
    await page.get_by_role("link", name="Add a webhook").first.click()
    await page.get_by_label("Address").fill(receiver.url)
    await page.get_by_label("Everything, also what later versions add").uncheck()
    await page.get_by_text("Devices", exact=True).last.click()
    await page.get_by_label("A device was taken out").check()
    await window.check()
    await page.get_by_role("button", name="Add it").click()
    secret = await page.locator("#secret").inner_text()
    assert secret.startswith("whsec_")
    assert await window.axe() == []
    await page.get_by_role("link", name="I have kept it").click()
    await expect(page.get_by_text("a device was taken out")).to_be_visible()
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_role("status")).to_contain_text("The receiver took the test: 200")
    assert receiver.types == ["test"]
    receiver.refuse(500)
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_role("status")).to_contain_text("The receiver did not take the test")
    await window.check()
    assert secret not in await page.content()
    await window.open("/webhooks")
    await expect(page.get_by_role("row").get_by_text("active")).to_be_visible()
    assert await window.axe() == []
    (made,) = (await site.call("GET", "/Webhooks"))["webhooks"]
    assert made["types"] == ["com.heliogram.device.removed"]


async def test_dead_letters_are_sent_again(person: Person, site: Site, receiver: Receiver) -> None:
    """What waited when the receiver said that it is gone is listed, and sent again when asked."""
    made = await site.call("POST", "/Webhooks", {"url": receiver.url, "types": ["device.*"]})
    receiver.refuse(410)
    await site.credential()
    user = await site.user("anna")
    await site.call("DELETE", f"/PushNotifications/Users/{user}")
    page = ""
    while not ('name="letter"' in page and "It is disabled: the receiver answered 410" in page):
        page = (await person.get(f"/webhooks/{made['id']}")).text
    letter = page.partition('name="letter" value="')[2].partition('"')[0]
    receiver.accept()
    answer = await person.post(f"/webhooks/{made['id']}/redeliver", letter=letter)
    assert answer.status_code == 303
    assert (await person.post(f"/webhooks/{made['id']}/state", state="active")).status_code == 303
    while (await site.call("GET", f"/Webhooks/{made['id']}"))["lastSuccessAt"] is None:
        await asyncio.to_thread(lambda: None)
    assert receiver.got[-1].headers["webhook-id"] == letter


async def test_a_webhook_is_changed_paused_and_deleted(person: Person, site: Site) -> None:
    """What is wrong stands beside its field; a new secret and an end are asked for first."""
    wrong = await person.post("/webhooks/new", url="ftp://example.com", types="*")
    assert (wrong.status_code, 'id="e-url"' in wrong.text) == (400, True)
    none = await person.post("/webhooks/new", url="https://hooks.example.com/")
    assert none.status_code == 400
    made = await site.call("POST", "/Webhooks", {"url": "https://hooks.example.com/", "types": ["*"]})
    here = f"/webhooks/{made['id']}"
    changed = {
        "url": "https://hooks.example.com/2",
        "description": "<b>orders</b>",
        "types": ["device.*", "operation.*"],
    }
    assert (await person.post(f"{here}/change", **changed)).status_code == 303
    assert (await person.post(f"{here}/state", state="paused")).status_code == 303
    now = await site.call("GET", f"/Webhooks/{made['id']}")
    assert (now["state"], now["url"], now["types"]) == ("paused", changed["url"], ["operation.*", "device.*"])
    page = (await person.get(here)).text
    assert "It is paused" in page
    assert "<b>orders" not in page
    assert "checked" in (await person.get(f"{here}/change")).text
    assert "signed with both" in (await person.get(f"{here}/secret")).text
    turned = (await person.post(f"{here}/secret")).text
    assert "whsec_" in turned
    assert "signs beside it" in turned
    assert "dead letters too" in (await person.get(f"{here}/delete")).text
    assert (await person.post(f"{here}/delete")).status_code == 303
    assert (await person.get(here)).status_code == 404
