"""What an app may say of itself when it registers, and how one device is removed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from support.service import TOKEN, Service, token_content

from heliogram.domain import ids
from heliogram.domain.devices import TokenKind

pytestmark = pytest.mark.anyio

OTHER = "cd" * 32
FULL = {
    "kind": "liveActivityUpdate",
    "activityId": "match 1",
    "installationId": "5F0E3B8C",
    "appVersion": "2.1 (7)",
    "locale": "zh_Hant_TW",
    "timeZone": "America/Argentina/Ushuaia",
    "environment": "production",
}


def new_device(**changes: Any) -> dict[str, Any]:
    """A body that is accepted, but for the changes."""
    return {"appName": "shop", "token": TOKEN, "provider": "APN", **changes}


async def registered(service: Service, **changes: Any) -> dict[str, Any]:
    """The registration after adding the device to it."""
    answer = await service.post("/DeviceRegistrations", new_device(**changes))
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = (await service.get(f"/DeviceRegistrations/{answer.json()['resourceId']}")).json()
    return found


async def problems_of(service: Service, **changes: Any) -> list[tuple[str, int]]:
    """Where a body is wrong, with the codes."""
    answer = await service.post("/DeviceRegistrations", new_device(**changes))
    assert answer.status_code == 400, answer.text
    return [(each["context"], each["code"]) for each in answer.json()["errors"]]


async def test_a_device_shows_what_its_app_said(service: Service) -> None:
    """All of it; the locale in the form of BCP 47."""
    await service.app_named()
    (device,) = (await registered(service, **FULL))["devices"]
    assert device == {
        **FULL,
        "token": TOKEN,
        "provider": "APN",
        "locale": "zh-Hant-TW",
        "state": "active",
        "registeredAt": "2027-01-15T08:00:00Z",
        "createdAt": "2027-01-15T08:00:00Z",
    }


@pytest.mark.parametrize("kind", [kind for kind in TokenKind if kind is not TokenKind.LIVE_ACTIVITY_UPDATE])
async def test_every_kind_of_token_registers(service: Service, kind: TokenKind) -> None:
    """OWN-32: Each of Apple's kinds (LIFE-3); only an update token has an activity."""
    await service.app_named()
    assert (await registered(service, kind=kind.value))["devices"][0]["kind"] == kind.value
    assert await problems_of(service, kind=kind.value, activityId="a") == [("$.activityId", 70003)]


async def test_an_update_token_needs_its_activity(service: Service) -> None:
    """It is of one Live Activity."""
    await service.app_named()
    assert await problems_of(service, kind="liveActivityUpdate") == [("$.activityId", 70004)]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("externalId", ["x", "x" * 255, "Zoë / 1", "日本"], ["", "x" * 256, "a\nb", "a\u200bb", "a\x7f"]),
        ("installationId", ["x", "x" * 128], ["", "x" * 129, "a\tb"]),
        ("appVersion", ["1", "1" * 64], ["", "1" * 65, "1\x00"]),
        (
            "locale",
            ["en", "en_GB", "zh-Hant-TW-u-ca-buddhist-hc-h23-ms-metric-rg-uszzzz", "a" * 8 + "-abcdefgh" * 13 + "-ab"],
            ["e", "en-", "en GB", "en_US@rg=x"],
        ),
        (
            "timeZone",
            ["UTC", "Europe/Berlin", "Etc/GMT+5", "America/Founded_Tomorrow", "GMT+0530", "GMT-0330"],
            ["", "Berlin", "../etc/passwd", "/UTC", "europe/berlin", "Mars/Olympus", "Europe/", "GMT+5:30", "UTC+0200"],
        ),
    ],
)
async def test_fields_are_bounded(service: Service, field: str, good: list[str], bad: list[str]) -> None:
    """At the edge and one past it; the field is named."""
    await service.app_named()
    for text in good:
        await registered(service, **{field: text})
    for text in bad:
        assert await problems_of(service, **{field: text}) == [(f"$.{field}", 70003)], text
    too_long = {"locale": "a" * 8 + "-abcdefgh" * 13 + "-abc", "timeZone": "A" * 65}.get(field)
    if too_long is not None:
        assert await problems_of(service, **{field: too_long}) == [(f"$.{field}", 70003)]


@pytest.mark.parametrize(("length", "good"), [(128, True), (129, False)])
async def test_an_activity_id_is_bounded(service: Service, length: int, good: bool) -> None:
    """1 to 128 characters."""
    await service.app_named()
    body = {"kind": "liveActivityUpdate", "activityId": "a" * length}
    if good:
        await registered(service, **body)
    else:
        assert await problems_of(service, **body) == [("$.activityId", 70003)]


async def test_all_problems_come_at_once(service: Service) -> None:
    """One answer names every wrong field."""
    await service.app_named()
    found = await problems_of(
        service, provider="FCM", token="a b", kind="voip", environment="sandbox", externalId="", installationId="\n",
        appVersion="", locale="?", timeZone="Nowhere", userId="bob",
    )  # fmt: skip
    assert {where for where, _ in found} == {
        f"$.{name}"
        for name in (
            "token", "kind", "environment", "externalId", "installationId", "appVersion", "locale", "timeZone", "userId"
        )
    }  # fmt: skip


async def test_an_installations_new_token_replaces_the_old_one(service: Service) -> None:
    """OWN-31: Re-installed, the app registers its new token; the old one is gone."""
    await service.app_named()
    first = await registered(service, installationId="i")
    second = await registered(service, installationId="i", token=OTHER)
    assert second["id"] == first["id"]
    assert [each["token"] for each in second["devices"]] == [OTHER]


async def test_a_token_of_another_app_is_refused_with_the_reason(service: Service) -> None:
    """OWN-29: 409: Apple gives one token to one app. Apps of one bundle id share."""
    await service.app_named("shop")
    await service.app_named("bank", content=token_content_of("com.example.bank"))
    await service.app_named("twin")
    await registered(service)
    refused = await service.post("/DeviceRegistrations", new_device(appName="bank"))
    body = refused.json()
    assert (refused.status_code, body["code"], body["errors"][0]["context"]) == (409, 70061, "$.token")
    for part in ("shop", "com.example.shop", "com.example.bank", "Apple"):
        assert part in body["detail"]
    await registered(service, appName="twin")


def token_content_of(bundle_id: str) -> dict[str, Any]:
    """A .p8 credential's content for a bundle id."""
    return token_content(bundleId=bundle_id)


async def test_another_account_neither_learns_nor_blocks_anything(service: Service) -> None:
    """The same token, the same external id, under whatever bundle id."""
    await service.app_named()
    await registered(service, externalId="alice")
    other = await service.tenant()
    async with other.client:
        await other.app_named(content=token_content_of("com.example.theirs"))
        made = await registered(other, externalId="alice")
        assert [each["token"] for each in made["devices"]] == [TOKEN]


# --- removing one device


def place(registration: dict[str, Any], token: str = TOKEN, query: str = "") -> str:
    return f"/DeviceRegistrations/{registration['id']}/devices/{quote(token, safe='')}{query}"


async def test_one_device_is_removed(service: Service) -> None:
    """OWN-30: The answer points at the registration, in which the others stay."""
    await service.app_named()
    made = await registered(service)
    made = await registered(service, userId=made["userId"], token=OTHER)
    answer = await service.delete(place(made, TOKEN.upper()))
    assert (answer.status_code, answer.json()["resourceId"]) == (202, made["id"])
    assert answer.headers["location"].endswith(f"/DeviceRegistrations/{made['id']}")
    left = (await service.get(f"/DeviceRegistrations/{made['id']}")).json()
    assert [each["token"] for each in left["devices"]] == [OTHER]
    assert (await service.delete(place(made))).status_code == 404


async def test_the_last_devices_removal_removes_the_registration(service: Service) -> None:
    """The address that is answered is then a 404, and the user is still there."""
    await service.app_named()
    made = await registered(service, token="fcm:t", provider="FCM")
    assert (await service.delete(place(made, "fcm:t"))).status_code == 202
    assert (await service.get(f"/DeviceRegistrations/{made['id']}")).status_code == 404
    assert (await service.get(f"/Users/{made['userId']}")).status_code == 200


async def test_one_kind_of_a_token_is_removed(service: Service) -> None:
    """`kind` narrows; without it all kinds of the token go."""
    await service.app_named()
    made = await registered(service)
    made = await registered(service, userId=made["userId"], kind="voip")
    assert (await service.delete(place(made, query="?kind=widgets"))).status_code == 404
    assert (await service.delete(place(made, query="?kind=voip"))).status_code == 202
    left = (await service.get(f"/DeviceRegistrations/{made['id']}")).json()
    assert [each["kind"] for each in left["devices"]] == ["alert"]
    wrong = await service.delete(place(made, query="?kind=phone"))
    assert (wrong.status_code, wrong.json()["errors"][0]["context"]) == (400, "query.kind")


async def test_what_is_not_there_cannot_be_removed(service: Service) -> None:
    """An unknown registration, another one's token, and what is no token: 404."""
    await service.app_named()
    made, other = await registered(service), await registered(service, token=OTHER)
    nowhere = {"id": ids.encode(ids.DEVICE_REGISTRATION, service.state.ids.new())}
    for registration, token in ((nowhere, TOKEN), ({"id": "x"}, TOKEN), (made, OTHER), (other, "zz"), (other, "a b")):
        assert (await service.delete(place(registration, token))).status_code == 404


# --- with a registration token


async def test_a_phone_may_not_name_users(service: Service) -> None:
    """Its token names the user; an external id could be anybody's."""
    await service.app_named()
    minted = await service.post("/RegistrationTokens", {"appName": "shop", "externalId": "alice"})
    headers = {"Authorization": f"Bearer {minted.json()['registrationToken']}"}
    async with service.client_of(headers) as phone:
        address = "/v1/PushNotifications/DeviceRegistrations"
        refused = await phone.post(address, json=new_device(externalId="bob"))
        assert (refused.status_code, refused.json()["errors"][0]["context"]) == (400, "$.externalId")
        made = await phone.post(address, json=new_device(installationId="i"))
        assert made.status_code == 202
    found = await service.get(f"/DeviceRegistrations/{made.json()['resourceId']}")
    assert found.json()["userId"] == minted.json()["userId"]


async def test_a_phone_removes_its_own_users_devices_only(service: Service) -> None:
    """Another user's registration is refused, an unknown one is a 404."""
    await service.app_named()
    stranger = await registered(service, token=OTHER)
    minted = await service.post("/RegistrationTokens", {"appName": "shop", "externalId": "alice"})
    made = await registered(service, userId=minted.json()["userId"])
    headers = {"Authorization": f"Bearer {minted.json()['registrationToken']}"}
    nowhere = {"id": ids.encode(ids.DEVICE_REGISTRATION, service.state.ids.new())}
    async with service.client_of(headers) as phone:
        for registration, token, status in ((stranger, OTHER, 403), (nowhere, TOKEN, 404), (made, TOKEN, 202)):
            answer = await phone.delete("/v1/PushNotifications" + place(registration, token))
            assert answer.status_code == status, answer.text
