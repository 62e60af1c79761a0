"""What happened to devices, as the API tells it."""

from __future__ import annotations

from typing import Any

import pytest
from support.service import TOKEN, Service, basic

from heliogram.domain.accounts import Scope
from heliogram.domain.apps import ProviderName
from heliogram.domain.history import TokenRefusal

pytestmark = pytest.mark.anyio

OTHER = "cd" * 32
GONE = TokenRefusal(410, 1_799_000_000_000)


async def history(service: Service, **query: Any) -> list[dict[str, Any]]:
    """What is told, newest first."""
    answer = await service.get("/DeviceHistory", **query)
    assert answer.status_code == 200, answer.text
    told: list[dict[str, Any]] = answer.json()["deviceHistory"]
    return told


async def die(service: Service, token: str) -> None:
    """The provider calls a token dead, later than it was registered."""
    service.clock.advance(60)
    where = service.account, "shop", ProviderName.APN, bytes.fromhex(token)
    dead = service.clock.ms
    assert await service.store.remove_device(*where, dead_since=dead, reason="Unregistered", refusal=GONE)


async def test_a_phone_that_is_gone_is_told_by_user_and_by_token(service: Service) -> None:
    """OWN-42: After its registration has gone, with what APNs said and when the app had handed the token over; no token
    stands in it."""
    await service.app_named()
    user = await service.user()
    await die(service, TOKEN)
    (entry,) = await history(service, userId=user)
    assert entry == {
        "at": "2027-01-15T08:01:00.000Z",
        "event": "REMOVED",
        "appName": "shop",
        "userId": user,
        "token": f"{TOKEN[:4]}…{TOKEN[-4:]}",
        "provider": "APN",
        "kind": "alert",
        "reason": "Unregistered",
        "status": 410,
        "invalidSince": "2027-01-03T18:13:20Z",
        "firstRegisteredAt": "2027-01-15T08:00:00Z",
        "lastRegisteredAt": "2027-01-15T08:00:00Z",
    }
    assert await history(service, token=f"<{TOKEN.upper()}>") == [entry]
    assert await history(service, token=OTHER) == []


async def test_a_launch_that_renews_is_no_entry(service: Service) -> None:
    """OWN-42: Of a device that is there it is told when it was first registered, and what became of it since."""
    await service.app_named()
    body = {"appName": "shop", "token": TOKEN, "provider": "APN", "externalId": "ada", "installationId": "phone"}
    for _ in range(3):
        await service.post("/DeviceRegistrations", body)
        service.clock.advance(60)
    assert [each["event"] for each in await history(service, externalId="ada")] == ["REGISTERED"]
    await service.post("/DeviceRegistrations", {**body, "token": OTHER})
    told = await history(service, externalId="ada", appName="shop")
    assert [(each["event"], each["token"], each.get("newToken")) for each in told] == [
        ("REGISTERED", "cdcd…cdcd", None),
        ("TOKEN_CHANGED", f"{TOKEN[:4]}…{TOKEN[-4:]}", "cdcd…cdcd"),
    ]
    assert await history(service, externalId="nobody") == await history(service, externalId="ada", appName="x") == []


async def test_it_is_told_in_pages(service: Service) -> None:
    """OWN-42: As every list is; the token of a page carries whose history it is."""
    await service.app_named()
    user = await service.user()
    await die(service, TOKEN)
    service.clock.advance(60)
    await service.post("/DeviceRegistrations", {"appName": "shop", "token": OTHER, "provider": "APN", "userId": user})
    first = (await service.get("/DeviceHistory", userId=user, pageSize=1)).json()
    second = (await service.get("/DeviceHistory", pageToken=first["pagination"]["next"], pageSize=1)).json()
    events = [each["event"] for page in (first, second) for each in page["deviceHistory"]]
    assert (events, second["pagination"]["next"]) == (["REGISTERED", "REMOVED"], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "userId"),
        ({"userId": "x"}, "query.userId"),
        ({"token": "x y"}, "token"),
        ({"token": TOKEN, "externalId": "ada"}, "token"),
        ({"userId": "u", "externalId": "ada"}, "externalId"),
    ],
)
async def test_it_has_to_be_said_whose(service: Service, query: dict[str, str], field: str) -> None:
    """One of userId, externalId and token, and each as it should be."""
    answer = await service.get("/DeviceHistory", **query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"].endswith(field)


async def test_nobody_else_sees_it(service: Service) -> None:
    """Neither another account nor a key that may not read; and nothing is left of a deleted user."""
    await service.app_named()
    user = await service.user()
    await die(service, TOKEN)
    other = await service.tenant()
    assert await history(other, userId=user) == await history(other, token=TOKEN) == []
    phone = service.client_of(basic(*await service.new_key(Scope.REGISTER)))
    assert (await phone.get("/v1/PushNotifications/DeviceHistory", params={"userId": user})).status_code == 403
    assert len(await history(service, userId=user)) == 1
    await service.delete(f"/Users/{user}")
    assert await history(service, userId=user) == await history(service, token=TOKEN) == []
