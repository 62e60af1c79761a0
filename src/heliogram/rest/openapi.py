"""The OpenAPI 3.1 document of a set of endpoints, generated from what they declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from .around import Around
from .endpoint import Endpoint
from .problem import MEDIA_TYPE, ProblemBody

_REF = "#/components/schemas/{name}"
OURS = "ours"


class Documented(NamedTuple):
    """The fields of schemas and the query parameters of operations (by operation id) that another API documents."""

    fields: Mapping[str, frozenset[str]]
    parameters: Mapping[str, frozenset[str]]


def openapi(
    endpoints: Iterable[Endpoint],
    *,
    title: str,
    version: str,
    description: str = "",
    servers: Sequence[str] = ("/v1",),
    secured: bool = True,
    documented: Documented | None = None,
    around: Around | None = None,
) -> dict[str, Any]:
    """The document. A struct may refine its schema with a class variable `__openapi__`, merged into its component.

    With `documented` whatever it does not name is marked `x-basis: ours`.
    """
    declared = sorted(endpoints, key=lambda each: (each.tag, each.path, each.method))
    schemas, components = _schemas(declared)
    paths: dict[str, dict[str, Any]] = {}
    for each in declared:
        item = paths.setdefault(each.path, {} if each.prefixed else {"servers": [{"url": "/"}]})
        operation = item[each.method.lower()] = _operation(each, schemas, secured)
        if around is not None and around.covers(each):
            _put_around(operation, around, str(each.status))
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": url or "/"} for url in servers] or [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in declared) if tag],
        "paths": paths,
        "components": {"schemas": components},
    }
    if documented is not None:
        _mark(document, documented)
    if secured:
        document["security"] = [{"basic": []}, {"bearer": []}]
        document["components"]["securitySchemes"] = {
            "basic": {"type": "http", "scheme": "basic", "description": "API key id as user, secret as password."},
            "bearer": {"type": "http", "scheme": "bearer", "description": "API key id, a dot, and its secret."},
        }
    return document


def _mark(document: dict[str, Any], documented: Documented) -> None:
    """Says of each field and parameter that stands beside documented ones that it is ours."""
    for name, fields in documented.fields.items():
        for field, schema in document["components"]["schemas"].get(name, {}).get("properties", {}).items():
            if field not in fields:
                schema["x-basis"] = OURS
    for item in document["paths"].values():
        for operation in (each for each in item.values() if isinstance(each, dict) and each["x-basis"] != OURS):
            known = documented.parameters.get(operation["operationId"], frozenset())
            for parameter in operation["parameters"]:
                if parameter["in"] != "path" and parameter["name"] not in known:
                    parameter["x-basis"] = OURS


class _Schemas:
    """Schema by type, for types that appeared in some endpoint."""

    def __init__(self, types: list[Any], schemas: tuple[dict[str, Any], ...]) -> None:
        self._by_key = {repr(type_): schema for type_, schema in zip(types, schemas, strict=True)}

    def __getitem__(self, type_: Any) -> dict[str, Any]:
        return self._by_key[repr(type_)]


def _schemas(declared: Sequence[Endpoint]) -> tuple[_Schemas, dict[str, Any]]:
    types: list[Any] = [ProblemBody, str]
    for each in declared:
        types += [t for t in (each.body, each.returns, *each.also.values()) if t is not None]
        types += [each.params.get(name, str) for name in each.path_params]
        if each.query is not None:
            types += [field.type for field in msgspec.structs.fields(each.query)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    for cls in _structs(msgspec.inspect.multi_type_info(types)):
        extra = getattr(cls, "__openapi__", None)
        if extra and cls.__name__ in components:
            components[cls.__name__].update(extra)
    return _Schemas(types, schemas), dict(sorted(components.items()))


def _structs(value: Any, seen: set[type] | None = None) -> set[type]:
    """Every struct class within msgspec type information."""
    seen = set() if seen is None else seen
    if isinstance(value, msgspec.inspect.StructType):
        if value.cls not in seen:
            seen.add(value.cls)
            _structs([field.type for field in value.fields], seen)
    elif isinstance(value, msgspec.inspect.Type):
        _structs([getattr(value, name) for name in type(value).__struct_fields__], seen)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _structs(each, seen)
    return seen


def _operation(each: Endpoint, schemas: _Schemas, secured: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": each.operation_id,
        "summary": each.summary,
        "x-basis": each.basis,
        "parameters": [*_path_parameters(each, schemas), *_query_parameters(each, schemas)],
        "responses": _responses(each, schemas, secured),
    }
    if each.description:
        operation["description"] = each.description
    if each.tag:
        operation["tags"] = [each.tag]
    if each.body is not None:
        content = {"application/json": {"schema": schemas[each.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    if secured and each.public:
        operation["security"] = []
    elif secured:
        operation["x-scope"] = each.scope
    return operation


def _put_around(operation: dict[str, Any], around: Around, success: str) -> None:
    """Adds what goes around every write: its header, and what it may add to the answers."""
    parameter = {"name": around.header, "in": "header", "required": False, "description": around.description}
    operation["parameters"].append({**parameter, "schema": dict(around.schema)})
    headers = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in around.response_headers.items()
    }
    answers = operation["responses"]
    answers[success].setdefault("headers", {}).update(headers)
    for status in map(str, around.errors):
        answers.setdefault(status, {**answers["400"], "description": HTTPStatus(int(status)).phrase})
    operation["responses"] = {status: answers[status] for status in sorted(answers)}


def _path_parameters(each: Endpoint, schemas: _Schemas) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": schemas[each.params.get(name, str)]}
        for name in each.path_params
    ]


def _query_parameters(each: Endpoint, schemas: _Schemas) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    parameters = []
    for field in msgspec.structs.fields(each.query):
        schema = _without_null(dict(schemas[field.type]))
        parameter: dict[str, Any] = {"name": field.encode_name, "in": "query", "required": field.required}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if field.default not in (msgspec.NODEFAULT, None, msgspec.UNSET):
            schema["default"] = field.default
        parameters.append({**parameter, "schema": schema})
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is absent rather than null: drop the null arm of an optional one."""
    arms = [arm for arm in schema.get("anyOf", ()) if arm != {"type": "null"}]
    if len(arms) == 1:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return {**arms[0], **rest}
    return schema


def _responses(each: Endpoint, schemas: _Schemas, secured: bool) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(each.status).phrase}
    if each.returns is not None:
        success["content"] = {each.media_type: {"schema": schemas[each.returns]}}
    if each.response_headers:
        success["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in each.response_headers.items()
        }
    also = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {each.media_type: {"schema": schemas[type_]}},
        }
        for status, type_ in each.also.items()
    }
    statuses = {*each.errors, 400, 500}
    if each.body is not None:
        statuses |= {408, 413, 415}
    if secured and not each.public:
        statuses |= {401, 403, 429, 503}
    problem = {MEDIA_TYPE: {"schema": schemas[ProblemBody]}}
    errors = {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem, **_error_headers(status)}
        for status in sorted(statuses)
    }
    return {str(each.status): success, **also, **errors}


def _error_headers(status: int) -> dict[str, Any]:
    names: Mapping[int, str] = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
    name = names.get(status)
    return {"headers": {name: {"schema": {"type": "string"}}}} if name else {}
