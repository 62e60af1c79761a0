"""What all of the API has in common (docs/reference/push-api.md, section 2)."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from support.service import TOKEN, Service, basic, signing_key, token_content

pytestmark = pytest.mark.anyio

PATTERNS = {
    "notification": r"^comms_pushnotification_[0-7][a-hjkmnpqrstv-z0-9]{25,34}$",
    "operation": r"^comms_operation_[0-7][a-hjkmnpqrstv-z0-9]{25,34}$",
    "user": r"^comms_pushnotificationuser_[0-7][a-hjkmnpqrstv-z0-9]{25,34}$",
    "registration": r"^comms_device_registration_[a-hjkmnpqrstv-z0-9]{26,34}$",
    "credential": r"^comms_credential_[a-hjkmnpqrstv-z0-9]{26,34}$",
}
DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
SEND: dict[str, Any] = {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "Hello"}}


def keys_of(value: Any) -> set[str]:
    """Every key of every object within, but for what is keyed by the caller."""
    if isinstance(value, dict):
        return set(value).union(*(keys_of(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(keys_of(each) for each in value))
    return set()


async def test_basic_authentication_opens_the_account_of_the_key(service: Service) -> None:
    """TW-2, TW-3: the pair of an API key, and no account in the path."""
    key = await service.new_key()
    async with service.client_of(basic(*key)) as client:
        assert (await client.get("/v1/PushNotifications/Apps")).status_code == 200
    async with service.client_of(basic(key[0], "wrong")) as client:
        assert (await client.get("/v1/PushNotifications/Apps")).status_code == 401


async def test_the_pair_is_taken_as_a_bearer_token_too(service: Service) -> None:
    """OWN-1: `Bearer keyId.secret`."""
    key = await service.new_key()
    async with service.client_of({"Authorization": "Bearer " + ".".join(key)}) as client:
        assert (await client.get("/v1/PushNotifications/Apps")).status_code == 200


async def test_both_versions_serve_the_same(service: Service) -> None:
    """TW-4: `/v1` and `/preview`, each naming its own addresses."""
    for version in ("v1", "preview"):
        body = {"credentialType": "APN", "appName": version, "content": token_content()}
        made = await service.client.post(f"/{version}/PushNotifications/Credentials", json=body)
        assert made.status_code == 202
        assert f"/{version}/PushNotifications/Credentials/" in made.headers["location"]
        assert (await service.client.get(made.headers["location"])).json()["id"] == made.json()["resourceId"]


async def test_ids_have_the_documented_patterns(service: Service) -> None:
    """TW-5: all five kinds."""
    found = {"credential": await service.app_named(), "user": await service.user()}
    registrations = await service.get("/DeviceRegistrations", userId=found["user"])
    found["registration"] = registrations.json()["deviceRegistrations"][0]["id"]
    found["operation"] = (await service.post("", SEND)).json()["operationId"]
    found["notification"] = (await service.get("")).json()["pushNotifications"][0]["id"]
    for kind, ident in found.items():
        assert re.match(PATTERNS[kind], ident), (kind, ident)


@pytest.mark.parametrize(("name", "status"), [("a", 202), ("a" * 64, 202), ("a" * 65, 400), ("", 400), ("A", 400)])
async def test_an_apps_name_is_its_id(service: Service, name: str, status: int) -> None:
    """TW-6: 1 to 64 characters of a-z, 0-9 and _."""
    body = {"credentialType": "APN", "appName": name, "content": token_content()}
    assert (await service.post("/Credentials", body)).status_code == status
    if status == 202:
        assert (await service.get(f"/Apps/{name}")).json()["name"] == name


async def test_a_send_answers_with_a_pointer(service: Service) -> None:
    """TW-7, OWN-3: in the body, and the same in the headers."""
    await service.app_named()
    answer = await service.post("", SEND)
    body = answer.json()
    assert answer.status_code == 202
    assert set(body) == {"operationId", "operationLocation"}
    assert answer.headers["operation-id"] == body["operationId"]
    assert answer.headers["operation-location"] == answer.headers["location"] == body["operationLocation"]
    assert (await service.client.get(body["operationLocation"])).json()["id"] == body["operationId"]


async def test_every_other_write_answers_with_a_pointer(service: Service) -> None:
    """TW-8, TW-9, TW-1: creates, changes and deletes alike, in camelCase."""
    credential = await service.app_named()
    user = await service.user()
    (registration,) = (await service.get("/DeviceRegistrations", userId=user)).json()["deviceRegistrations"]
    root = "/v1/PushNotifications"
    register = {"appName": "shop", "token": "cd" * 32, "provider": "APN"}
    for method, path, body in (
        ("POST", "/DeviceRegistrations", register),
        ("POST", "/Credentials", {"credentialType": "APN", "appName": "shop", "content": token_content()}),
        ("PATCH", "/Apps/shop", {"isDefault": True}),
        ("PATCH", f"/Credentials/{credential}", {"isDefault": True}),
        ("DELETE", f"/DeviceRegistrations/{registration['id']}", None),
        ("DELETE", f"/Users/{user}", None),
        ("DELETE", f"/Credentials/{credential}", None),
    ):
        answer = await service.client.request(method, root + path, json=body)
        assert answer.status_code == 202, (method, path, answer.text)
        assert set(answer.json()) == {"resourceId", "resourceLocation"}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["location"] == answer.json()["resourceLocation"]


async def test_names_are_in_camel_case(service: Service) -> None:
    """TW-1: in every answer."""
    await service.app_named()
    user = await service.user()
    operation = (await service.post("", SEND)).json()["operationId"]
    for path in ("/Apps", "/Credentials", f"/DeviceRegistrations?userId={user}", "/Users", "", "/Operations"):
        answer = await service.client.get(f"/v1/PushNotifications{path}")
        assert all(re.fullmatch(r"[a-z][a-zA-Z]*", key) for key in keys_of(answer.json())), path
    assert (await service.get(f"/Operations/{operation}")).headers["content-type"] == "application/json"


async def test_nothing_is_accepted_before_it_is_checked(service: Service) -> None:
    """TW-10, TW-20: a send with several faults is refused with all of them, and leaves nothing behind."""
    await service.app_named()
    wrong = {"to": [{"token": "zz", "provider": "APN"}, {"provider": "APN"}], "content": {"body": "{{"}, "sound": ""}
    answer = await service.post("", {**wrong, "colour": "red"})
    assert answer.status_code == 400
    assert {"$.colour", "$.sound"} <= {each["context"] for each in answer.json()["errors"]}
    answer = await service.post("", {"to": wrong["to"], "content": {"body": "x"}})
    assert [each["context"] for each in answer.json()["errors"]] == ["$.to[0].token", "$.to[1].token"]
    assert (await service.get("/Operations")).json()["operations"] == []


async def test_at_most_twenty_problems_are_told(service: Service) -> None:
    """OWN-8: the first twenty, each with message, detail, context and pointer."""
    await service.app_named()
    answer = await service.post("", {"to": [{"token": "zz", "provider": "APN"}] * 30, "content": {"body": "x"}})
    body = answer.json()
    assert len(body["errors"]) == 20
    assert set(body) == {"type", "title", "status", "code", "detail", "message", "more_info", "errors"}
    assert set(body["errors"][0]) == {"code", "message", "detail", "context", "pointer"}


@pytest.mark.parametrize(("size", "status"), [(0, 400), (1, 200), (1000, 200), (1001, 400)])
async def test_page_sizes(service: Service, size: int, status: int) -> None:
    """TW-11: 1 to 1000."""
    assert (await service.get("/Apps", pageSize=size)).status_code == status


async def test_a_page_has_fifty_entries_by_default(service: Service) -> None:
    """TW-11, TW-12, TW-13: `next` leads on, `self` repeats, the last page's `next` is null."""
    await service.app_named()
    await service.post("", {"to": SEND["to"] * 51, "content": {"body": "x"}})
    first = (await service.get("")).json()
    assert len(first["pushNotifications"]) == 50
    rest = (await service.get("", pageToken=first["pagination"]["next"])).json()
    assert len(rest["pushNotifications"]) == 1
    assert rest["pagination"]["next"] is None
    again = (await service.get("", pageToken=rest["pagination"]["self"])).json()
    assert again["pushNotifications"] == rest["pushNotifications"]
    assert list((await service.get("/Operations")).json()) == ["operations", "pagination"]


async def test_lists_are_newest_first_under_their_own_keys(service: Service) -> None:
    """OWN-4, TW-13: the keys of all lists."""
    await service.app_named("old")
    service.clock.advance(1)
    await service.app_named("new")
    user = await service.user(app_name="new")
    apps = (await service.get("/Apps")).json()
    assert [app["name"] for app in apps["apps"]] == ["new", "old"]
    for path, key in (
        ("", "pushNotifications"),
        ("/Operations", "operations"),
        ("/Credentials", "credentials"),
        ("/Users", "users"),
        (f"/DeviceRegistrations?userId={user}", "deviceRegistrations"),
    ):
        assert set((await service.client.get(f"/v1/PushNotifications{path}")).json()) == {key, "pagination"}


async def test_a_page_token_carries_its_filters(service: Service) -> None:
    """OWN-5: alone it is enough, and another filter beside it is refused."""
    for name in ("a", "b", "c"):
        await service.app_named(name)
    first = (await service.get("/Credentials", pageSize=1, credentialType="APN")).json()
    token = first["pagination"]["next"]
    assert (await service.get("/Credentials", pageToken=token)).status_code == 200
    assert (await service.get("/Credentials", pageToken=token, credentialType="FCM")).status_code == 400


async def test_dates(service: Service) -> None:
    """TW-14, TW-15, OWN-6: answers in UTC to the second; filters take date-times and dates."""
    await service.app_named()
    (app,) = (await service.get("/Apps")).json()["apps"]
    made = app["createdAt"]
    assert re.match(DATE, made)
    day = made[:10]
    for query, found in (
        ({"startDate": made}, 1),
        ({"endDate": made}, 0),
        ({"startDate": day, "endDate": day}, 1),
        ({"startDate": day + "T00:00:00Z", "endDate": day + "T23:59:59+00:00"}, 1),
    ):
        assert len((await service.get("/Apps", **query)).json()["apps"]) == found, query
    assert (await service.get("/Apps", startDate="yesterday")).status_code == 400


async def test_literal_segments_win_over_ids(service: Service) -> None:
    """TW-24: the names of collections are no notification's id."""
    for name in ("Operations", "Apps", "Credentials", "Users"):
        assert (await service.get(f"/{name}")).status_code == 200
    assert (await service.get("/DeviceRegistrations")).json()["errors"][0]["context"] == "query.userId"
    assert (await service.get("/Nonsense")).status_code == 404


async def test_strangers_learn_nothing(service: Service) -> None:
    """OWN-2: 401 whether or not there is something; 403 when the key lacks the scope."""
    async with service.client_of({}) as client:
        answers = [await client.get(f"/v1/{path}") for path in ("PushNotifications/Apps", "Nonsense")]
    assert [each.status_code for each in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


async def test_nothing_is_ignored_silently(service: Service) -> None:
    """OWN-9: unknown fields and parameters are named."""
    answer = await service.post("/Credentials", {"credentialType": "APN", "content": {}, "colour": 1})
    assert "$.colour" in [each["context"] for each in answer.json()["errors"]]
    assert (await service.get("/Apps", colour="red")).json()["errors"][0]["context"] == "query.colour"


async def test_secrets_of_a_credential_are_never_shown(service: Service) -> None:
    """TW-52: neither in the answer to its upload nor when it is read."""
    pem = signing_key()
    body = {"credentialType": "APN", "appName": "shop", "content": token_content(signingKey=pem)}
    made = await service.post("/Credentials", body)
    shown = await service.get(f"/Credentials/{made.json()['resourceId']}")
    middle = pem.splitlines()[1]
    assert middle not in made.text + shown.text
    assert base64.b64encode(pem.encode()).decode() not in shown.text
