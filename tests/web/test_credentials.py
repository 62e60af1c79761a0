"""Credentials in the dashboard: uploaded, checked, rotated, revoked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from support.dashboard import BUNDLE, TEAM, Person, Site, Window

from heliogram.web.pages._credential_words import health

pytestmark = pytest.mark.anyio


@pytest.fixture
def site(tenant: Site) -> Site:
    """An account of its own is enough."""
    return tenant


GOOD = {"revokedAt": None, "failing": None, "expiresInDays": None, "lastCheck": None}
GOOD |= {"lastAnswer": None, "lastSuccessAt": None}
CHECKED = {"ok": True, "reason": "BadDeviceToken", "message": "Fine."}


def filled(site: Site, **changes: str) -> dict[str, str]:
    """A form with a key that the simulator knows."""
    key = site.simulator.issue_key(TEAM)
    own = {"form": "key", "appName": "shop", "credentialType": "APN", "signingKey": key.p8, "keyId": key.key_id}
    return {**own, "teamId": TEAM, "bundleId": BUNDLE, "keyScope": "", "topics": "", **changes}


async def test_a_key_is_chosen_as_a_file_kept_and_checked(window: Window, tmp_path: Path) -> None:
    """Its text and its id are read from the file in the browser; APNs' answer is said in words and stays."""
    site, page = window.site, window.page
    key = site.simulator.issue_key(TEAM)
    file = tmp_path / f"AuthKey_{key.key_id}.p8"
    file.write_text(key.p8)
    await window.open("/credentials")
    await expect(page.get_by_role("heading", name="No credential yet")).to_be_visible()
    await page.get_by_role("main").get_by_role("link", name="Add a credential").last.click()
    await page.get_by_label("App").fill("shop")
    await page.get_by_label("Choose the .p8 file").set_input_files(file)
    await expect(page.get_by_label("or paste its text")).to_have_value(re.compile("^-----BEGIN PRIVATE KEY-----"))
    await expect(page.get_by_label("Key id")).to_have_value(key.key_id)
    await page.get_by_label("Team id").fill(TEAM)
    await page.get_by_label("Bundle id").fill(BUNDLE)
    await window.check()
    await page.get_by_role("button", name="Keep it").click()
    await expect(page.get_by_role("status")).to_contain_text("Kept, sealed.")
    await expect(page.get_by_text("This content was never checked.")).to_be_visible()
    await page.get_by_role("button", name="Check it now").click()
    await expect(page.get_by_role("status")).to_have_text("APNs accepts the credential for this bundle id.")
    await expect(page.get_by_role("heading", name="Signing key").get_by_text("healthy")).to_be_visible()
    await window.check()
    other = await site.credential("bank", keyId="WRONGKEY12")
    await site.call("POST", f"/PushNotifications/Credentials/{other}/check")
    await window.open("/credentials")
    await expect(page.get_by_role("row").get_by_text("check failed")).to_be_visible()
    await expect(page.get_by_role("row").get_by_text("healthy")).to_be_visible()
    await window.check()
    await window.picture("dashboard-credentials", tmp_path)


async def test_a_credential_that_apns_refuses_says_what_to_do(person: Person, site: Site) -> None:
    """In the list by a word, on its own page with what is wrong in words."""
    ident = await site.credential(keyId="WRONGKEY12")
    assert (await person.post(f"/credentials/{ident}/check")).status_code == 303
    assert "check failed" in (await person.get("/credentials")).text
    page = (await person.get(f"/credentials/{ident}")).text
    assert "key id or team id do not belong to this key" in page
    assert "InvalidProviderToken" in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"keyId": "SHORT"}, "keyId"),
        ({"signingKey": "-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----"}, "signingKey"),
        ({"appName": "No App!"}, "appName"),
        ({"form": "certificate", "certificate": "x", "privateKey": "y"}, "certificate"),
    ],
)
async def test_what_is_wrong_with_a_form_stands_beside_its_field(
    person: Person, site: Site, changes: dict[str, str], field: str
) -> None:
    """What was filled in is there again, but for what is secret."""
    values = filled(site, **changes)
    answer = await person.post("/credentials/new", **values)
    assert answer.status_code == 400
    assert f'id="e-{field}"' in answer.text
    assert f'value="{values["credentialType"]}" selected' in answer.text
    assert "PRIVATE KEY-----\nnone" not in answer.text
    assert values["signingKey"].splitlines()[1] not in answer.text


async def test_rotating_keeps_the_team_and_leads_back(person: Person, site: Site) -> None:
    """The form knows team and bundle id; a key of another team is refused beside the field."""
    ident = await site.credential()
    page = (await person.get(f"/credentials/{ident}/rotate")).text
    assert (f'value="{TEAM}"' in page, f'value="{BUNDLE}"' in page) == (True, True)
    wrong = await person.post(f"/credentials/{ident}/rotate", **filled(site, teamId="OTHERTEAM1"))
    assert wrong.status_code == 400
    assert f'id="e-teamId">Must stay {TEAM}' in wrong.text
    done = await person.post(f"/credentials/{ident}/rotate", **filled(site))
    assert done.headers["location"] == f"/dashboard/credentials/{ident}"
    assert (await site.call("GET", f"/PushNotifications/Credentials/{ident}"))["revision"] == 2


async def test_what_ends_a_credential_asks_first(person: Person, site: Site) -> None:
    """Revoking says that the key ends everywhere, deleting the last one that its app goes with it."""
    ident = await site.credential()
    assert "every credential of the account that holds it" in (await person.get(f"/credentials/{ident}/revoke")).text
    assert (await person.post(f"/credentials/{ident}/revoke")).status_code == 303
    page = (await person.get(f"/credentials/{ident}")).text
    assert "nothing leaves with it again" in page
    assert "Check it now" not in page
    assert "It is the last of shop" in (await person.get(f"/credentials/{ident}/delete")).text
    assert (await person.post(f"/credentials/{ident}/delete")).status_code == 303
    assert (await person.get("/apps/shop")).status_code == 404


async def test_defaults_and_connections_are_changed(person: Person, site: Site) -> None:
    """Another credential becomes the default, and connections open anew, each with a word of what was done."""
    first, second = await site.credential(), await site.credential()
    assert (await person.post(f"/credentials/{second}/default")).status_code == 303
    assert (await person.post(f"/credentials/{first}/reconnect")).status_code == 303
    assert "New connections are used from now on." in (await person.get(f"/credentials/{first}")).text
    app = await site.call("GET", "/PushNotifications/Apps/shop")
    assert app["defaultCredentials"] == [{"credentialType": "APN", "id": second}]
    listed = (await person.get("/credentials", appName="shop", credentialType="APN_SANDBOX")).text
    assert "No such credential" in listed


@pytest.mark.parametrize(
    ("changes", "word", "tone"),
    [
        ({}, "not checked", "plain"),
        ({"lastCheck": CHECKED}, "healthy", "good"),
        ({"lastSuccessAt": "2027-01-15T08:00:00Z"}, "healthy", "good"),
        ({"lastAnswer": {"status": 410, "reason": "Unregistered"}}, "healthy", "good"),
        ({"lastAnswer": {"status": 403, "reason": "InvalidProviderToken"}}, "not checked", "plain"),
        ({"lastCheck": {**CHECKED, "ok": False}, "expiresInDays": 3}, "check failed", "bad"),
        ({"lastCheck": CHECKED, "expiresInDays": 31}, "healthy", "good"),
        ({"lastCheck": CHECKED, "expiresInDays": 30}, "expiring", "warn"),
        ({"lastCheck": CHECKED, "expiresInDays": -1}, "expired", "bad"),
        ({"failing": {"reason": "Unreachable: timed out"}, "expiresInDays": -1}, "failing", "bad"),
        ({"failing": {"reason": "New"}, "revokedAt": "2027-01-15T08:00:00Z"}, "revoked", "bad"),
    ],
)
def test_the_worst_is_said_of_a_credential(changes: dict[str, Any], word: str, tone: str) -> None:
    """One word, by what is known: revoked before failing, expired before a check, and good only what APNs took."""
    found = health({**GOOD, **changes})
    assert (found.word, found.tone) == (word, tone)
