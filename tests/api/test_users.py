"""Users: listed, read, named and deleted, by id or by external id."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from support.service import TOKEN, USER_PATTERN, Service

from heliogram.domain import ids

pytestmark = pytest.mark.anyio

OTHER = "cd" * 32


def by_name(name: str) -> str:
    """The path of the user with an external id."""
    return f"/Users/{quote(f'externalId:{name}', safe='')}"


async def registered(service: Service, token: str = TOKEN, **more: Any) -> str:
    """The id of the user whose device was registered."""
    body = {"appName": "shop", "token": token, "provider": "APN", **more}
    answer = await service.post("/DeviceRegistrations", body)
    assert answer.status_code == 202, answer.text
    found = await service.get(f"/DeviceRegistrations/{answer.json()['resourceId']}")
    ident: str = found.json()["userId"]
    return ident


async def patch(service: Service, path: str, body: Any) -> httpx2.Response:
    """`PATCH /v1/PushNotifications{path}`."""
    return await service.client.patch(f"/v1/PushNotifications{path}", json=body)


async def test_a_user_is_read_by_id_and_by_external_id(service: Service) -> None:
    """The same answer, with all its fields; null for what is not there."""
    await service.app_named()
    user = await registered(service, externalId="alice+1@example.com")
    assert re.fullmatch(USER_PATTERN, user)
    body = (await service.get(f"/Users/{user}")).json()
    assert body == {
        "id": user,
        "externalId": "alice+1@example.com",
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
        "deletedAt": None,
    }
    assert (await service.get(by_name("alice+1@example.com"))).json() == body
    nameless = await registered(service, OTHER)
    assert (await service.get(f"/Users/{nameless}")).json()["externalId"] is None


async def test_nobody_is_a_404(service: Service) -> None:
    """An unknown id, a text that is none, a name nobody has; for every method."""
    nobody = ids.encode(ids.USER, service.state.ids.new())
    for path in (f"/Users/{nobody}", "/Users/bob", by_name("bob"), by_name(""), "/Users/externalid:bob"):
        assert (await service.get(path)).status_code == 404
        assert (await service.delete(path)).status_code == 404
        assert (await patch(service, path, {"externalId": None})).status_code == 404


async def test_users_are_listed_in_pages(service: Service) -> None:
    """TW-70: Newest first; `externalId` finds the one that has it."""
    await service.app_named()
    users = []
    for number in range(3):
        service.clock.advance(1)
        users.append(await registered(service, f"{number:02x}" * 32, externalId=f"u/{number}"))
    first = (await service.get("/Users", pageSize=2)).json()
    assert [each["id"] for each in first["users"]] == users[:0:-1]
    rest = (await service.get("/Users", pageToken=first["pagination"]["next"], pageSize=2)).json()
    assert [each["id"] for each in rest["users"]] == users[:1]
    assert rest["pagination"]["next"] is None
    named = (await service.get("/Users", externalId="u/1")).json()
    assert [each["id"] for each in named["users"]] == [users[1]]
    assert (await service.get("/Users", externalId="u/9")).json()["users"] == []


async def test_an_external_id_is_usable_where_a_user_id_is(service: Service) -> None:
    """OWN-12: Registering and listing registrations; not both, and not neither."""
    await service.app_named()
    user = await registered(service, externalId="alice")
    assert await registered(service, OTHER, externalId="alice") == user
    assert await registered(service, OTHER, externalId="alice", userId=user) == user
    listed = (await service.get("/DeviceRegistrations", externalId="alice")).json()["deviceRegistrations"]
    assert [len(each["devices"]) for each in listed] == [2]
    assert listed == (await service.get("/DeviceRegistrations", userId=user)).json()["deviceRegistrations"]
    assert (await service.get("/DeviceRegistrations", externalId="bob")).json()["deviceRegistrations"] == []
    both = await service.get("/DeviceRegistrations", externalId="alice", userId=user)
    assert (both.status_code, both.json()["errors"][0]["context"]) == (400, "query.externalId")


async def test_a_name_that_another_user_has_is_refused(service: Service) -> None:
    """409 with its code, when registering and when naming."""
    await service.app_named()
    await registered(service, externalId="alice")
    bob = await registered(service, OTHER, externalId="bob")
    body = {"appName": "shop", "token": OTHER, "provider": "APN", "userId": bob, "externalId": "alice"}
    for answer in (
        await service.post("/DeviceRegistrations", body),
        await patch(service, f"/Users/{bob}", {"externalId": "alice"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, 70062)
        assert answer.json()["errors"][0]["context"] == "$.externalId"


async def test_a_user_is_named_and_unnamed(service: Service) -> None:
    """The answer points at the user by id; null takes the name away."""
    await service.app_named()
    user = await registered(service)
    service.clock.advance(60)
    answer = await patch(service, f"/Users/{user}", {"externalId": "alice"})
    assert (answer.status_code, answer.json()["resourceId"]) == (202, user)
    assert answer.headers["location"] == answer.json()["resourceLocation"]
    body = (await service.get(by_name("alice"))).json()
    assert (body["id"], body["updatedAt"]) == (user, "2027-01-15T08:01:00Z")
    assert (await patch(service, by_name("alice"), {"externalId": "al"})).status_code == 202
    assert (await patch(service, by_name("al"), {"externalId": None})).json()["resourceId"] == user
    assert (await service.get(by_name("al"))).status_code == 404
    assert (await service.get(f"/Users/{user}")).json()["externalId"] is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 70004),
        ({"externalId": ""}, 70003),
        ({"externalId": "x" * 256}, 70003),
        ({"externalId": "a\u2028b"}, 70003),
        ({"externalId": 7}, 70003),
    ],
)
async def test_a_bad_name_is_refused(service: Service, body: dict[str, Any], code: int) -> None:
    """The field is named; 255 characters are the most."""
    await service.app_named()
    user = await registered(service)
    answer = await patch(service, f"/Users/{user}", body)
    assert answer.status_code == 400
    assert [(each["context"], each["code"]) for each in answer.json()["errors"]] == [("$.externalId", code)]
    assert (await patch(service, f"/Users/{user}", {"externalId": "x" * 255})).status_code == 202


async def test_a_deleted_user_gets_nothing_and_stays_readable(service: Service) -> None:
    """OWN-34, TW-70: Its registrations go, sends to it are a 404, its id still answers, its name is free."""
    await service.app_named()
    user = await registered(service, externalId="alice")
    service.clock.advance(60)
    answer = await service.delete(by_name("alice"))
    assert (answer.status_code, answer.json()["resourceId"]) == (202, user)
    body = (await service.get(f"/Users/{user}")).json()
    assert (body["deletedAt"], body["externalId"]) == ("2027-01-15T08:01:00Z", "alice")
    assert [each["deletedAt"] for each in (await service.get("/Users")).json()["users"]] == ["2027-01-15T08:01:00Z"]
    assert (await service.get("/DeviceRegistrations", userId=user)).json()["deviceRegistrations"] == []
    sent = await service.post("", {"to": [{"userId": user}], "content": {"body": "x"}})
    assert (sent.status_code, sent.json()["code"]) == (404, 70022)
    for path in (f"/Users/{user}", by_name("alice")):
        assert (await service.delete(path)).status_code == 404
    assert (await patch(service, f"/Users/{user}", {"externalId": "a"})).status_code == 404
    refused = await service.post(
        "/DeviceRegistrations", {"appName": "shop", "token": TOKEN, "provider": "APN", "userId": user}
    )
    assert (refused.status_code, refused.json()["code"]) == (404, 70022)
    assert await registered(service, externalId="alice") != user


async def test_another_account_finds_nobody(service: Service) -> None:
    """Neither by id nor by name, and its own users may have the same names."""
    await service.app_named()
    user = await registered(service, externalId="alice")
    other = await service.tenant()
    async with other.client:
        for path in (f"/Users/{user}", by_name("alice")):
            assert (await other.get(path)).status_code == 404
            assert (await other.delete(path)).status_code == 404
            assert (await patch(other, path, {"externalId": "x"})).status_code == 404
        assert (await other.get("/Users")).json()["users"] == []
        assert (await other.get("/DeviceRegistrations", externalId="alice")).json()["deviceRegistrations"] == []
        await other.app_named()
        assert await registered(other, externalId="alice") != user
    assert (await service.get(f"/Users/{user}")).json()["deletedAt"] is None


@pytest.mark.parametrize("name", ["\0", "a\0b"])
async def test_a_name_with_a_nul_is_nobodys(service: Service, name: str) -> None:
    """In a path, a filter, or a send: what finds nobody for a name that nobody has."""
    await service.app_named()
    to = [{"externalId": name}]
    assert (await service.post("", {"to": to, "content": {"body": "x"}})).json()["code"] == 70022
    assert (await service.get(by_name(name))).status_code == 404
    assert (await patch(service, by_name(name), {"externalId": "x"})).status_code == 404
    for path, key in (("", "pushNotifications"), ("/DeviceRegistrations", "deviceRegistrations"), ("/Users", "users")):
        assert (await service.get(path, externalId=name)).json()[key] == []
    assert (await service.get("/Credentials", appName=name)).json()["credentials"] == []
    assert (await service.client.get("/v1/AuditEvents", params={"action": name})).json()["auditEvents"] == []


@pytest.mark.parametrize("path", ["", "/DeviceRegistrations", "/Users"])
async def test_a_filter_longer_than_any_name_is_refused(service: Service, path: str) -> None:
    """The longest name makes page tokens that are taken; one character more is a 400."""
    longest = "\U0001f600" * 255
    answer = await service.get(path, externalId=longest)
    assert (await service.get(path, pageToken=answer.json()["pagination"]["self"])).json() == answer.json()
    refused = await service.get(path, externalId=longest + "a")
    assert refused.json()["errors"][0]["context"] == "query.externalId"
