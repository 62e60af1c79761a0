"""Null for what may be left out of a request says what leaving it out says: clients in Java, C# and Go write nulls.

The fields are those of the OpenAPI document, so one that is new is tried, too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from support.service import TOKEN, Service, token_content

from heliogram.rest import LONG_BODY

pytestmark = pytest.mark.anyio

Field = tuple[str, str]
"""The name of a schema, and that of a property that may be left out."""
PUSHES = "/PushNotifications"
ACTIVITY = {"event": "update", "contentState": {}}
DEVICE = {"token": TOKEN, "provider": "APN"}
CONTENTS: list[dict[str, Any]] = [
    {"body": "x"},
    {"body": "x", "sound": {}, "apn": {"headers": {}}},
    {"locKey": "x", "apn": {}},
    {"liveActivity": ACTIVITY},
]


class Bodies:
    """For each operation what is asked of it: least bodies, and such with everything that fields may be within."""

    def __init__(self, service: Service, made: Mapping[str, str]) -> None:
        content = token_content()
        key = {"credentialType": "APN", "content": content}
        pkcs12 = {"credentialType": "APN", "content": {"pkcs12": "AAAA"}, "appName": "shop"}
        sends = [{"to": [DEVICE], "content": each} for each in CONTENTS]
        user, app = made["user"], {"appName": "shop"}
        broadcasts = [{"content": {"liveActivity": ACTIVITY}}, {"content": {"liveActivity": ACTIVITY, "apn": {}}}]
        self.of: dict[str, list[dict[str, Any]]] = {
            "createApiKey": [{"scopes": ["read"]}],
            "rotateApiKey": [{}],
            "updateApp": [{"isDefault": True}],
            "createChannel": [{"storagePolicy": "NO_MESSAGE_STORED"}],
            "broadcast": broadcasts,
            "createCredential": [key, pkcs12],
            "updateCredential": [{"isDefault": True}],
            "rotateCredential": [{"content": content}],
            "registerDevice": [{**app, **DEVICE}],
            "sendPushNotification": [
                *sends,
                {"to": [{"userId": user}], "content": {"body": "x"}, "from": app},
                {"to": [DEVICE], "content": {"body": "x"}, "from": {"apn": made["credential"]}},
                {"to": [DEVICE], "content": {"body": "x"}, "schedule": {"sendAt": ["2027-01-16T08:00:00Z"]}},
            ],
            "createRegistrationToken": [{**app, "userId": user}, {**app, "externalId": "ann"}],
            "updateUser": [{"externalId": "ann"}],
            "createWebhook": [{"url": "https://x.example/", "types": ["*"]}],
            "updateWebhook": [{}],
            "redeliverDeadLetters": [{}],
        }
        self.path = {"appName": "shop", "channelId": "AAAA", "userId": user, **made}
        self.service = service

    async def send(self, method: str, path: str, body: Any) -> tuple[int, list[str]]:
        """The status that comes of a body, and the places of what is wrong with it."""
        if "{keyId}" in path:  # each is rotated once
            made = await self.service.client.post("/v1/ApiKeys", json={"scopes": ["read"]})
            self.path["keyId"] = made.json()["id"]
        answer = await self.service.client.request(method, f"/v1{path.format_map(self.path)}", json=body)
        return answer.status_code, [each.get("context", "") for each in answer.json().get("errors", ())]


async def prepared(service: Service) -> Bodies:
    """A service with one of everything that bodies and paths name."""
    credential, user = await service.app_named(), await service.user()
    hook = await service.client.post("/v1/Webhooks", json={"url": "https://x.example/", "types": ["*"]})
    return Bodies(
        service, {"credential": credential, "credentialId": credential, "user": user, "webhookId": hook.json()["id"]}
    )


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Those with a body: its id, method, path and the body's schema."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                yield operation["operationId"], method.upper(), path, schema


def arms(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a schema is a choice of."""
    inner = schema.get("anyOf", ())
    if not inner:
        yield schema
    for each in inner:
        yield from arms(each)


def reached(schema: dict[str, Any], schemas: dict[str, Any], seen: set[str]) -> Iterator[Field]:
    """Every field that may be left out, of a schema and of those within it."""
    for arm in arms(schema):
        name = arm.get("$ref", "").rpartition("/")[2]
        if "items" in arm:
            yield from reached(arm["items"], schemas, seen)
        if name and name not in seen and "properties" in schemas[name]:
            seen.add(name)
            for field, inner in schemas[name]["properties"].items():
                if field not in schemas[name].get("required", ()):
                    yield name, field
                yield from reached(inner, schemas, seen)


def nulled(value: Any, schema: dict[str, Any], schemas: dict[str, Any], done: set[Field]) -> Any:
    """The value with null for all that it leaves out; `done` takes what that was."""
    for arm in arms(schema):
        name = arm.get("$ref", "").rpartition("/")[2]
        if isinstance(value, list) and "items" in arm:
            return [nulled(each, arm["items"], schemas, done) for each in value]
        if isinstance(value, dict) and "properties" in schemas.get(name, ()):
            fields = schemas[name]["properties"]
            left_out = fields.keys() - value.keys()
            done.update((name, field) for field in left_out)
            within = {field: nulled(each, fields[field], schemas, done) for field, each in value.items()}
            return {**within, **dict.fromkeys(left_out)}
    return value


async def test_null_says_what_leaving_out_says_in_every_field_of_every_body(service: Service) -> None:
    """Each operation answers a body with null for everything that it leaves out as it answers the body without."""
    document = (await service.client.get("/openapi.json")).json()
    schemas, bodies = document["components"]["schemas"], await prepared(service)
    done: set[Field] = set()
    wanted: set[Field] = set()
    for name, method, path, schema in operations(document):
        wanted |= {*reached(schema, schemas, set())}
        for body in bodies.of[name]:
            told = await bodies.send(method, path, body)
            assert told[0] != 400 or told[1] == ["$.content.pkcs12"], (name, told)  # one that is no file
            with_nulls = nulled(copy.deepcopy(body), schema, schemas, done)
            assert await bodies.send(method, path, with_nulls) == told, (name, with_nulls)
    assert wanted - done == set(), "give a body above that leaves these out"
    assert len(wanted) > 80


@pytest.mark.parametrize("recipients", [1, 2_000])
async def test_a_send_full_of_nulls_is_kept_as_one_without(service: Service, recipients: int) -> None:
    """What is shown of it holds no nulls, and the defaults apply; so of a body that is long enough to be read in
    slices."""
    await service.app_named()
    document = (await service.client.get("/openapi.json")).json()
    send = {"to": [DEVICE] * recipients, "content": {"body": "x", "sound": {}}}
    schemas = document["components"]["schemas"]
    full = nulled(send, {"$ref": "#/components/schemas/SendRequest"}, schemas, set())
    assert (len(json.dumps(full)) > LONG_BODY) is (recipients > 1)
    shown = []
    for body in (send, full):
        answer = await service.post("", body)
        assert answer.status_code == 202, answer.text
        (first,) = (await service.get("", operationId=answer.json()["operationId"], pageSize=1)).json()[
            "pushNotifications"
        ]
        found = (await service.get(f"/{first['id']}")).json()
        shown.append({name: found[name] for name in ("content", "priority", "sound", "to", "from")})
    assert shown[0] == shown[1]
    assert shown[1]["priority"] == "HIGH"
    assert shown[1]["content"] == {"body": "x", "sound": {}}


@pytest.mark.parametrize(
    ("path", "body", "context"),
    [
        ("", {"to": None, "content": {"body": "x"}}, "$.to"),
        ("", {"to": [DEVICE], "content": None}, "$.content"),
        ("", {"to": [DEVICE], "content": {"body": "x"}, "tags": {"a": None}}, "$.tags"),
        ("/DeviceRegistrations", {"appName": "shop", "token": None, "provider": "APN"}, "$.token"),
    ],
)
async def test_null_for_what_is_required_is_refused(
    service: Service, path: str, body: dict[str, Any], context: str
) -> None:
    """With its place; so within maps, whose keys are the caller's own."""
    await service.app_named()
    answer = await service.post(path, body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"].startswith(context)


async def test_null_takes_an_external_id_away(service: Service) -> None:
    """The one field in which null says something of its own: it is required, so nobody sends it by chance."""
    await service.app_named()
    user = await service.user()
    where = f"/v1{PUSHES}/Users/{user}"
    for name in ("ann", None):
        assert (await service.client.patch(where, json={"externalId": name})).status_code == 202
        assert (await service.client.get(where)).json()["externalId"] == name
    answer = await service.client.patch(where, json={})
    assert (answer.status_code, answer.json()["errors"][0]["context"]) == (400, "$.externalId")
