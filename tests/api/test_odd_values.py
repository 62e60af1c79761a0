"""Values that a database might not take: a NUL in a text, half a character, numbers and texts beyond every bound. Both
stores answer alike, and never with a 5xx."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.service import TOKEN, Service, serving, token_content

pytestmark = pytest.mark.anyio

Place = tuple[str | int, ...]
PUSH = "/PushNotifications"
HALF = "\ud800"
NUMBERS = (-(2**63), -1, 2**31, 2**53, 2**63 - 1, 2**63, 10**30)
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "POST",
        PUSH,
        {
            "to": [{"externalId": "bob", "variables": {"name": "Ann", "count": 3, "deep": {"k": ["v"]}}}],
            "from": {"appName": "shop"},
            "content": {"title": "Hi {{ name }}", "body": "{{ count }}", "data": {"url": "shop://inbox"}},
            "ttl": 3600,
            "tags": {"campaign": "spring"},
            "schedule": {"sendAt": ["2027-02-01T00:00:00Z"]},
        },
    ),
    ("POST", PUSH, {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "Hi"}, "priority": "HIGH"}),
    ("POST", PUSH, {"to": [{"userId": "{user}"}], "content": {"body": "Hi"}, "from": {"apn": "{credential}"}}),
    (
        "POST",
        f"{PUSH}/DeviceRegistrations",
        {
            "appName": "shop",
            "token": "cd" * 32,
            "provider": "APN",
            "externalId": "ann",
            "installationId": "phone",
            "appVersion": "1",
            "locale": "de",
            "timeZone": "Europe/Berlin",
        },
    ),
    (
        "POST",
        f"{PUSH}/DeviceRegistrations",
        {
            "appName": "shop",
            "token": "ce" * 32,
            "provider": "APN",
            "userId": "{user}",
            "kind": "liveActivityUpdate",
            "activityId": "match",
        },
    ),
    ("POST", "/ApiKeys", {"name": "k", "scopes": ["read"], "expiresAt": "2027-02-01T00:00:00Z"}),
    ("POST", "/ApiKeys/{key}/rotate", {"graceSeconds": 5}),
    ("POST", "/Webhooks", {"url": "https://example.com/x", "types": ["notification.*"], "description": "d"}),
    ("PATCH", "/Webhooks/{hook}", {"url": "https://example.com/y", "description": "d", "state": "active"}),
    ("POST", "/Webhooks/{hook}/DeadLetters/redeliver", {"ids": ["x"]}),
    ("POST", f"{PUSH}/RegistrationTokens", {"appName": "shop", "externalId": "x", "expiresIn": 3600}),
    ("PATCH", f"{PUSH}/Users/{{user}}", {"externalId": "zed"}),
    ("POST", f"{PUSH}/Credentials/{{credential}}/rotate", {"content": token_content()}),
    (
        "POST",
        f"{PUSH}/Apps/shop/Channels/abc/Broadcasts",
        {"content": {"liveActivity": {"event": "update", "contentState": {"s": "x"}}}, "ttl": 3600, "tags": {"a": "b"}},
    ),
)
"""A body that is taken for each endpoint that keeps or looks for what callers write."""
KEPT_PACKED = {"variables", "content", "data", "contentState"}
"""What a notification is made of is no text of the database: anything may stand there, or no template compiles."""


@pytest.fixture(params=["sqlite", "postgres"])
async def service(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Service]:
    async with serving(tmp_path, store=request.param) as service:
        yield service


class Odd:
    """The service with one of each thing, and a way to send what no client library would."""

    def __init__(self, service: Service, known: dict[str, str]) -> None:
        self._service, self._known = service, known

    @classmethod
    async def of(cls, service: Service) -> Odd:
        """Some of everything."""
        credential = await service.app_named("shop")
        registered = {"appName": "shop", "token": TOKEN, "provider": "APN", "externalId": "bob"}
        assert (await service.post("/DeviceRegistrations", registered)).status_code == 202
        users = (await service.get("/Users")).json()["users"]
        hook = await service.client.post("/v1/Webhooks", json={"url": "https://example.com/x", "types": ["*"]})
        key = await service.client.post("/v1/ApiKeys", json={"name": "k", "scopes": ["read"]})
        known = {"user": users[0]["id"], "credential": credential, "hook": hook.json()["id"], "key": key.json()["id"]}
        return cls(service, known)

    async def call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and body of the answer."""
        text = json.dumps(body)  # which spells every odd character as an escape
        for name, value in self._known.items():
            path, text = path.replace(f"{{{name}}}", value), text.replace(f'"{{{name}}}"', f'"{value}"')
        headers = {"content-type": "application/json"}
        answer = await self._service.client.request(method, f"/v1{path}", content=text, headers=headers)
        return answer.status_code, answer.json() if answer.content else None


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value that holds no others, and where it is."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*place, key))
    else:
        yield place, value


def changed(body: Any, place: Place, value: Any) -> Any:
    """The body with another value there."""
    made = inner = copy.deepcopy(body)
    for each in place[:-1]:
        inner = inner[each]
    inner[place[-1]] = value
    return made


def pointer_to(place: Place) -> str:
    """How errors name a place."""
    return "#" + "".join(f"/{each}" for each in place)


async def test_a_nul_in_a_text_is_refused_by_the_name_of_its_field(service: Service) -> None:
    """Nothing is called so: a 400, or a 404 where somebody is looked for, and what is accepted is never cut."""
    odd = await Odd.of(service)
    for method, path, body in BODIES:
        status, answer = await odd.call(method, path, body)
        assert status in (200, 201, 202) or "redeliver" in path, (path, answer["detail"])
        for place, value in leaves(body):
            if not isinstance(value, str) or KEPT_PACKED & set(place):
                continue
            for text in (f"{value}\0y", "\0"):
                status, answer = await odd.call(method, path, changed(body, place, text))
                assert status in (400, 404), (path, place, answer)
                named = [error["pointer"] for error in answer["errors"]]
                assert any(pointer_to(place).startswith(each) for each in named), (path, place, answer)


async def test_odd_values_are_no_failure_of_the_server(service: Service) -> None:
    """Half a character, a text of 70,000, a number where a text belongs or beyond any column: refused or taken."""
    odd = await Odd.of(service)
    for method, path, body in BODIES:
        for place, value in leaves(body):
            texts = (f"{value}\0y", f"{value}{HALF}", f"{value}{'x' * 70_000}")
            for each in (*(texts if isinstance(value, str) else ()), *NUMBERS):
                status, answer = await odd.call(method, path, changed(body, place, each))
                assert status < 500, (path, place, str(each)[:20], answer)


async def test_odd_queries_and_paths_are_no_failure_of_the_server(service: Service) -> None:
    """Of every endpoint that the document knows."""
    document = (await service.client.get("/openapi.json")).json()
    texts = ("%00", "a%00b", "%ED%A0%80", "9" * 19, "9" * 30, "-1", "2027-01-01T00:00:00Z%00y", "x" * 3_000)
    for path, operations in document["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []) if path.startswith("/v1") else ():
            for text in texts:
                address = path.replace(f"{{{parameter['name']}}}", text)
                query = {"query": f"?{parameter['name']}={text}"}.get(parameter["in"], "")
                answer = await service.client.get(address.replace("{", "%7B").replace("}", "%7D") + query)
                assert answer.status_code < 500, (address, query, answer.text)
