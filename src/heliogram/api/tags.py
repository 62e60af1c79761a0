"""Tags: the caller's own labels on sends (push-api.md 2.6)."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from ..domain.errors import Code, FieldProblem
from ..rest import FieldError, invalid

MAX_TAGS = 10
MAX_KEY = 128
MAX_VALUE = 256
_CHARACTERS = r"[A-Za-z0-9._~-]"
_KEY = re.compile(f"{_CHARACTERS}{{1,{MAX_KEY}}}")
_VALUE = re.compile(f"{_CHARACTERS}{{1,{MAX_VALUE}}}")
_FILTER = f"^({_CHARACTERS}+:{_CHARACTERS}+)(;{_CHARACTERS}+:{_CHARACTERS}+){{0,9}};?$"

_SCHEMA: dict[str, Any] = {
    "maxProperties": MAX_TAGS,
    "propertyNames": {"pattern": f"^{_CHARACTERS}{{1,{MAX_KEY}}}$"},
    "additionalProperties": {"type": "string", "pattern": f"^{_CHARACTERS}{{1,{MAX_VALUE}}}$"},
}

TagsIn = Annotated[
    dict[str, str],
    msgspec.Meta(
        description="Up to 10 labels of yours, kept with the send and to be filtered by. Keys have 1 to 128 characters,"
        " values 1 to 256, of A-Z a-z 0-9 . _ ~ -",
        extra_json_schema=_SCHEMA,
    ),
]
TagFilter = Annotated[
    str,
    msgspec.Meta(
        description="Only with all of these tags: `key_1:value;key_2:value;`, up to 10.",
        extra_json_schema={"pattern": _FILTER},
    ),
]


def read_tags(tags: dict[str, str] | None) -> tuple[dict[str, str] | None, list[FieldProblem]]:
    """The tags of a send (None for none), and what is wrong with them."""
    if not tags:
        return None, []
    if len(tags) > MAX_TAGS:
        message = f"at most {MAX_TAGS} tags, this has {len(tags)}: leave some out"
        return None, [FieldProblem("$.tags", message, Code.TOO_MANY_TAGS)]
    problems = []
    for key, value in tags.items():
        if not _KEY.fullmatch(key):
            message = f"a key has 1 to {MAX_KEY} characters of A-Z a-z 0-9 . _ ~ -, unlike {key[:MAX_KEY]!r}"
            problems.append(FieldProblem("$.tags", message))
        elif not _VALUE.fullmatch(value):
            problems.append(FieldProblem(f"$.tags[{key!r}]", f"1 to {MAX_VALUE} characters of A-Z a-z 0-9 . _ ~ -"))
    return tags, problems


def read_tag_filter(text: str | None) -> dict[str, str] | None:
    """The pairs of a filter. Raises a 400 for a text that is none."""
    if text is None:
        return None
    pairs = text.removesuffix(";").split(";")
    wanted = {}
    for pair in pairs:
        key, colon, value = pair.partition(":")
        if not colon or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value) or key in wanted:
            message = "Expected pairs such as key_1:value;key_2:value; with each key once."
            raise invalid([FieldError("query.tags", message, Code.INVALID_VALUE)])
        wanted[key] = value
    if len(wanted) > MAX_TAGS:
        raise invalid([FieldError("query.tags", f"At most {MAX_TAGS} tags.", Code.INVALID_VALUE)])
    return wanted
