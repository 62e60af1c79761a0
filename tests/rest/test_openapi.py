"""The document and the page made of it."""

from __future__ import annotations

import re

import msgspec
import pytest
from openapi_spec_validator import validate
from support.things import ENDPOINTS, shop

from heliogram.rest import Call, endpoint, openapi

pytestmark = pytest.mark.anyio


def test_the_document_is_valid_openapi() -> None:
    """openapi-spec-validator accepts it, with and without security."""
    validate(openapi(ENDPOINTS, title="Shop", version="1"))
    validate(openapi(ENDPOINTS, title="Shop", version="1", secured=False))


def test_every_endpoint_has_an_entry() -> None:
    """Method, path, scope, basis, body and answers are in the document."""
    document = openapi(ENDPOINTS, title="Shop", version="1")
    for each in ENDPOINTS:
        operation = document["paths"][each.path][each.method.lower()]
        assert operation["operationId"] == each.operation_id
        assert operation["x-basis"] == each.basis
        assert operation.get("x-scope") == each.scope
        assert str(each.status) in operation["responses"]
        assert ("requestBody" in operation) == (each.body is not None)
    assert document["paths"]["/health"]["get"]["security"] == []
    assert document["paths"]["/health"]["servers"] == [{"url": "/"}]


def test_other_statuses_of_success_are_in_the_document() -> None:
    """Each with the type of its body, beside the usual one."""

    class Tried(msgspec.Struct):
        fine: bool

    async def handler(call: Call[None]) -> Tried:
        return Tried(True)

    each = endpoint("POST", "/Sends", summary="Send", status=202, scope=None, also={200: Tried})(handler)
    document = openapi([each], title="Shop", version="1")
    responses = document["paths"]["/Sends"]["post"]["responses"]
    assert responses["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Tried"}
    assert "202" in responses
    assert document["components"]["schemas"]["Tried"]["required"] == ["fine"]


def test_query_parameters_tell_their_bounds_and_defaults() -> None:
    """`pageSize` is an integer of 1 to 1000, 50 by default; an optional filter is not nullable."""
    document = openapi(ENDPOINTS, title="Shop", version="1")
    parameters = {each["name"]: each for each in document["paths"]["/Things"]["get"]["parameters"]}
    assert parameters["pageSize"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}
    assert parameters["colour"]["schema"] == {"type": "string"}
    assert parameters["colour"]["description"] == "Only of this colour."


async def test_the_page_asks_nobody_for_anything() -> None:
    """No script, no outside address, and a policy that would stop them."""
    async with shop(key=None) as client:
        answer = await client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", answer.text)
    assert 'id="code-70002"' in answer.text


async def test_the_page_escapes_what_the_document_says() -> None:
    """Texts of the document are text, not markup."""
    async with shop(description="<b>bold</b>", codes={70999: "<i>&"}) as client:
        text = (await client.get("/docs")).text
    assert "&lt;b&gt;bold" in text
    assert "&lt;i&gt;&amp;" in text
    assert "<b>bold" not in text
