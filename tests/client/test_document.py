"""The client against the OpenAPI document that the service makes of itself: nothing missing, nothing more."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.client_document import differences, named
from support.service import serving

from heliogram import client
from heliogram.client import Heliogram
from heliogram.client.binding import Resource, conversation, listing, operation
from heliogram.client.calls import Call, Pages
from heliogram.client.content import Content

pytestmark = pytest.mark.anyio
ARGUMENTS = {"content": Content(body="x"), "to": (), "scopes": (), "types": (), "app": "shop"}
TRIED_OUT = ("notifications.validate", "channels.validate_broadcast")
"""The operations that have two methods: what is sent, with and without validateOnly."""


@pytest.fixture
async def document(tmp_path: Path) -> dict[str, Any]:
    async with serving(tmp_path) as service:
        found: dict[str, Any] = (await service.client.get("/openapi.json")).json()
        return found


def calls() -> Iterator[tuple[str, Call[Any], Pages[Any] | None]]:
    """Every method with the call it makes, all its arguments given."""
    with Heliogram("http://127.0.0.1:1", "a.b") as heliogram:
        parts = {name: part for name, part in vars(heliogram).items() if isinstance(part, Resource)}
        for part, resource in parts.items():
            for name, method in inspect.getmembers_static(type(resource)):
                if isinstance(method, (operation, listing)):
                    wanted = [*inspect.signature(method.build).parameters][1:]
                    built = method.build(
                        resource, **{each: ARGUMENTS.get(each, "x") for each in {*wanted} - {"sender"}}
                    )
                    pages = built if isinstance(built, Pages) else None
                    yield f"{part}.{name}", pages.call if pages else built, pages


def described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation | {"alone": "servers" in item}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "servers"
    }


async def test_every_operation_has_a_method_and_every_method_an_operation(document: dict[str, Any]) -> None:
    """Method and path of the calls are those of the document."""
    made = [(call.method, call.route) for name, call, _ in calls() if name not in TRIED_OUT]
    assert len(made) == len({*made})
    assert {*made} == {*described(document)}


async def test_every_query_parameter_is_an_argument(document: dict[str, Any]) -> None:
    """All filters can be given, and no others; so with the parameters of the path."""
    operations = described(document)
    for name, call, _ in calls():
        parameters = operations[call.method, call.route]["parameters"]
        for place, given in (("query", call.query), ("path", call.path)):
            assert {*given} == {each["name"] for each in parameters if each["in"] == place}, name


async def test_every_body_and_answer_is_of_the_schema_that_the_document_names(document: dict[str, Any]) -> None:
    """The struct that is sent, the struct that is read."""
    operations = described(document)
    for name, call, pages in calls():
        operation = operations[call.method, call.route]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        assert type(call.body).__name__ == ("NoneType" if body is None else named(body["$ref"].rsplit("/", 1)[1])), name
        answers = [status for status in operation["responses"] if status < "300"]
        status = min(answers) if name in TRIED_OUT else max(answers)
        answer = operation["responses"][status]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        assert call.returns is getattr(client, named(answer)), name
        assert call.alone == operation["alone"], name
        if pages is not None:
            assert pages.entries in call.returns.__struct_fields__, name


async def test_writes_that_may_carry_an_idempotency_key_are_those_of_the_document(document: dict[str, Any]) -> None:
    """So each of them may be sent again."""
    operations = described(document)
    for name, call, _ in calls():
        headers = {each["name"] for each in operations[call.method, call.route]["parameters"] if each["in"] == "header"}
        assert call.writes == ("Idempotency-Key" in headers), name


async def test_every_field_of_every_schema_is_in_the_structs_and_nothing_more(document: dict[str, Any]) -> None:
    """With a type that holds it; of what is given the same defaults."""
    assert [*differences(document)] == []


async def test_the_walk_notices_what_differs(document: dict[str, Any]) -> None:
    """Fields that are missing, too many, of another type or default, and words that are new, are all found."""
    schemas = document["components"]["schemas"]
    schemas["AppOut"]["properties"]["colour"] = {"type": "string"}
    del schemas["UserOut"]["properties"]["externalId"]
    schemas["Stats"]["properties"]["sent"] = {"type": "string"}
    schemas["Sound"]["properties"]["name"]["default"] = "loud"
    schemas["Scope"]["enum"].append("fly")
    schemas["Fresh"] = {"type": "object", "properties": {}}
    del schemas["Redelivered"]
    found = {each.split(":")[0] for each in differences(document)}
    assert found == {"AppOut.colour", "UserOut.externalId", "Stats.sent", "Sound.name", "Scope", "Fresh", "Redelivered"}


async def test_a_conversation_is_made_of_methods_that_are_there() -> None:
    """`operations.wait` asks for the operation and nothing else."""
    with Heliogram("http://127.0.0.1:1", "a.b") as heliogram:
        assert isinstance(inspect.getattr_static(type(heliogram.operations), "wait"), conversation)
        steps = inspect.getattr_static(type(heliogram.operations), "wait").build(heliogram.operations, "x")
        assert "Operations/x" in repr(next(steps))


def test_every_struct_says_what_it_is() -> None:
    """Published names have docstrings, methods too."""
    for name in client.__all__:
        assert getattr(client, name).__doc__, name
    with Heliogram("http://127.0.0.1:1", "a.b") as heliogram:
        for part in vars(heliogram).values():
            for name, method in inspect.getmembers_static(type(part)):
                if isinstance(method, (operation, listing, conversation)):
                    assert method.__doc__, name
    assert msgspec.structs.fields(client.Notification)
