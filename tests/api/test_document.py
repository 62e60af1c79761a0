"""The API's OpenAPI document, its secrets and its tenants."""

from __future__ import annotations

import dataclasses
import secrets
from html import escape
from pathlib import Path

import msgspec
import pytest
from openapi_spec_validator import validate
from support.service import TOKEN, Service, client_of, serving, signing_key, token_content

from heliogram import api
from heliogram.api import ENDPOINTS, examples
from heliogram.domain.accounts import Principal, Scope
from heliogram.rest import Endpoint, decode_body

pytestmark = pytest.mark.anyio


async def test_the_document_is_valid_openapi(service: Service) -> None:
    """openapi-spec-validator accepts what is served."""
    validate((await service.client.get("/openapi.json")).json())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.operation_id)
async def test_every_route_is_in_the_document_with_its_scope(service: Service, endpoint: Endpoint) -> None:
    """No endpoint without an entry, none without a scope but health."""
    document = (await service.client.get("/openapi.json")).json()
    operation = document["paths"][endpoint.path][endpoint.method.lower()]
    assert operation["summary"] == endpoint.summary
    assert str(endpoint.status) in operation["responses"]
    if endpoint.path.startswith("/health"):
        assert operation["security"] == []
    else:
        assert operation["x-scope"] in set(Scope)
        assert {"401", "403", "500"} <= set(operation["responses"])


def test_operation_ids_are_unique() -> None:
    """Generated clients name methods after them."""
    names = [each.operation_id for each in ENDPOINTS]
    assert len(set(names)) == len(names)


async def test_every_route_of_the_application_is_declared(service: Service) -> None:
    """Nothing is served that the document does not know."""
    document = (await service.client.get("/openapi.json")).json()
    known = {prefix + path for path in document["paths"] for prefix in ("/v1", "/preview", "")}
    served = {getattr(route, "path", "") for route in service.app.routes}
    assert served - {"/openapi.json", "/docs"} <= known


async def test_no_answer_holds_a_secret(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the signing key nor an API secret is in any answer, header, document, log or repr."""
    pem = signing_key()
    texts = []
    body = {"credentialType": "APN", "appName": "shop", "content": token_content(signingKey=pem)}
    made = await service.post("/Credentials", body)
    wrong = await service.post("/Credentials", {**body, "content": token_content(signingKey=pem, keyId="x")})
    await service.user()
    await service.post("", {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "x"}})
    for path in ("/Credentials", f"/Credentials/{made.json()['resourceId']}", "/Apps", "/Operations", ""):
        texts.append((await service.get(path)).text)
    for path in ("/openapi.json", "/docs", "/health"):
        texts.append((await service.client.get(path)).text)
    texts += [made.text, wrong.text, str(made.headers), repr(service.state), repr(service.app), caplog.text]
    hidden = [*pem.splitlines()[1:-1], service.key[1]]
    assert not [secret for text in texts for secret in hidden if secret in text]


async def test_device_tokens_are_only_where_they_belong(service: Service) -> None:
    """DeviceRegistrations and PushNotifications show tokens, nothing else does."""
    await service.app_named()
    await service.user()
    await service.post("", {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "x"}})
    for path in ("/Credentials", "/Apps", "/Operations"):
        assert TOKEN not in (await service.get(path)).text
    assert TOKEN in (await service.get("")).text


class Neighbour:
    """Lets one key in as another account."""

    def __init__(self, account: bytes) -> None:
        self.account = account

    async def authenticate(self, key_id: str, secret: str) -> Principal | None:
        """Everything, in the other account."""
        return Principal(account_id=self.account, key_id=b"k" * 16, scopes=frozenset(Scope))


async def test_another_account_sees_nothing(service: Service) -> None:
    """Every id of one account is a 404 in another, and its lists are empty."""
    credential = await service.app_named()
    user = await service.user()
    registration = await service.post(
        "/DeviceRegistrations", {"appName": "shop", "token": TOKEN, "provider": "APN", "userId": user}
    )
    sent = await service.post("", {"to": [{"userId": user}], "content": {"body": "x"}})
    (notification,) = (await service.get("")).json()["pushNotifications"]
    state = dataclasses.replace(service.state, authenticator=Neighbour(secrets.token_bytes(16)))
    async with client_of(api.build(state), {"Authorization": "Bearer a.b"}) as client:
        root = "/v1/PushNotifications"
        for path in (
            f"{root}/Credentials/{credential}",
            f"{root}/Apps/shop",
            f"{root}/DeviceRegistrations/{registration.json()['resourceId']}",
            f"{root}/Operations/{sent.json()['operationId']}",
            f"{root}/{notification['id']}",
        ):
            assert (await client.get(path)).status_code == 404, path
        for name in ("Credentials", "Apps", "Operations", ""):
            body = (await client.get(f"{root}/{name}".rstrip("/"))).json()
            assert next(iter(body.values())) == []
        for path in (
            f"{root}/Credentials/{credential}",
            f"{root}/DeviceRegistrations/{registration.json()['resourceId']}",
        ):
            assert (await client.delete(path)).status_code == 404
        refused = await client.post(root, json={"to": [{"userId": user}], "content": {"body": "x"}})
        assert refused.status_code == 400
    assert (await service.get(f"/Credentials/{credential}")).status_code == 200


async def test_addresses_follow_the_public_url(tmp_path: Path) -> None:
    """Behind a proxy the service is told its own address."""
    async with serving(tmp_path, public_url="https://push.example.com/api/") as service:
        await service.app_named()
        answer = await service.post("", {"to": [{"token": TOKEN, "provider": "APN"}], "content": {"body": "x"}})
    assert answer.headers["location"].startswith("https://push.example.com/api/v1/PushNotifications/Operations/")


BODIES = {each.body for each in ENDPOINTS if each.body is not None}


@pytest.mark.parametrize("body", sorted((each for each in BODIES if hasattr(each, "__openapi__")), key=str))
def test_the_examples_of_a_body_can_be_sent(body: type[msgspec.Struct]) -> None:
    """Each reads as the body that it is an example of."""
    shown = getattr(body, "__openapi__")["examples"]  # noqa: B009 - no Struct has it by its type
    assert shown
    for example in shown:
        decode_body(body, msgspec.json.encode(example))


async def test_the_examples_of_sends_and_registrations_are_taken(service: Service) -> None:
    """As they are printed, in one account."""
    await service.app_named()
    for example in examples.REGISTER_DEVICE:
        answer = await service.post("/DeviceRegistrations", example)
        assert answer.status_code == 202, answer.text
    for example in examples.SEND:
        answer = await service.post("", example)
        assert answer.status_code == 202, answer.text


async def test_every_field_of_a_send_is_described(service: Service) -> None:
    """In the document, and on the page: also where the field may be null."""
    document = (await service.client.get("/openapi.json")).json()
    page = (await service.client.get("/docs")).text
    schemas = document["components"]["schemas"]
    for name in ("SendRequest", "RecipientIn", "SenderIn", "RegisterDevice"):
        for field, schema in schemas[name]["properties"].items():
            arms = [schema, *schema.get("anyOf", ())]
            texts = [arm["description"] for arm in arms if "description" in arm]
            assert texts or any("$ref" in arm for arm in arms), f"{name}.{field}"
            assert all(escape(text) in page for text in texts), f"{name}.{field}"
