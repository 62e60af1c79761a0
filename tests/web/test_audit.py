"""The audit log in the dashboard."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.async_api import expect
from support.dashboard import Person, Site, Window

from heliogram.domain.accounts import AuditEvent
from heliogram.domain.ids import IdFactory

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


async def test_the_log_says_who_did_what_and_is_filtered(window: Window, site: Site) -> None:
    """In words, with the name of the key and links to what was changed."""
    page = window.page
    await window.open("/audit")
    await expect(page.get_by_role("heading", name="Nothing has been changed yet")).to_be_visible()
    ident = await site.credential()
    await site.call("POST", "/ApiKeys", {"name": "back end", "scopes": ["send"]})
    await window.open("/audit")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await window.check()
    await page.get_by_label("What", exact=True).select_option("credential.created")
    await page.get_by_label("By whom").fill(site.key[0])
    await page.get_by_role("button", name="Filter").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Credential uploaded")
    await expect(rows).to_contain_text("dashboard")
    await rows.get_by_role("link", name=ident).click()
    await page.wait_for_url(f"**/credentials/{ident}")
    await page.get_by_role("link", name="Who changed it").click()
    await expect(rows).to_have_count(1)


async def test_a_filter_that_finds_nothing_or_is_wrong_is_said(person: Person) -> None:
    """And leads back to the whole log."""
    nothing = (await person.get("/audit", actor="cli", action="app.made_default")).text
    assert "Nothing like that" in nothing
    wrong = await person.get("/audit", startDate="2027-02-01", endDate="2027-01-01")
    assert (wrong.status_code, 'id="e-endDate"' in wrong.text) == (400, True)


async def test_a_filter_holds_from_page_to_page(person: Person, site: Site) -> None:
    """The next page and the first one from there are asked for with it, and the form shows it."""
    store, clock = site.backing.store, itertools.count(1_800_000_000_000)
    ids = IdFactory(lambda: next(clock))
    for number in range(51):
        for action in ("webhook.created", "webhook.deleted"):
            event = AuditEvent(id=ids.new(), at=0, actor="cli", action=action, subject=f"hook-{number:02}")
            await store.record_audit(site.account, event)
    page = (await person.get("/audit", action="webhook.created")).text
    assert (page.count("<code>hook-"), "hook-00" in page) == (50, False)
    following = re.search(r'rel="next" href="/dashboard([^"]+)"', page)
    assert following is not None
    page = (await person.get(following[1].replace("&amp;", "&"))).text
    assert (page.count("<code>hook-"), "hook-00" in page) == (1, True)
    assert '<option value="webhook.created" selected>' in page
    first = re.search(r'href="/dashboard([^"]+)">First page', page)
    assert first is not None
    assert first[1] == "/audit?action=webhook.created"


async def test_names_in_the_log_are_text(person: Person, site: Site) -> None:
    """What keys are called is never run."""
    await site.call("POST", "/ApiKeys", {"name": "<script>alert(1)</script>", "scopes": ["send"]})
    page = (await person.get("/audit")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
