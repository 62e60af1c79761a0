"""Live Activities and schedules from the compose page, to the simulator's phones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect
from support.dashboard import BUNDLE, Person, Site, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own; the simulator's phones are everybody's, the latest the test's own."""
    return tenant


async def starter(site: Site) -> str:
    """A phone whose app forwards push-to-start tokens, of the user anna: the phone's id."""
    await site.user("anna")
    phone = site.simulator.devices()[-1].id
    made = site.simulator.apns.registry.register(phone, BUNDLE, "liveActivityStart", "Match")
    await site.user("anna", made.device_token, kind="liveActivityStart")
    return phone


async def test_a_live_activity_is_started_and_seen(window: Window, tmp_path: Path) -> None:
    """The form has the fields of what is chosen, the preview the card, and the phone shows it in the end."""
    site, page = window.site, window.page
    await site.credential()
    await window.open("/compose")
    await page.get_by_role("radio", name="Notification").focus()
    for _ in range(2):  # by keyboard alone
        await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="Live Activity")).to_be_checked()
    await expect(page.get_by_label("Title", exact=True)).to_be_hidden()
    await expect(page.get_by_label("Activity", exact=True)).to_be_hidden()
    await page.get_by_label("To (required)").fill("anna")
    await page.get_by_label("Content state").fill('{"score": 1')
    await expect(page.locator("#preview")).to_contain_text("Content state: Expected a JSON object")
    phone = await starter(site)
    await page.get_by_label("Content state").fill('{"score": 1}')
    await page.get_by_label("Attributes type").fill("Match")
    await page.get_by_label("Attributes", exact=True).fill('{"home": "Arsenal"}')
    await page.get_by_label("Alert title").fill("Kick-off for {{ team }}")
    await page.get_by_label("Variables").fill("team = Arsenal")
    await expect(page.locator(".banner.activity")).to_contain_text("It starts: Match")
    await expect(page.locator(".banner-title").last).to_have_text("Kick-off for Arsenal")
    await expect(page.get_by_role("region", name="What APNs gets")).to_contain_text('"attributes-type": "Match"')
    await page.get_by_text("When: send later, expire").click()
    assert await page.get_by_label("Time zone").input_value() == "UTC"  # the browser's own
    await window.check()
    await window.picture("dashboard-live-activity", tmp_path)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("status").filter(has_text="1 of 1 accepted by APNs.")).to_be_visible()
    (card,) = site.simulator.apns.registry.activities.all(phone)
    assert (card.attributes_type, card.content_state) == ("Match", {"score": 1})


async def test_a_live_activity_is_updated_and_ended_without_javascript(person: Person, site: Site) -> None:
    """Each step is a form; the notification's page shows the payload, made anew."""
    await site.credential()
    await starter(site)
    phone = site.simulator.devices()[-1].id
    activity = site.simulator.apns.registry.activities.start(phone, BUNDLE, "Match", content_state={"score": 1})
    assert activity.token is not None
    token = activity.token.value.decode()
    await site.user("anna", token, kind="liveActivityUpdate", activityId="match-1")
    form = {
        "to": "anna",
        "kind": "activity",
        "event": "update",
        "activityId": "match-1",
        "contentState": '{"score": 2}',
    }
    sent = await person.post("/compose", **form)
    operation = sent.headers["location"].rpartition("/")[2]
    assert (await site.completed(operation))["stats"]["sent"] == 1
    assert site.simulator.apns.registry.activities.all(phone)[-1].content_state == {"score": 2}
    (found,) = (await site.call("GET", f"/PushNotifications?operationId={operation}"))["pushNotifications"]
    page = (await person.get(f"/notifications/{found['id']}")).text
    assert "made anew" in page
    assert re.search(r"<code>apns-push-type</code></dt><dd><code>liveactivity", page)
    assert "&#34;score&#34;: 2" in page.partition("What APNs gets")[2]


async def test_a_push_is_sent_later(person: Person, site: Site) -> None:
    """When clocks in the zone that the form names show the time; what is too far ahead is said beside the field."""
    await site.credential()
    await site.user("anna")
    day = datetime.now(UTC) + timedelta(days=2)
    form = {"to": "anna", "body": "x", "zone": "+05:30"}
    sent = await person.post("/compose", **form, sendAt=f"{day:%Y-%m-%d}T09:00")
    operation = sent.headers["location"].rpartition("/")[2]
    found = await site.call("GET", f"/PushNotifications/Operations/{operation}")
    assert (found["status"], found["schedule"]) == ("SCHEDULED", {"sendAt": [f"{day:%Y-%m-%d}T09:00:00+05:30"]})
    assert f"at {day:%Y-%m-%d} 09:00 +05:30." in (await person.get(f"/operations/{operation}")).text
    refused = await person.post("/compose", **form, sendAt="2099-01-01T09:00")
    assert "This is more than 30 days ahead" in refused.text
    assert 'value="2099-01-01T09:00"' in refused.text
