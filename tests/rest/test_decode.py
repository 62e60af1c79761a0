"""Decoding: every wrong field is named, twenty at most."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.things import NewThing, ThingQuery

from heliogram.rest import FieldError, Problem, child, collect_errors, decode_body, decode_query, pointer
from heliogram.rest.decode import MAX_SEARCHED, MAX_SEARCHED_BYTES
from heliogram.rest.problem import MAX_FIELD_ERRORS


def refused(raw: bytes) -> tuple[FieldError, ...]:
    """The errors of a body that must be refused."""
    with pytest.raises(Problem) as caught:
        decode_body(NewThing, raw)
    assert caught.value.status == 400
    assert caught.value.code == caught.value.errors[0].code
    return caught.value.errors


def paths(raw: bytes) -> list[str]:
    """Where the errors of a body are."""
    return [each.path for each in refused(raw)]


def test_several_problems_are_reported_at_once() -> None:
    """Unknown, missing and ill-typed fields at any depth come in one answer."""
    raw = b"""{"parts": [{"partName": "ok"}, {"partName": "", "x": 1}, {"weight": -1}, 7],
               "labels": {"a": 1, "b c": "x"}, "maker": {"partName": 5}, "colour": "red"}"""
    assert sorted(paths(raw)) == [
        "$.colour",
        '$.labels["b c"]',
        "$.maker.partName",
        "$.name",
        "$.parts[1].partName",
        "$.parts[1].x",
        "$.parts[2].partName",
        "$.parts[2].weight",
        "$.parts[3]",
    ]


@pytest.mark.parametrize(("size", "count"), [(MAX_SEARCHED_BYTES, 2), (MAX_SEARCHED_BYTES + 1, 1)])
def test_a_very_long_body_is_not_searched(size: int, count: int) -> None:
    """Past 4 MiB the first error alone is named: the search decodes all of it a second time, into Python's objects."""
    body = b'{"name": 1, "parts": 2}'
    assert len(paths(body + b" " * (size - len(body)))) == count


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Painted(msgspec.Struct):
    colour: Colour | None = None
    size: Annotated[Literal["s", 1] | None, msgspec.Meta(description="How large.")] = None


def test_what_a_field_may_be_is_told() -> None:
    """Of an enum the values that there are, in bodies and queries; null and other types are told as such."""
    with pytest.raises(Problem) as caught:
        decode_body(Painted, b'{"colour": "green", "size": "m"}')
    assert [each.message for each in caught.value.errors] == [
        "Invalid enum value 'green': expected red or blue.",
        "Invalid enum value 'm': expected s or 1.",
    ]
    with pytest.raises(Problem, match="'green': expected red or blue"):
        decode_query(Painted, [("colour", "green")])
    with pytest.raises(Problem, match=r"Expected `str \| null`, got `int`"):
        decode_body(Painted, b'{"colour": 1}')


def test_an_unknown_field_is_refused_by_name() -> None:
    """The message names the field and those that exist."""
    (error,) = refused(b'{"name": "a", "parts": [{"partName": "b"}], "nmae": 1}')
    assert error.message == "Unknown field 'nmae'. Known here: labels, maker, name, parts."
    assert error.code == 70005


def test_a_missing_field_is_named() -> None:
    """A required field that is not there has a code of its own."""
    (error,) = refused(b'{"name": "a"}')
    assert error == FieldError("$.parts", "The field 'parts' is required.", 70004)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "The request needs a JSON body, but it is empty."),
        (b" \n", "The request needs a JSON body, but it is empty."),
        (b"{", "The body is not valid JSON"),
        (b"\xff", "The body is not valid JSON"),
        (b'{"name": "\xff"}', "The body is not UTF-8"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"name": "a", "parts": []} x', "The body is not valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_an_object_is_one_error(raw: bytes, message: str) -> None:
    """Empty, malformed, mis-encoded and bottomless bodies are a 400 about the body."""
    (error,) = refused(raw)
    assert error.path == "$"
    assert error.code == (70003 if message.startswith("Expected") else 70002)
    assert message in error.message


@pytest.mark.parametrize(("wrong", "reported"), [(1, 1), (20, 20), (21, 20), (100, 20)])
def test_the_first_twenty_errors_are_reported(wrong: int, reported: int) -> None:
    """A body of a hundred wrong entries does not answer a hundred errors."""
    raw = msgspec.json.encode({"name": "a", "parts": [{"partName": i} for i in range(wrong)]})
    assert paths(raw) == [f"$.parts[{i}].partName" for i in range(reported)]


class Numbers(msgspec.Struct):
    """A list without a bound."""

    numbers: list[int]


@pytest.mark.parametrize("index", [MAX_SEARCHED - 1, MAX_SEARCHED])
def test_an_error_far_down_a_list_is_found(index: int) -> None:
    """Past the entries that are searched one by one, the first error is still named."""
    numbers: list[Any] = [0] * index + ["x", "y"]
    found = collect_errors(Numbers, {"numbers": numbers})
    assert found[0] == FieldError(f"$.numbers[{index}]", "Expected `int`, got `str`.")
    assert len(found) == 1


def test_a_list_too_long_is_named() -> None:
    """Bounds of a list are errors of the list itself."""
    raw = msgspec.json.encode({"name": "a", "parts": [{"partName": "b"}] * 101})
    (error,) = refused(raw)
    assert error == FieldError("$.parts", "Expected `array` of length <= 100.")


@pytest.mark.parametrize(("valid", "path"), [(MAX_SEARCHED - 1, '$.labels["a b"]'), (MAX_SEARCHED, "$.labels[...]")])
def test_an_object_is_searched_as_far_as_a_list(valid: int, path: str) -> None:
    """The search for errors has a bound in objects too: past it msgspec's own first error stands."""
    labels: dict[str, object] = {f"k{index}": 0 for index in range(valid)}
    raw = msgspec.json.encode({"name": "a", "parts": [{"partName": "b"}], "labels": {**labels, "a b": "x"}})
    assert paths(raw) == [path]


def test_unknown_fields_are_looked_at_no_further_than_they_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million unknown fields cost no more than twenty."""
    looked_at: list[str] = []

    def told(name: str, *_: object) -> str:
        looked_at.append(name)
        return name

    monkeypatch.setattr("heliogram.rest.decode._unknown", told)
    assert len(paths(msgspec.json.encode({f"k{index}": 0 for index in range(1_000)}))) == MAX_FIELD_ERRORS
    assert len(looked_at) == MAX_FIELD_ERRORS


def test_an_answer_never_echoes_a_large_input() -> None:
    """A field name of a megabyte is cut."""
    (error,) = refused(b'{"name": "a", "parts": [{"partName": "b"}], "' + b"x" * 1_000_000 + b'": 1}')
    assert len(error.message) < 400
    assert len(error.path) < 400


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ([("pageSize", "0")], "query.pageSize"),
        ([("pageSize", "1001")], "query.pageSize"),
        ([("pageSize", "ten")], "query.pageSize"),
        ([("colour", "red"), ("colour", "blue")], "query.colour"),
        ([("color", "red")], "query.color"),
    ],
)
def test_a_wrong_query_parameter_is_named(query: list[tuple[str, str]], path: str) -> None:
    """Out of range, repeated and unknown parameters are refused."""
    with pytest.raises(Problem) as caught:
        decode_query(ThingQuery, query)
    assert [each.path for each in caught.value.errors] == [path]


@pytest.mark.parametrize("size", [1, 1000])
def test_page_sizes_from_1_to_1000_are_taken(size: int) -> None:
    """The edges belong to the range; text becomes numbers."""
    assert decode_query(ThingQuery, [("pageSize", str(size))]).page_size == size


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", "#"),
        ("$.to[0].token", "#/to/0/token"),
        ('$.a["b c"][3]', "#/a/b c/3"),
        ('$["a/b~c"]', "#/a~1b~0c"),
        ("query.pageSize", None),
    ],
)
def test_a_json_path_becomes_a_json_pointer(path: str, expected: str | None) -> None:
    """RFC 6901, with its two escapes."""
    assert pointer(path) == expected


@given(st.text(min_size=1, max_size=20))
def test_every_member_name_survives_the_way_to_a_pointer(name: str) -> None:
    """Whatever a client calls a field, path and pointer find it."""
    assert pointer(child("$", name)) == "#/" + name.replace("~", "~0").replace("/", "~1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "name", "partName", "x" * 9]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "parts", "partName", "weight", "labels", "maker", "z"]), inner)
    ),
    max_leaves=15,
)


@settings(max_examples=150)
@given(JSON)
def test_a_value_has_errors_exactly_when_it_does_not_decode(value: Any) -> None:
    """The search never misses a refusal and never invents one."""
    raw = msgspec.json.encode(value)
    try:
        msgspec.json.decode(raw, type=NewThing)
    except msgspec.ValidationError:
        assert collect_errors(NewThing, value)
    else:
        assert not collect_errors(NewThing, value)


@pytest.mark.parametrize("text", ["null", "Null", "NULL"])
def test_a_parameter_is_never_null(text: str) -> None:
    """The word is no value of a parameter that is no text: one that is not meant is left out."""
    with pytest.raises(Problem) as caught:
        decode_query(NullableQuery, [("flag", text)])
    assert [each.path for each in caught.value.errors] == ["query.flag"]
    assert decode_query(NullableQuery, [("word", "null")]).word == "null"
    assert decode_query(NullableQuery, []).flag is None


class NullableQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Parameters that may be left out."""

    flag: bool | None = None
    word: str | None = None
