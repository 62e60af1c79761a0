"""API keys over the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from support.service import Service, basic

from heliogram.domain import ids
from heliogram.domain.accounts import MAX_GRACE_SECONDS, MAX_KEYS, Scope

pytestmark = pytest.mark.anyio


async def made(service: Service, **body: Any) -> dict[str, Any]:
    """A new key's answer."""
    answer = await service.client.post("/v1/ApiKeys", json={"scopes": ["read"], **body})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def rotated(service: Service, key_id: str, **body: Any) -> httpx2.Response:
    return await service.client.post(f"/v1/ApiKeys/{key_id}/rotate", json=body)


async def lets_in(service: Service, key: dict[str, Any]) -> bool:
    """Whether a key with its secret opens the list of apps."""
    async with service.client_of(basic(key["id"], key["secret"])) as client:
        return (await client.get("/v1/PushNotifications/Apps")).status_code == 200


async def test_a_key_is_made_with_its_scopes_and_end(service: Service) -> None:
    """Its secret is in this answer, which nobody may store, and in no later one."""
    answer = await service.client.post(
        "/v1/ApiKeys",
        json={"name": "shop", "scopes": ["send", "read", "send"], "expiresAt": "2027-03-01T00:00:00+01:00"},
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    body = answer.json()
    secret = body.pop("secret")
    assert answer.headers["location"] == f"http://heliogram.test/v1/ApiKeys/{body['id']}"
    assert (body["name"], body["scopes"], body["state"]) == ("shop", ["send", "read"], "active")
    assert (body["expiresAt"], body["lastUsedAt"], body["revokedAt"]) == ("2027-02-28T23:00:00Z", None, None)
    read = await service.client.get(answer.headers["location"])
    assert read.json() == body
    assert secret not in (await service.client.get("/v1/ApiKeys")).text
    assert await lets_in(service, {**body, "secret": secret})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.scopes"),
        ({"scopes": []}, "$.scopes"),
        ({"scopes": ["read"] * (len(Scope) + 1)}, "$.scopes"),
        ({"scopes": ["everything"]}, "$.scopes[0]"),
        ({"scopes": ["read"], "name": "n" * 257}, "$.name"),
        ({"scopes": ["read"], "name": "a\0b"}, "$.name"),
        ({"scopes": ["read"], "expiresAt": "tomorrow"}, "$.expiresAt"),
        ({"scopes": ["read"], "expiresAt": "2027-01-15T08:00:00Z"}, "$.expiresAt"),
        ({"scopes": ["read"], "expiresAt": "0001-01-01T00:00:00+23:59"}, "$.expiresAt"),
        ({"scopes": ["read"], "expiresAt": "9999-12-31T23:59:59-23:59"}, "$.expiresAt"),
        ({"scopes": ["read"], "secret": "mine"}, "$.secret"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_by_field(service: Service, body: dict[str, Any], path: str) -> None:
    """Nothing is made, and the answer says which field is wrong."""
    answer = await service.client.post("/v1/ApiKeys", json=body)
    assert answer.status_code == 400
    assert [error["context"] for error in answer.json()["errors"]] == [path]
    assert len((await service.client.get("/v1/ApiKeys")).json()["apiKeys"]) == 1


async def test_a_name_of_256_characters_and_an_end_a_second_ahead_will_do(service: Service) -> None:
    """The edges."""
    await made(service, name="n" * 256, expiresAt="2027-01-15T08:00:01Z")


async def test_an_expired_key_lets_nobody_in(service: Service) -> None:
    """From its end on it is refused like a revoked one, and says so in the list."""
    key = await made(service, expiresAt="2027-01-15T08:00:10Z")
    service.clock.advance(9.9)
    assert await lets_in(service, key)
    service.clock.advance(0.1)
    assert not await lets_in(service, key)
    assert (await service.client.get(f"/v1/ApiKeys/{key['id']}")).json()["state"] == "expired"


async def test_a_revoked_key_lets_nobody_in_and_stays_listed(service: Service) -> None:
    """Revoking it again changes nothing."""
    key = await made(service)
    assert await lets_in(service, key)
    for _ in range(2):
        answer = await service.client.delete(f"/v1/ApiKeys/{key['id']}")
        assert (answer.status_code, answer.json()["resourceId"]) == (202, key["id"])
        assert answer.json()["resourceLocation"] == f"http://heliogram.test/v1/ApiKeys/{key['id']}"
        service.clock.advance(1)
    assert not await lets_in(service, key)
    read = (await service.client.get(f"/v1/ApiKeys/{key['id']}")).json()
    assert (read["state"], read["revokedAt"]) == ("revoked", "2027-01-15T08:00:00Z")


async def test_rotation_has_no_moment_without_a_good_key(service: Service) -> None:
    """Old and new are good during the grace, then the new one alone."""
    old = await made(service, name="shop", scopes=["read", "send"])
    answer = await rotated(service, old["id"], graceSeconds=60)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    new = answer.json()
    assert (new["name"], new["scopes"], new["expiresAt"]) == ("shop", ["send", "read"], None)
    service.clock.advance(59.9)
    assert await lets_in(service, old)
    assert await lets_in(service, new)
    service.clock.advance(0.1)
    assert not await lets_in(service, old)
    assert await lets_in(service, new)


async def test_the_grace_is_a_day_unless_it_is_said(service: Service) -> None:
    """And none at all with 0 seconds."""
    first, second = await made(service), await made(service)
    await rotated(service, first["id"])
    await rotated(service, second["id"], graceSeconds=0)
    read = [(await service.client.get(f"/v1/ApiKeys/{key['id']}")).json() for key in (first, second)]
    assert [each["expiresAt"] for each in read] == ["2027-01-16T08:00:00Z", "2027-01-15T08:00:00Z"]
    assert not await lets_in(service, second)


async def test_a_successor_lives_as_long_as_the_key_was_made_to(service: Service) -> None:
    """However often it is rotated, and although a rotation moves the old key's end."""
    old = await made(service, expiresAt="2027-01-16T08:00:00Z")
    service.clock.advance(3600)
    for _ in range(2):
        new = (await rotated(service, old["id"], graceSeconds=60)).json()
        assert new["expiresAt"] == "2027-01-16T09:00:00Z"


async def test_the_successor_of_a_key_made_for_ever_ends_when_dates_do(service: Service) -> None:
    """Rotated, it would live past the year 9999, which no answer can say."""
    old = await made(service, expiresAt="9999-12-31T23:59:59Z")
    service.clock.advance(10)
    answer = await service.client.post(f"/v1/ApiKeys/{old['id']}/rotate", json={})
    assert (answer.status_code, answer.json()["expiresAt"]) == (201, "9999-12-31T23:59:59Z")


@pytest.mark.parametrize(
    ("seconds", "status"), [(-1, 400), (0, 201), (MAX_GRACE_SECONDS, 201), (MAX_GRACE_SECONDS + 1, 400)]
)
async def test_the_grace_is_at_most_30_days(service: Service, seconds: int, status: int) -> None:
    """Both edges."""
    key = await made(service)
    assert (await rotated(service, key["id"], graceSeconds=seconds)).status_code == status


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_an_ended_key_is_not_rotated(service: Service, how: str) -> None:
    """409 with its own code."""
    key = await made(service, expiresAt="2027-01-15T08:00:10Z")
    if how == "revoked":
        await service.client.delete(f"/v1/ApiKeys/{key['id']}")
    else:
        service.clock.advance(10)
    answer = await rotated(service, key["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, 70111)


async def test_the_last_admin_key_is_not_revoked_over_the_api(service: Service) -> None:
    """409 says to make another or to use the command line; with another one it goes."""
    refused = await service.client.delete(f"/v1/ApiKeys/{service.key[0]}")
    assert (refused.status_code, refused.json()["code"]) == (409, 70110)
    assert "heliogram api-keys revoke" in refused.json()["detail"]
    other = await made(service, scopes=["admin"])
    assert (await service.client.delete(f"/v1/ApiKeys/{service.key[0]}")).status_code == 202
    service.clock.advance(1)
    assert await lets_in(service, other)


async def test_a_hundred_keys_may_be_active(service: Service) -> None:
    """The 101st is refused with the code of that limit."""
    await asyncio.gather(*(made(service) for _ in range(MAX_KEYS - 1)))
    refused = await service.client.post("/v1/ApiKeys", json={"scopes": ["read"]})
    assert (refused.status_code, refused.json()["code"]) == (400, 70043)
    assert (await service.client.get("/v1/Account")).json()["counts"]["apiKeys"] == MAX_KEYS


async def test_last_use_is_shown(service: Service) -> None:
    """To the minute."""
    key = await made(service)
    await lets_in(service, key)
    read = await service.client.get(f"/v1/ApiKeys/{key['id']}")
    while read.json()["lastUsedAt"] is None:  # it is written beside the requests
        read = await service.client.get(f"/v1/ApiKeys/{key['id']}")
    assert read.json()["lastUsedAt"] == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize("call", ["get", "delete", "rotate"])
async def test_a_foreign_key_is_not_found(service: Service, call: str) -> None:
    """Another account's key looks exactly like one that is not there."""
    other = await service.tenant()
    bodies = []
    for ident in (other.key[0], ids.encode(ids.API_KEY, service.state.ids.new()), "nonsense"):
        path = f"/v1/ApiKeys/{ident}"
        if call == "rotate":
            answer = await service.client.post(path + "/rotate", json={})
        else:
            answer = await service.client.request(call.upper(), path)
        assert answer.status_code == 404
        bodies.append(answer.text.replace(ident, "…"))
    assert len(set(bodies)) == 1
    async with other.client:
        assert (await other.client.get("/v1/Account")).status_code == 200


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
async def test_only_an_admin_makes_keys(service: Service, scope: Scope) -> None:
    """So no key grants more than it may itself."""
    key = await service.new_key(scope)
    async with service.client_of(basic(*key)) as client:
        for path, body in (("/v1/ApiKeys", {"scopes": [scope]}), (f"/v1/ApiKeys/{key[0]}/rotate", {})):
            assert (await client.post(path, json=body)).status_code == 403


async def test_every_change_is_recorded(service: Service) -> None:
    """Who did what to which key, without a secret."""
    key = await made(service, name="shop")
    new = (await rotated(service, key["id"])).json()
    await service.client.delete(f"/v1/ApiKeys/{key['id']}")
    await service.client.delete(f"/v1/ApiKeys/{key['id']}")
    answer = await service.client.get("/v1/AuditEvents")
    events = {event["action"]: event for event in answer.json()["auditEvents"]}
    assert len(answer.json()["auditEvents"]) == 3
    assert {event["actor"] for event in events.values()} == {service.key[0]}
    assert {event["subject"] for event in events.values()} == {key["id"]}
    assert events["apiKey.created"]["detail"] == {"name": "shop", "scopes": ["read"], "expiresAt": None}
    assert events["apiKey.rotated"]["detail"] == {"successor": new["id"], "expiresAt": "2027-01-16T08:00:00Z"}
    assert events["apiKey.revoked"]["at"] == "2027-01-15T08:00:00.000Z"
    assert not [secret for secret in (key["secret"], new["secret"]) if secret in answer.text]


async def test_the_audit_log_is_paged_and_narrowed(service: Service) -> None:
    """By action and time; a page follows the other."""
    for _ in range(3):
        await made(service)
        service.clock.advance(60)
    await service.client.delete(f"/v1/ApiKeys/{(await made(service))['id']}")
    client = service.client
    first = (await client.get("/v1/AuditEvents", params={"action": "apiKey.created", "pageSize": 3})).json()
    token = first["pagination"]["next"]
    second = (await client.get("/v1/AuditEvents", params={"pageToken": token})).json()
    assert [len(page["auditEvents"]) for page in (first, second)] == [3, 1]
    cut = {"startDate": "2027-01-15T08:01:00Z", "endDate": "2027-01-15T08:03:00Z"}
    assert len((await client.get("/v1/AuditEvents", params=cut)).json()["auditEvents"]) == 2
    assert (await client.get("/v1/AuditEvents", params={"action": "a" * 65})).status_code == 400
    assert (await client.get("/v1/AuditEvents", params={"action": "a" * 64})).json()["auditEvents"] == []
