"""How the structs of the client stand to the schemas of the service's own document: what differs, in words."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from heliogram import client
from heliogram.client.structs import Open

NAMES = {
    "RecipientIn": "Recipient",
    "RecipientOut": "Addressee",
    "SenderIn": "Sender",
    "SenderOut": "SenderUsed",
    "ScheduleIn": "Schedule",
    "ScheduleOut": "Schedule",
    "ProviderName": "Provider",
    "ProblemError": "FieldError",
    "ProblemBody": "Problem",
    "LaneName": "Lane",
    "LaneOut": "LaneLoad",
    "OutcomeName": "SeenAs",
    "OutcomeOut": "SeenOutcome",
    "OutcomesOut": "SeenOutcomes",
}
"""Schemas that go by another name in the client; the others lose an `Out` at the end, if they have one."""
NOT_SCHEMAS = {"Heliogram", "AsyncHeliogram", "HeliogramError", "Unreachable", "OperationTimeout"} | {
    "Outcome",
    "KeyScope",
}
"""What the client has beside the schemas. The last two are lists of words that stand within a schema."""


def named(schema: str) -> str:
    """The client's name of a schema."""
    return NAMES.get(schema) or schema.removesuffix("Out")


def differences(document: dict[str, Any]) -> Iterator[str]:
    """Everything in which structs and schemas differ."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    known = {named(schema) for schema in schemas}
    yield from (f"{name}: no such schema" for name in sorted({*client.__all__} - known - NOT_SCHEMAS))
    for schema, described in schemas.items():
        name = named(schema)
        if name not in client.__all__:
            yield f"{schema}: heliogram.client has no {name}"
        elif "enum" in described:
            yield from _words(schema, described["enum"], getattr(client, name))
        else:
            yield from _fields(schema, described, getattr(client, name))


def _words(schema: str, words: list[str], found: type[enum.StrEnum]) -> Iterator[str]:
    if {*words} != {str(each) for each in found}:
        yield f"{schema}: the document says {sorted(words)}, the client {sorted(found)}"


def _fields(schema: str, described: dict[str, Any], struct: type[msgspec.Struct]) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    properties: dict[str, Any] = described.get("properties", {})
    given = described.get("additionalProperties") is False
    yield from (f"{schema}.{name}: not in the struct {struct.__name__}" for name in properties.keys() - fields.keys())
    yield from (f"{schema}.{name}: only in the struct {struct.__name__}" for name in fields.keys() - properties.keys())
    for name in properties.keys() & fields.keys():
        field, schema_of = fields[name], properties[name]
        optional = given and name not in described.get("required", ())
        if not _fits(field.type, _without_null(schema_of) if optional else schema_of):
            yield f"{schema}.{name}: {field.type} does not hold {schema_of}"
        if given and field.required != (name in described.get("required", ())):
            yield f"{schema}.{name}: required in one of the two alone"
        default = schema_of.get("default")
        if given and not field.required and field.default not in (default, None):
            yield f"{schema}.{name}: the default is {default!r}, not {field.default!r}"


def _arms(type_: Any) -> set[Any]:
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        return {arm for each in typing.get_args(type_) for arm in _arms(each)}
    return {type_} - {msgspec.UnsetType}


def _choices(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices is None:
        yield schema
    else:
        for each in choices:
            yield from _choices(each)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What an optional field of a request takes beside null, which says what leaving it out says: the client does."""
    return {"anyOf": [each for each in _choices(schema) if each.get("type") != "null"]}


def _fits(type_: Any, schema: dict[str, Any]) -> bool:
    """Whether the type holds what the schema allows, and allows nothing beyond (but for a None that is left out)."""
    if type_ is Any:
        return True
    arms, wanted = _arms(type_), [*_choices(schema)]
    every = all(any(_one(arm, each) for arm in arms) for each in wanted)
    return every and all(any(_one(arm, each) for each in wanted) or arm is type(None) for arm in arms)


def _one(arm: Any, schema: dict[str, Any]) -> bool:
    if arm is Any:
        return True
    if "$ref" in schema:
        return bool(getattr(arm, "__name__", "") == named(schema["$ref"].rsplit("/", 1)[1]))
    if typing.get_origin(arm) is typing.Literal:
        return {*typing.get_args(arm)} == {*schema.get("enum", ())}
    if "enum" in schema:
        words = {str(each) for each in arm} if isinstance(arm, type) and issubclass(arm, Open) else None
        return any(isinstance(each, arm) for each in schema["enum"]) if words is None else words == {*schema["enum"]}
    kind, origin = schema.get("type"), typing.get_origin(arm) or arm
    if kind == "array":
        return origin is list and _fits(typing.get_args(arm)[0], schema.get("items", {}))
    if kind == "object":
        extra = schema.get("additionalProperties")
        return origin is dict and (not isinstance(extra, dict) or _fits(typing.get_args(arm)[1], extra))
    holders = {
        "string": (str, datetime),
        "integer": (int,),
        "number": (float, int),
        "boolean": (bool,),
        "null": (type(None),),
    }
    return origin in holders.get(str(kind), ())
