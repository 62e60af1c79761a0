"""Bodies and queries become typed structs, or a 400 that names every wrong field (first 20).

msgspec stops at the first error, which is right for the fast path. Only a request that failed is decoded again,
untyped, and searched: a part that converts is skipped whole, a part that does not is opened further.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import msgspec

from .problem import (
    MALFORMED_BODY,
    MAX_FIELD_ERRORS,
    MISSING_FIELD,
    UNKNOWN_FIELD,
    FieldError,
    child,
    invalid,
    shorten,
)

T = TypeVar("T")
_NO_MEMBER = "Invalid enum value"
_known_names: dict[type[Any], dict[str, str]] = {}
MAX_SEARCHED = 20_000
"""Entries of one list or object that are searched for errors; past them msgspec's own first error stands."""
MAX_SEARCHED_BYTES = 4 << 20
"""Of a longer body only the first error is named: decoded untyped it may take forty times its size, and seconds."""


class NoQuery(msgspec.Struct):
    """The query of an endpoint that declares none: every parameter is one too many."""


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_body(type_: type[T], raw: bytes, decoder: msgspec.json.Decoder[T] | None = None) -> T:
    """`raw` (JSON) as `type_`. Raises `Problem` 400 with one error per wrong field, 20 at most."""
    if not raw or raw.isspace():
        raise invalid([FieldError("$", "The request needs a JSON body, but it is empty.", MALFORMED_BODY)])
    try:
        return (decoder or msgspec.json.Decoder(type_)).decode(raw)
    except _UNREADABLE as error:
        raise invalid(_body_errors(type_, raw, error)) from None


def decode_query(type_: type[T], pairs: Iterable[tuple[str, str]]) -> T:
    """Query parameters as `type_`. Raises `Problem` 400 naming unknown, repeated and wrong ones."""
    values: dict[str, str] = {}
    errors: list[FieldError] = []
    known = _names(type_)
    for name, value in pairs:
        if name not in known:
            where = f"query.{shorten(name)}"
            errors.append(FieldError(where, _unknown(name, "parameter", known), UNKNOWN_FIELD))
        elif name in values:
            errors.append(FieldError(f"query.{name}", "Give this parameter once."))
        values[name] = value
    if errors:
        raise invalid(errors)
    try:
        query = msgspec.convert(values, type_, strict=False)
        errors = list(_nulls(query, values))
        if not errors:
            return query
        raise invalid(errors)
    except msgspec.ValidationError as error:
        found = collect_errors(type_, values, strict=False) or [FieldError("$", _message(error))]
    raise invalid(FieldError("query" + each.path[1:], each.message, each.code) for each in found)


def _nulls(query: object, values: Mapping[str, str]) -> Iterator[FieldError]:
    """Parameters whose text was read as null: a parameter is absent rather than null."""
    known = _names(type(query))
    for name in values:
        if getattr(query, known[name]) is None:
            yield FieldError(f"query.{name}", "Not a value of this parameter: leave it out instead.")


def _names(type_: type[Any]) -> dict[str, str]:
    """What the parameters of a query are called in the address, and in the struct; looked up once for each type."""
    known = _known_names.get(type_)
    if known is None:
        known = _known_names[type_] = {field.encode_name: field.name for field in msgspec.structs.fields(type_)}
    return known


def collect_errors(
    annotation: Any, value: Any, path: str = "$", *, strict: bool = True, limit: int = MAX_FIELD_ERRORS
) -> list[FieldError]:
    """What is wrong with `value` (JSON already decoded) as `annotation`: up to `limit` errors with their paths."""
    found: list[FieldError] = []
    _search(annotation, value, path, found, strict=strict, limit=limit)
    return found


def _body_errors(type_: Any, raw: bytes, error: Exception) -> list[FieldError]:
    if len(raw) > MAX_SEARCHED_BYTES and isinstance(error, msgspec.ValidationError):
        return [FieldError("$" + _path_in(error), _message(error))]
    try:
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return [FieldError("$", "The body is not UTF-8.", MALFORMED_BODY)]
    except RecursionError:
        return [FieldError("$", "The body is nested too deeply.", MALFORMED_BODY)]
    except msgspec.MsgspecError as malformed:
        return [FieldError("$", f"The body is not valid JSON: {malformed}.", MALFORMED_BODY)]
    return collect_errors(type_, value) or [FieldError("$", _message(error))]


def _search(annotation: Any, value: Any, path: str, found: list[FieldError], *, strict: bool, limit: int) -> None:
    if len(found) >= limit:
        return
    try:
        msgspec.convert(value, annotation, strict=strict)
        return
    except msgspec.ValidationError as error:
        message, deeper = _message(error), _path_in(error)
    except RecursionError:
        message, deeper = "Nested too deeply.", ""
    before = len(found)
    for part, inner, where in _parts(annotation, value, path, found):
        _search(part, inner, where, found, strict=strict, limit=limit)
    if len(found) == before:
        if message.startswith(_NO_MEMBER) and not deeper:
            message = shorten(f"{message[:-1]}: expected {' or '.join(_members(annotation))}.")
        found.append(FieldError(path + deeper, message))
    del found[limit:]


def _parts(annotation: Any, value: Any, path: str, found: list[FieldError]) -> Iterable[tuple[Any, Any, str]]:
    """The members of `value` with their types and paths; unknown and missing fields go to `found` at once."""
    type_ = _member(annotation, value)
    origin = typing.get_origin(type_)
    if isinstance(value, dict) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return list(_struct_parts(type_, value, path, found))
    if isinstance(value, dict) and origin is dict:
        _, inner = typing.get_args(type_)
        return ((inner, each, child(path, str(key))) for key, each in islice(value.items(), MAX_SEARCHED))
    if isinstance(value, list) and origin in (list, tuple):
        inner = typing.get_args(type_)[0]
        return ((inner, each, f"{path}[{index}]") for index, each in enumerate(value[:MAX_SEARCHED]))
    return ()


def _struct_parts(
    type_: type[msgspec.Struct], value: dict[str, Any], path: str, found: list[FieldError]
) -> Iterable[tuple[Any, Any, str]]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    if type_.__struct_config__.forbid_unknown_fields:
        for name in value:
            if len(found) == MAX_FIELD_ERRORS:
                return
            if name not in fields:
                where = child(path, shorten(name))
                found.append(FieldError(where, _unknown(name, "field", fields), UNKNOWN_FIELD))
    for name, field in fields.items():
        if name in value:
            yield field.type, value[name], child(path, name)
        elif field.required:
            found.append(FieldError(child(path, name), f"The field {name!r} is required.", MISSING_FIELD))


def _member(annotation: Any, value: Any) -> Any:
    """The arm of a union that fits the JSON kind of `value`, without `Annotated`."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    for arm in typing.get_args(annotation):
        plain = _member(arm, value)
        origin = typing.get_origin(plain) or plain
        if isinstance(value, dict) and isinstance(origin, type) and issubclass(origin, (msgspec.Struct, dict)):
            return plain
        if isinstance(value, list) and origin in (list, tuple):
            return plain
    return annotation


def _members(annotation: Any) -> Iterator[str]:
    """The values that the enums and literals of an annotation name."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        yield from map(str, typing.get_args(annotation))
    elif origin in (typing.Union, types.UnionType):
        for arm in typing.get_args(annotation):
            yield from _members(arm)
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield from (str(member.value) for member in annotation)


def _path_in(error: Exception) -> str:
    """Where msgspec says an error is, relative to the value it was given."""
    return str(error).partition(" - at `$")[2].removesuffix("`")


def _message(error: Exception) -> str:
    """msgspec's message without its path (the error carries the path itself)."""
    text = str(error).partition(" - at `")[0]
    return shorten(text if text.endswith(".") else text + ".")


def _unknown(name: str, kind: str, known: Iterable[str]) -> str:
    listed = ", ".join(sorted(known)) or "none"
    return f"Unknown {kind} {shorten(name)[:80]!r}. Known here: {listed}."
