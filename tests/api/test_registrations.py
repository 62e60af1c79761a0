"""Device registrations."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.service import TOKEN, USER_PATTERN, Service

from heliogram.domain import ids

pytestmark = pytest.mark.anyio


def new_device(**changes: Any) -> dict[str, Any]:
    """A body that is accepted, but for the changes."""
    return {"appName": "shop", "token": TOKEN, "provider": "APN", **changes}


async def test_registering_answers_a_pointer_and_makes_a_user(service: Service) -> None:
    """TW-18, TW-64: The registration tells its user, its device and what it is related to."""
    await service.app_named()
    answer = await service.post("/DeviceRegistrations", new_device(environment="sandbox"))
    assert answer.status_code == 202
    ident = answer.json()["resourceId"]
    location = f"http://heliogram.test/v1/PushNotifications/DeviceRegistrations/{ident}"
    assert answer.json()["resourceLocation"] == answer.headers["location"] == location
    body = (await service.client.get(location)).json()
    user = body["userId"]
    assert re.fullmatch(USER_PATTERN, user)
    root = "http://heliogram.test/v1/PushNotifications"
    assert body == {
        "id": ident,
        "appName": "shop",
        "userId": user,
        "devices": [
            {
                "token": TOKEN,
                "provider": "APN",
                "kind": "alert",
                "environment": "sandbox",
                "state": "active",
                "registeredAt": "2027-01-15T08:00:00Z",
                "createdAt": "2027-01-15T08:00:00Z",
            }
        ],
        "related": [
            {"name": "user", "id": user, "uri": f"{root}/Users/{user}"},
            {"name": "app", "id": "shop", "uri": f"{root}/Apps/shop"},
        ],
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
    }


async def test_registering_again_is_harmless(service: Service) -> None:
    """TW-65, TW-68, OWN-27: The same token at every launch: one device, the same registration, a later registeredAt."""
    await service.app_named()
    user = await service.user()
    service.clock.advance(60)
    first = await service.post("/DeviceRegistrations", new_device(userId=user))
    second = await service.post("/DeviceRegistrations", new_device(userId=user, token=TOKEN.upper()))
    assert first.json() == second.json()
    devices = (await service.client.get(first.json()["resourceLocation"])).json()["devices"]
    assert [each["token"] for each in devices] == [TOKEN]
    assert devices[0]["registeredAt"] == "2027-01-15T08:01:00Z"


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("ab" * 8, True),
        ("ab" * 200, True),
        ("<" + "ABCD1234 " * 8 + ">", True),
        ("ab" * 7, False),
        ("ab" * 7 + "a", False),
        ("ab" * 200 + "a", False),
        ("ab" * 201, False),
        ("xy" * 32, False),
        ("", False),
    ],
)
async def test_apns_tokens_are_hexadecimal(service: Service, text: str, accepted: bool) -> None:
    """TW-31: 16 to 400 digits, an even number; the old description form is understood and stored plain (REQ-7)."""
    await service.app_named()
    answer = await service.post("/DeviceRegistrations", new_device(token=text))
    if accepted:
        stored = (await service.client.get(answer.json()["resourceLocation"])).json()["devices"][0]["token"]
        assert stored == text.lower().strip("<>").replace(" ", "")
    else:
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["context"] == "$.token"


async def test_fcm_devices_are_kept(service: Service) -> None:
    """FCM registrations are stored though nothing is sent to them yet."""
    await service.app_named()
    answer = await service.post("/DeviceRegistrations", new_device(token="fcm:Token_1", provider="FCM"))
    device = (await service.client.get(answer.json()["resourceLocation"])).json()["devices"][0]
    assert (device["token"], device["provider"]) == ("fcm:Token_1", "FCM")
    assert "environment" not in device


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"token": "zz"}, ["$.token"]),
        ({"provider": "WNS"}, ["$.provider"]),
        ({"userId": "bob"}, ["$.userId"]),
        ({"environment": "SANDBOX"}, ["$.environment"]),
        ({"token": "t", "provider": "FCM", "environment": "sandbox"}, ["$.environment"]),
        ({"appName": "Shop!", "token": "zz", "userId": "bob"}, ["$.appName", "$.token", "$.userId"]),
        ({"deviceName": "x"}, ["$.deviceName"]),
    ],
)
async def test_a_bad_device_is_refused_by_field(service: Service, changes: dict[str, str], expected: list[str]) -> None:
    """Every wrong field is named at once."""
    await service.app_named()
    answer = await service.post("/DeviceRegistrations", new_device(**changes))
    assert answer.status_code == 400
    assert [each["context"] for each in answer.json()["errors"]] == expected


async def test_an_unknown_app_or_user_is_a_404(service: Service) -> None:
    """TW-63, OWN-28: The app must exist, and so must a user that is named."""
    answer = await service.post("/DeviceRegistrations", new_device())
    assert (answer.status_code, answer.json()["code"]) == (404, 70020)
    assert answer.json()["errors"][0]["pointer"] == "#/appName"
    await service.app_named()
    nobody = ids.encode(ids.USER, service.state.ids.new())
    answer = await service.post("/DeviceRegistrations", new_device(userId=nobody))
    assert (answer.status_code, answer.json()["code"]) == (404, 70022)
    assert nobody in answer.json()["detail"]


async def test_registrations_are_listed_by_user(service: Service) -> None:
    """TW-67: `userId` is required where there is no `externalId`, `appName` narrows."""
    await service.app_named("shop")
    await service.app_named("bank")
    user = await service.user()
    await service.post("/DeviceRegistrations", new_device(appName="bank", userId=user, token="cd" * 32))
    await service.user("ef" * 32)
    both = (await service.get("/DeviceRegistrations", userId=user)).json()["deviceRegistrations"]
    assert sorted(each["appName"] for each in both) == ["bank", "shop"]
    one = (await service.get("/DeviceRegistrations", userId=user, appName="bank")).json()["deviceRegistrations"]
    assert [each["devices"][0]["token"] for each in one] == ["cd" * 32]
    missing = await service.get("/DeviceRegistrations")
    assert (missing.status_code, missing.json()["errors"][0]["context"]) == (400, "query.userId")
    assert (await service.get("/DeviceRegistrations", userId="bob")).status_code == 400
    nobody = ids.encode(ids.USER, service.state.ids.new())
    assert (await service.get("/DeviceRegistrations", userId=nobody)).json()["deviceRegistrations"] == []


async def test_deleting_a_registration_removes_all_its_devices(service: Service) -> None:
    """TW-66: The answer points at what was deleted; a second time it is not there."""
    await service.app_named()
    answer = await service.post("/DeviceRegistrations", new_device())
    ident = answer.json()["resourceId"]
    deleted = await service.delete(f"/DeviceRegistrations/{ident}")
    assert (deleted.status_code, deleted.json()) == (202, answer.json())
    assert (await service.get(f"/DeviceRegistrations/{ident}")).status_code == 404
    assert (await service.delete(f"/DeviceRegistrations/{ident}")).status_code == 404


@pytest.mark.parametrize("spelt", [TOKEN, TOKEN.upper(), f"<{TOKEN[:8]} {TOKEN[8:]}>"])
async def test_registrations_are_found_by_their_token(service: Service, spelt: str) -> None:
    """In any spelling that registering takes, with the user; a token that nobody has finds nothing."""
    await service.app_named()
    user = await service.user()
    found = (await service.get("/DeviceRegistrations", token=spelt)).json()["deviceRegistrations"]
    assert [(each["userId"], each["devices"][0]["token"]) for each in found] == [(user, TOKEN)]
    assert (await service.get("/DeviceRegistrations", token=spelt, appName="other")).json()["deviceRegistrations"] == []
    assert (await service.get("/DeviceRegistrations", token="cd" * 32)).json()["deviceRegistrations"] == []
    other = await service.tenant()
    assert (await other.get("/DeviceRegistrations", token=spelt)).json()["deviceRegistrations"] == []


@pytest.mark.parametrize(
    "wrong", [{"token": ""}, {"token": "a b c"}, {"token": TOKEN, "userId": "x"}, {"token": "a\0"}]
)
async def test_a_search_for_no_token_is_refused(service: Service, wrong: dict[str, str]) -> None:
    """What no token can be, and a token beside a user."""
    answer = await service.get("/DeviceRegistrations", **wrong)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"] == "query.token"
