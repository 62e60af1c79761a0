"""Overview, operations, notifications and compose in a browser: what they say, and that everybody can use them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, expect
from support.dashboard import Person, Site, Window, running_site, shown

from heliogram.web.pages.operations import FEW

pytestmark = pytest.mark.anyio

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own; the simulator's phones and keys are everybody's, the latest the test's own."""
    return tenant


def in_days(days: int) -> str:
    """A moment in the future."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


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
    await expect(page.get_by_role("status").filter(has_text="1 of 1 accepted by APNs.")).to_be_visible()
    await page.get_by_role("link", name="APNs accepted it").click()
    await expect(page.get_by_text("Accepted by Heliogram")).to_be_visible()
    await expect(page.get_by_text("Accepted is not delivered")).to_be_visible()
    await window.check()
    device = site.simulator.devices()[-1]
    (arrived,) = site.simulator.notifications(device.id)
    assert (arrived.title, arrived.badge) == ("Hello Anna", 3)


async def test_what_happens_shows_itself(window: Window, tmp_path: Path) -> None:
    """Figures, reasons and what is wrong come while one looks on, with a link to where it is mended."""
    site, page = window.site, window.page
    credential = await site.credential()
    user = {"externalId": "anna"}
    await site.user("anna")
    await window.open("/")
    await expect(page.locator("#throughput canvas")).to_be_visible()
    await expect(page.get_by_text("Nothing is wrong")).to_be_visible()
    await site.completed(await site.send(user, user, site.phone("sandbox")))
    figures = page.locator("#numbers")
    await expect(figures.locator("div", has_text="Accepted, 5 min").locator("dd")).to_have_text("2")
    await expect(page.get_by_role("region", name="Why some did not succeed")).to_contain_text("BadDeviceToken")
    await window.check()
    site.simulator.revoke_key(site.simulator.signing_keys()[-1].key_id)
    await site.send(user)
    wrong = page.get_by_role("region", name="What is wrong now")
    await expect(wrong).to_contain_text("InvalidProviderToken")
    await expect(wrong.get_by_role("link")).to_have_attribute("href", f"/dashboard/credentials/{credential}")
    await window.open("/")
    await expect(wrong).to_be_visible()
    await window.check()
    await window.picture("dashboard-overview", tmp_path)
    await window.picture("dashboard-overview-dark", tmp_path, scheme="dark")


async def test_failures_are_told_in_plain_words(window: Window, tmp_path: Path) -> None:
    """Each recipient's outcome says what APNs meant and what to do, in the operation, in the list and by itself."""
    site, page = window.site, window.page
    await site.credential()
    token = site.phone("sandbox")
    operation = await site.send(token, {"externalId": "anna"}) if await site.user("anna") else ""
    await site.completed(operation)
    await window.open("/operations")
    await page.get_by_role("link", name=operation).click()
    words = "APNs refused: this is no production token; it may belong to the sandbox"
    await expect(page.get_by_text(words)).to_be_visible()
    await expect(page.get_by_text("1 of 2 accepted by APNs.")).to_be_visible()
    await window.check()
    await window.picture("dashboard-operation", tmp_path)
    await page.get_by_role("link", name=words).click()
    apns_id = await page.locator("dd code").filter(has_text="-").first.text_content()
    await window.check()
    await window.picture("dashboard-notification", tmp_path)
    await window.open("/notifications")
    await window.check()
    await page.get_by_label("Id, apns-id, user or device token").fill(apns_id or "")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text(words)
    await window.open("/notifications?q=anna")
    await expect(page.get_by_text("Sent to the user with the external id “anna”.")).to_be_visible()
    await expect(page.get_by_role("row")).to_have_count(2)


async def test_strangers_and_the_lost_are_told_what_to_do(site: Site, browser: Browser) -> None:
    """The sign-in page, its refusal, and the page for what is not there are for everybody, too."""
    async with shown(site, browser, signed_in=False) as window:
        page = window.page
        await window.open("/compose")
        await window.check()
        await page.get_by_label("API key id").fill("key_nobody")
        await page.get_by_label("Secret").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("This key is not known")
        await window.check()
        await page.get_by_label("API key id").fill(":".join(site.key))
        await page.get_by_label("Secret").fill("")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Compose")).to_be_visible()
        await window.open("/nowhere")
        await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
        await window.check()
        window.complaints[:] = [each for each in window.complaints if "40" not in each]  # the answers above


async def test_texts_of_others_stay_texts(window: Window) -> None:
    """Markup in a title, a user's name or a variable is shown as it is written, wherever it comes up."""
    site, page = window.site, window.page
    await site.credential()
    user = await site.user(SCRIPT)
    operation = await site.send({"externalId": SCRIPT}, content={"title": SCRIPT}, body=SCRIPT, tags={"a": "b"})
    await site.completed(operation)
    found = await site.call("GET", f"/PushNotifications?operationId={operation}")
    (notification,) = found["pushNotifications"]
    await window.open("/compose")
    await page.get_by_label("To (required)").fill(SCRIPT)
    await page.get_by_label("Title", exact=True).fill("{{ a }}")
    await page.get_by_label("Variables").fill(f"a = {SCRIPT}")
    await expect(page.locator(".banner-title")).to_have_text(SCRIPT)
    paths = ("/", f"/notifications/{notification['id']}", f"/operations/{operation}", f"/users/{user}")
    for path in (*paths, f"/notifications?q={quote(SCRIPT)}", f"/operations?tags={quote(SCRIPT)}"):
        await window.open(path)
        await expect(page).not_to_have_title("taken")
        assert await page.locator("main script, main img[src=x]").count() == 0
    window.complaints[:] = [each for each in window.complaints if "400" not in each]  # the filter that is none


async def test_without_javascript_all_but_the_live_figures_works(site: Site, browser: Browser) -> None:
    """A push can be looked at, sent, and seen in the end; a scheduled one can be cancelled."""
    await site.credential()
    await site.user("anna")
    async with shown(site, browser, java_script_enabled=False) as window:
        page = window.page
        await window.open("/compose?to=anna")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator(".banner-title")).to_have_text("Hello there")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("heading", name="Operation")).to_be_visible()
        operation = page.url.rpartition("/")[2]
        assert (await site.completed(operation))["stats"]["sent"] == 1
        later = await site.send({"externalId": "anna"}, schedule={"sendAt": [in_days(1)]})
        await window.open(f"/operations/{later}")
        await page.get_by_role("button", name="Cancel what has not left").click()
        await expect(page.get_by_text("Cancelled: what had not left does not leave any more.")).to_be_visible()
        assert (await site.completed(later))["status"] == "CANCELED"


async def test_searches_find_what_people_have_in_hand(person: Person, site: Site) -> None:
    """Ids lead to their pages; a user's id and a token list what was sent to the user; what is unknown says so."""
    await site.credential()
    token = site.phone()
    user = await site.user("anna", token)
    operation = await site.send({"userId": user})
    await site.completed(operation)
    (found,) = (await site.call("GET", f"/PushNotifications?operationId={operation}"))["pushNotifications"]
    for text, page in ((operation, f"/operations/{operation}"), (found["id"], f"/notifications/{found['id']}")):
        assert (await person.get("/notifications", q=text)).headers["location"] == f"/dashboard{page}"
    assert f"/dashboard/devices?token={token}" in (await person.get(f"/notifications/{found['id']}")).text
    for text in (user, token.upper(), "anna"):
        assert found["id"] in (await person.get("/notifications", q=text)).text
    for text in ("cd" * 32, "nobody"):
        assert "Nothing found" in (await person.get("/notifications", q=text)).text
    assert (await person.get("/notifications", startDate="yesterday")).status_code == 400
    assert (await person.get("/operations", status="NONE")).status_code == 400


async def test_a_large_operation_tells_its_failures_by_reason(person: Person, site: Site) -> None:
    """More recipients than can be shown one by one: how many failed for which reason, and which."""
    await site.credential()
    operation = await site.send(*[f"{number:064x}" for number in range(FEW + 1)])
    await site.completed(operation)
    page = (await person.get(f"/operations/{operation}")).text
    assert f'<span class="badge bad">{FEW + 1}</span>' in page
    assert "this token is not of the environment it was sent to" in page
    assert "and 1 more on this page" in page


async def test_the_dashboard_can_be_left_out(tmp_path: Path) -> None:
    """With --no-dashboard its addresses are as unknown as any others."""
    async with running_site(tmp_path, dashboard=False) as site:
        assert (await site.http.get("/dashboard/")).status_code == 404
        assert (await site.http.get("/", headers={"Accept": "text/html"})).status_code == 404
