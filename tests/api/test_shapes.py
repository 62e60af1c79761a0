"""Answers have the shapes the document promises, and no input makes the server fail."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from support.service import TOKEN, Service, token_content

from heliogram.domain import ids
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane

pytestmark = pytest.mark.anyio


class Document:
    """Judges answers by the service's own document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def judge(self, answer: httpx2.Response, method: str, path: str) -> None:
        """Raises when the status is not in the document or the body has another shape."""
        response = self._document["paths"][path][method]["responses"][str(answer.status_code)]
        kind = answer.headers["content-type"]
        schema = {**response["content"][kind]["schema"], "components": self._document["components"]}
        OAS31Validator(schema).validate(answer.json())


@pytest.fixture
async def document(service: Service) -> Document:
    """The served document."""
    return Document((await service.client.get("/openapi.json")).json())


async def work(service: Service) -> None:
    """Plays the worker: the first recipient is accepted, the second refused."""
    now = service.clock.ms
    (chunk,) = await service.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 60_000, worker="w")
    records = [
        DeliveryRecord(sequence=0, slot=0, outcome=Outcome.ACCEPTED, final=True, at=now, token=b"t" * 32, status=200),
        DeliveryRecord(sequence=1, slot=1, outcome=Outcome.REJECTED, final=True, at=now, token=b"u" * 32, status=410),
    ]
    await service.store.append_records(chunk, records, Counts(sent=1, failed=1))


async def test_answers_have_the_shape_of_the_document(service: Service, document: Document) -> None:
    """Every endpoint's good answer validates against its own schema."""
    root = "/PushNotifications"
    credential = await service.post(
        "/Credentials", {"credentialType": "APN", "appName": "shop", "content": token_content()}
    )
    document.judge(credential, "post", f"{root}/Credentials")
    device = await service.post("/DeviceRegistrations", {"appName": "shop", "token": TOKEN, "provider": "APN"})
    document.judge(device, "post", f"{root}/DeviceRegistrations")
    registered = await service.get(f"/DeviceRegistrations/{device.json()['resourceId']}")
    document.judge(registered, "get", f"{root}/DeviceRegistrations/{{deviceRegistrationId}}")
    user = registered.json()["userId"]
    to = [{"token": TOKEN, "provider": "APN", "variables": {"name": "Ann"}}, {"userId": user}]
    sent = await service.post("", {"to": to, "content": {"body": "x"}, "sound": None})
    document.judge(sent, "post", root)
    await work(service)
    operation = sent.json()["operationId"]
    notification = (await service.get("")).json()["pushNotifications"][0]["id"]
    for path, pattern, params in (
        ("", "", {}),
        ("", "", {"include": "deliveries"}),
        (f"/{notification}", "/{pushNotificationId}", {}),
        ("/Operations", "/Operations", {}),
        (f"/Operations/{operation}", "/Operations/{operationId}", {}),
        (f"/Operations/{operation}/Errors", "/Operations/{operationId}/Errors", {}),
        ("/Apps", "/Apps", {}),
        ("/Apps/shop", "/Apps/{appName}", {}),
        ("/Credentials", "/Credentials", {}),
        (f"/Credentials/{credential.json()['resourceId']}", "/Credentials/{credentialId}", {}),
        ("/DeviceRegistrations", "/DeviceRegistrations", {"userId": user}),
    ):
        answer = await service.get(path, **params)
        assert answer.status_code == 200
        document.judge(answer, "get", root + pattern)
    document.judge(await service.client.get("/health"), "get", "/health")
    for path, pattern in (
        (f"/DeviceRegistrations/{device.json()['resourceId']}", "/DeviceRegistrations/{deviceRegistrationId}"),
        (f"/Credentials/{credential.json()['resourceId']}", "/Credentials/{credentialId}"),
    ):
        document.judge(await service.delete(path), "delete", root + pattern)


async def test_refusals_have_the_shape_of_the_document(service: Service, document: Document) -> None:
    """400, 401, 404, 413 and 415 are in the document of the endpoint that gives them."""
    root = "/PushNotifications"
    document.judge(await service.post("", {"to": [{}]}), "post", root)
    document.judge(await service.get("", pageSize=0), "get", root)
    document.judge(await service.get("/Apps/x"), "get", f"{root}/Apps/{{appName}}")
    async with service.client_of({}) as stranger:
        document.judge(await stranger.get(f"/v1{root}"), "get", root)
    text = await service.client.post(f"/v1{root}", content=b"x", headers={"Content-Type": "text/plain"})
    document.judge(text, "post", root)
    large = await service.client.post(f"/v1{root}", content=b"x" * (16 * 1024 * 1024 + 1))
    document.judge(large, "post", root)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
FIELDS = ("to", "content", "from", "token", "provider", "userId", "variables", "body", "title", "apn", "fcm", "sound")
SECRETS = ("credentialType", "appName", "certificate", "privateKey", "signingKey", "keyId", "topics", "priority")
WORDS = st.sampled_from((*FIELDS, *SECRETS))
TEXTS = ("APN", "FCM", "HIGH", "shop", TOKEN, "{{ a }}", "{{", "-----BEGIN PRIVATE KEY-----", "\u0000", "ß")
IDS = ("comms_pushnotificationuser_" + "0" * 26, "comms_credential_" + "7" * 26)
VALUES = st.sampled_from((*TEXTS, *IDS))
JSON = st.recursive(
    SCALARS | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
SENDS = st.fixed_dictionaries(
    {
        "to": st.lists(st.dictionaries(st.sampled_from(["token", "provider", "userId", "variables"]), JSON | VALUES)),
        "content": st.fixed_dictionaries({"body": st.text(max_size=20) | VALUES}, optional={"title": VALUES | JSON}),
    },
    optional={"from": st.dictionaries(WORDS, VALUES | JSON, max_size=2), "priority": VALUES, "sound": SCALARS},
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([("post", "/PushNotifications"), ("post", "/PushNotifications/Credentials")]),
    SENDS | JSON | st.dictionaries(WORDS, JSON),
)
async def test_no_body_makes_the_server_fail(
    service: Service, document: Document, where: tuple[str, str], body: Any
) -> None:
    """Whatever JSON comes, the answer is one of those in the document, and never a 500."""
    method, path = where
    answer = await service.client.request(method.upper(), f"/v1{path}", json=body)
    assert answer.status_code < 500
    document.judge(answer, method, path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/PushNotifications", "/PushNotifications/Operations", "/PushNotifications/Credentials"]),
    st.dictionaries(
        st.sampled_from(
            ["pageSize", "pageToken", "startDate", "endDate", "status", "user", "operationId", "isDefault"]
        ),
        st.text(max_size=12) | st.sampled_from(["1", "2027-01-15", "SENT", "9999-12-31T23:59:59-23:59", "0001-01-01"]),
        max_size=3,
    ),
)
async def test_no_query_makes_the_server_fail(
    service: Service, document: Document, path: str, params: dict[str, str]
) -> None:
    """Whatever filters come, the answer is a page or a 400."""
    answer = await service.client.get(f"/v1{path}", params=params)
    assert answer.status_code in (200, 400)
    document.judge(answer, "get", path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=24))
async def test_no_id_makes_the_server_fail(service: Service, raw: bytes) -> None:
    """Whatever stands in a path, the answer is a 404."""
    text = quote(b"x" + raw, safe="")
    for collection in ("", "/Operations", "/Credentials", "/DeviceRegistrations", "/Apps"):
        assert (await service.get(f"{collection}/{text}")).status_code == 404
    whole = ids.encode(ids.OPERATION, raw[:16].ljust(16, b"\0"))
    assert (await service.get(f"/Operations/{whole}")).status_code == 404
