"""API keys in the dashboard."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.async_api import expect
from support.dashboard import Person, Site, Window

from heliogram.domain.accounts import Scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


async def test_a_key_is_made_and_its_secret_shown_once(window: Window, site: Site) -> None:
    """With the scopes that were ticked; the key works, and no page has its secret again."""
    page = window.page
    await window.open("/api-keys")
    await expect(page.get_by_text("yours")).to_be_visible()
    assert await window.axe() == []
    await page.get_by_role("link", name="Make a key").click()
    await page.get_by_label("Name").fill("back end <script>")
    await page.get_by_label("register:").uncheck()
    await window.check()
    await page.get_by_role("button", name="Make it").click()
    ident, secret = [await page.locator(place).inner_text() for place in ("#key-id", "#secret")]
    assert await window.axe() == []
    async with httpx2.AsyncClient(base_url=site.url, auth=(ident, secret), trust_env=False) as client:
        assert (await client.get("/v1/PushNotifications/Users")).status_code == 200
        assert (await client.get("/v1/ApiKeys")).status_code == 403
    await page.get_by_role("link", name="I have kept it").click()
    await expect(page.get_by_role("heading", name="back end <script>")).to_be_visible()
    assert await window.axe() == []
    assert secret not in await page.content()


async def test_what_is_wrong_with_a_key_stands_beside_its_field(person: Person) -> None:
    """A date that has passed, and no scope at all."""
    past = await person.post("/api-keys/new", name="x", scopes="read", expiresAt="2020-01-01T00:00")
    assert (past.status_code, 'id="e-expiresAt"' in past.text) == (400, True)
    none = await person.post("/api-keys/new", name="x")
    assert none.status_code == 400


async def test_a_key_is_rotated_and_revoked(person: Person, site: Site) -> None:
    """The successor's secret is shown once; revoking asks first."""
    key, _ = await site.new_key(Scope.READ)
    turned = await person.post(f"/api-keys/{key}/rotate", graceSeconds="3600")
    successor = re.search(r'id="key-id">([^<]+)', turned.text)
    assert successor is not None
    assert (await site.call("GET", f"/ApiKeys/{key}"))["expiresAt"] is not None
    assert "every registration token that it made" in (await person.get(f"/api-keys/{key}/revoke")).text
    assert (await person.post(f"/api-keys/{key}/revoke")).status_code == 303
    assert (await site.call("GET", f"/ApiKeys/{key}"))["state"] == "revoked"
    assert (await person.post(f"/api-keys/{key}/rotate", graceSeconds="0")).status_code == 409


async def test_the_last_admin_key_stays_and_ones_own_is_named(person: Person, site: Site) -> None:
    """Nobody locks everybody out from here: the API refuses it, and the page says so."""
    key = site.key[0]
    assert "you will be signed out" in (await person.get(f"/api-keys/{key}/revoke")).text
    refused = await person.post(f"/api-keys/{key}/revoke")
    assert refused.status_code == 409
    assert 'role="alert"' in refused.text


async def test_a_key_without_the_scope_is_told_so(site: Site) -> None:
    """Reading keys, webhooks and the log needs admin: a page in plain words with the API's status."""
    made = Person(site)
    async with made.http:
        assert (await made.sign_in(await site.new_key(Scope.READ))).status_code == 303
        for path in ("/api-keys", "/webhooks", "/audit"):
            answer = await made.get(path)
            assert answer.status_code == 403
            assert "may not do this" in answer.text
        assert (await made.get("/users")).status_code == 200
