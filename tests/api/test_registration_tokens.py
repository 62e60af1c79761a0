"""Registration tokens: what a phone may do with one, and what it may not."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
from support.service import TOKEN, Service, basic, token_content

from heliogram.api import ENDPOINTS
from heliogram.domain import ids
from heliogram.domain.accounts import Scope

pytestmark = pytest.mark.anyio

DEVICES = "/v1/PushNotifications/DeviceRegistrations"
FOR_PHONES = {
    ("POST", "/PushNotifications/DeviceRegistrations"),
    ("DELETE", "/PushNotifications/DeviceRegistrations/{deviceRegistrationId}/devices/{token}"),
}
OTHERS = [each for each in ENDPOINTS if not each.public and (each.method, each.path) not in FOR_PHONES]


async def minted(service: Service, **body: Any) -> dict[str, Any]:
    """A registration token's answer."""
    answer = await service.post("/RegistrationTokens", {"appName": "shop", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def phone(service: Service, token: str) -> httpx2.AsyncClient:
    """A client that holds nothing but the token."""
    return service.client_of({"Authorization": f"Bearer {token}"})


def device(**changes: Any) -> dict[str, Any]:
    return {"appName": "shop", "token": TOKEN, "provider": "APN", **changes}


async def registration(service: Service, answer: httpx2.Response) -> dict[str, Any]:
    """What a registering answer points at, as the back end reads it."""
    assert answer.status_code == 202, answer.text
    read: dict[str, Any] = (await service.get(f"/DeviceRegistrations/{answer.json()['resourceId']}")).json()
    return read


@pytest.mark.parametrize("way", ["bearer", "basic"])
async def test_a_phone_registers_itself(service: Service, way: str) -> None:
    """OWN-37: For the token's user, with the token as Bearer or as the password of `registration`."""
    await service.app_named()
    user = await service.user("cd" * 32)
    made = await minted(service, userId=user)
    assert (made["userId"], made["appName"], made["expiresAt"]) == (user, "shop", "2027-01-15T09:00:00Z")
    token = made["registrationToken"]
    headers = basic("registration", token) if way == "basic" else {"Authorization": f"Bearer {token}"}
    async with service.client_of(headers) as client:
        for more in ({}, {"userId": user}):
            read = await registration(service, await client.post(DEVICES, json=device(**more)))
            assert read["userId"] == user
    assert {each["token"] for each in read["devices"]} == {TOKEN, "cd" * 32}


async def test_the_answer_may_not_be_stored(service: Service) -> None:
    """It holds what opens."""
    await service.app_named()
    answer = await service.post("/RegistrationTokens", {"appName": "shop", "externalId": "u-1"})
    assert answer.headers["cache-control"] == "no-store"


async def test_an_external_id_finds_or_makes_the_user(service: Service) -> None:
    """The back end needs no table of ids: the same name is the same user."""
    await service.app_named()
    first, second = [await minted(service, externalId="u-1") for _ in range(2)]
    assert first["userId"] == second["userId"]
    async with phone(service, first["registrationToken"]) as client:
        read = await registration(service, await client.post(DEVICES, json=device()))
    assert read["userId"] == first["userId"]


@pytest.mark.parametrize("other", ["user", "app"])
async def test_another_user_or_app_is_forbidden(service: Service, other: str) -> None:
    """403 with what to do, and nothing is registered."""
    await service.app_named("shop")
    await service.app_named("news")
    stranger = await service.user("cd" * 32)
    token = (await minted(service, externalId="u-1"))["registrationToken"]
    body = device(userId=stranger) if other == "user" else device(appName="news")
    async with phone(service, token) as client:
        answer = await client.post(DEVICES, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, 20403)
    assert "registration token is for another" in answer.json()["detail"]
    listed = await service.get("/DeviceRegistrations", userId=stranger)
    assert TOKEN not in listed.text


async def test_a_phone_is_not_told_of_other_apps(service: Service) -> None:
    """That a token is another app's is a 409 for both; which app that is only the back end learns."""
    await service.app_named()
    await service.app_named("bank", content=token_content(bundleId="com.example.bank"))
    await service.user(app_name="bank")
    body = device()
    told = await service.client.post(DEVICES, json=body)
    async with phone(service, (await minted(service, externalId="anna"))["registrationToken"]) as client:
        answer = await client.post(DEVICES, json=body)
    for each in (told, answer):
        assert (each.status_code, each.json()["code"], each.json()["errors"][0]["context"]) == (409, 70061, "$.token")
    assert "'bank'" in told.text
    assert "com.example.bank" in told.text
    assert "bank" not in answer.text
    assert "com.example" not in answer.text
    assert answer.json()["detail"].startswith("This device token is registered under another app: register the token")


async def test_a_phone_removes_its_own_device(service: Service) -> None:
    """And no other user's."""
    await service.app_named()
    token = (await minted(service, externalId="u-1"))["registrationToken"]
    foreign = await service.post("/DeviceRegistrations", device(token="cd" * 32))
    async with phone(service, token) as client:
        own = (await client.post(DEVICES, json=device())).json()["resourceId"]
        assert (await client.delete(f"{DEVICES}/{own}/devices/{TOKEN}")).status_code == 202
        refused = await client.delete(f"{DEVICES}/{foreign.json()['resourceId']}/devices/{'cd' * 32}")
        assert refused.status_code in (403, 404)
    assert (await service.get(f"/DeviceRegistrations/{foreign.json()['resourceId']}")).status_code == 200


@pytest.mark.parametrize("prefix", ["/v1", "/preview"])
async def test_a_phone_can_do_nothing_else(service: Service, prefix: str) -> None:
    """OWN-37: Every other endpoint is 403, and so are paths that do not exist."""
    await service.app_named()
    token = (await minted(service, externalId="u-1"))["registrationToken"]
    async with phone(service, token) as client:
        answers = [
            await client.request(each.method, prefix + re.sub(r"{\w+}", "shop", each.path), content=b"{}")
            for each in OTHERS
        ]
        answers.append(await client.get(f"{prefix}/Nothing"))
        answers.append(await client.patch(f"{prefix}/PushNotifications/DeviceRegistrations"))
    assert {(each.status_code, each.json()["code"]) for each in answers} == {(403, 20403)}
    assert all("registration token" in each.json()["detail"] for each in answers)


async def test_a_token_ends_after_its_time(service: Service) -> None:
    """Then it is 401 like anything else that is no key."""
    await service.app_named()
    token = (await minted(service, externalId="u-1", expiresIn=60))["registrationToken"]
    async with phone(service, token) as client:
        service.clock.advance(59.9)
        assert (await client.post(DEVICES, json=device())).status_code == 202
        service.clock.advance(0.1)
        assert (await client.post(DEVICES, json=device())).status_code == 401


async def test_a_token_ends_with_the_key_that_made_it(service: Service) -> None:
    """Within a second of the key's revocation."""
    await service.app_named()
    key = await service.new_key(Scope.REGISTER)
    async with service.client_of(basic(*key)) as back_end:
        answer = await back_end.post(
            "/v1/PushNotifications/RegistrationTokens", json={"appName": "shop", "externalId": "u-1"}
        )
    async with phone(service, answer.json()["registrationToken"]) as client:
        assert (await client.post(DEVICES, json=device())).status_code == 202
        await service.client.delete(f"/v1/ApiKeys/{key[0]}")
        service.clock.advance(1)
        assert (await client.post(DEVICES, json=device())).status_code == 401


async def test_a_token_for_a_user_that_was_deleted_registers_nothing(service: Service) -> None:
    """The user is gone, and does not come back."""
    await service.app_named()
    made = await minted(service, externalId="u-1")
    assert (await service.delete(f"/Users/{made['userId']}")).status_code == 202
    async with phone(service, made["registrationToken"]) as client:
        assert (await client.post(DEVICES, json=device())).status_code == 404


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, "$.userId"),
        ({"userId": "x"}, "$.userId"),
        ({"userId": "x", "externalId": "u"}, "$.userId"),
        ({"externalId": ""}, "$.externalId"),
        ({"externalId": "u" * 256}, "$.externalId"),
        ({"externalId": "a\nb"}, "$.externalId"),
        ({"externalId": "u", "expiresIn": 59}, "$.expiresIn"),
        ({"externalId": "u", "expiresIn": 86_401}, "$.expiresIn"),
        ({"externalId": "u", "appName": "Shop!"}, "$.appName"),
        ({"externalId": "u", "scope": "read"}, "$.scope"),
    ],
)
async def test_what_cannot_be_granted_is_refused_by_field(service: Service, changes: dict[str, Any], path: str) -> None:
    """Each bound one past its edge."""
    answer = await service.post("/RegistrationTokens", {"appName": "shop", **changes})
    assert answer.status_code == 400
    assert [error["context"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("changes", [{"expiresIn": 60}, {"expiresIn": 86_400}, {"externalId": "u" * 255}])
async def test_the_edges_are_granted(service: Service, changes: dict[str, Any]) -> None:
    """A minute, a day, the longest external id."""
    await service.app_named()
    await minted(service, **{"externalId": "u", **changes})


async def test_an_unknown_app_or_user_is_a_404(service: Service) -> None:
    """Each with its own code; a foreign user is an unknown one."""
    await service.app_named()
    other = await service.tenant()
    async with other.client:
        await other.app_named()
        foreign = await other.user()
    for user in (foreign, ids.encode(ids.USER, service.state.ids.new())):
        answer = await service.post("/RegistrationTokens", {"appName": "shop", "userId": user})
        assert (answer.status_code, answer.json()["code"]) == (404, 70022)
    answer = await service.post("/RegistrationTokens", {"appName": "news", "externalId": "u"})
    assert (answer.status_code, answer.json()["code"]) == (404, 70020)
