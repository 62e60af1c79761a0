"""Templates and payloads."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.errors import Code, Invalid
from heliogram.domain.notifications import Content, SendSpec
from heliogram.domain.render import (
    Renderer,
    TemplateError,
    check_templates,
    compile_template,
    has_tags,
    smallest_payload,
)


def spec_of(body: str, title: str | None = None, sound: str | None = None) -> SendSpec:
    return SendSpec(app_name="shop", content=Content(body=body, title=title), sound=sound)


@pytest.mark.parametrize(
    ("text", "variables", "rendered"),
    [
        ("no tags", {}, "no tags"),
        ("", {}, ""),
        ("Hi {{ name }}!", {"name": "Ann"}, "Hi Ann!"),
        ("{{name}}{{ name}}{{name }}", {"name": "x"}, "xxx"),
        ("Hi {{ name }}!", {}, "Hi !"),
        ("{{ n }} {{ f }}", {"n": 3, "f": 2.5}, "3 2.5"),
        ("{{ yes }} {{ no }} {{ nil }}.", {"yes": True, "no": False, "nil": None}, "true false ."),
        ("{{ name | default: 'there' }}", {}, "there"),
        ('{{name|default:"there"}}', {"name": ""}, "there"),
        ("{{ name | default: 'there' }}", {"name": False}, "there"),
        ("{{ name | default: 'there' }}", {"name": None}, "there"),
        ("{{ name | default: 'there' }}", {"name": "Ann"}, "Ann"),
        ("{{ n | default: 7 }} {{ m | default: -1.5 }}", {"n": 0}, "0 -1.5"),
        ("{{ name | default: '' }}.", {}, "."),
        ("""{{ a | default: "it's" }} {{ b | default: "'b'" }}""", {}, "it's 'b'"),
        ("a {{- name -}} b", {"name": "-"}, "a-b"),
        ("a {{- x }} {{ y -}}  b", {"x": 1, "y": 2}, "a1 2b"),
        ("{{ name }", {"name": "x"}, "{{ name }"),
        ("{ {name} } }}", {"name": "x"}, "{ {name} } }}"),
        ("{{ name-2 }}{{ _n }}", {"name-2": "a", "_n": "b"}, "ab"),
        ("{{ name }}", {"name": "{{ other }}", "other": "x"}, "{{ other }}"),
        ("{{\n name\n}}", {"name": "x"}, "x"),
    ],
)
def test_a_template_renders(text: str, variables: dict[str, Any], rendered: str) -> None:
    """As Liquid does it: names, `default`, white space control; a value is never a template itself."""
    assert compile_template(text)(variables) == rendered


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ name | upcase }}", "upcase"),
        ("{{ user.name }}", "user.name"),
        ("{{ }}", "{{ }}"),
        ("{{ 'text' }}", "text"),
        ("{{ name | default: other }}", "other"),
        ("{{ name | default: 'a' | upcase }}", "upcase"),
        ("{% if x %}", "{%"),
        ("fine {{ name }} {% raw %}", "{%"),
        ("{{ {{ name }} }}", "{{ {{ name }}"),
    ],
)
def test_liquid_beyond_that_is_refused_with_what_it_was(text: str, shown: str) -> None:
    """The message quotes the tag and says what to write."""
    with pytest.raises(TemplateError) as raised:
        compile_template(text)
    assert shown in str(raised.value)
    assert "{{ name | default: 'text' }}" in str(raised.value)


def test_a_long_tag_is_quoted_in_part() -> None:
    """An error does not repeat a page of text."""
    with pytest.raises(TemplateError) as raised:
        compile_template("{{ " + "x y" * 10_000 + " }}")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "text",
    ["{{" * 500_000, " " * 1_000_000 + "{{- x }}", "{{ x }} " * 100_000, "{{ x " + " " * 1_000_000],
    ids=["openings", "spaces", "tags", "unclosed"],
)
def test_a_hostile_text_costs_no_more_than_a_long_one(text: str) -> None:
    """Compiling takes time in proportion to the length: a megabyte well under a second or two."""
    begin = time.process_time()
    compile_template(text)
    has_tags(text)
    assert time.process_time() - begin < 5


@given(text=st.text(st.sampled_from(list("{}%- ax|'\"\n")), max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """Nothing else happens, and text without tags renders as itself."""
    try:
        template = compile_template(text)
    except TemplateError:
        return
    assert has_tags(text) or template({}) == text


def test_a_payload_has_the_texts_and_the_sound() -> None:
    """Title and body under `alert`, the sound beside it; what is not given is not there."""
    full = Renderer(spec_of("b {{ n }}", "t {{ n }}", "bell.caf")).payload({"n": 1})
    assert msgspec.json.decode(full) == {"aps": {"alert": {"title": "t 1", "body": "b 1"}, "sound": "bell.caf"}}
    assert msgspec.json.decode(Renderer(spec_of("b")).payload(None)) == {"aps": {"alert": {"body": "b"}}}


def test_a_payload_without_variables_is_made_once() -> None:
    """Every recipient gets the very same bytes."""
    renderer = Renderer(spec_of("hello"))
    assert renderer.static
    assert renderer.payload({"n": 1}) is renderer.payload(None)
    assert not Renderer(spec_of("hello", "{{ n }}")).static


def test_bad_templates_are_named_by_field() -> None:
    """Each text field with a template that is not understood is in the error."""
    with pytest.raises(Invalid) as raised:
        check_templates(Content(title="{% x %}", body="{{ a.b }}"))
    assert [(p.path, p.code) for p in raised.value.problems] == [
        ("$.content.title", Code.TEMPLATE),
        ("$.content.body", Code.TEMPLATE),
    ]
    check_templates(Content(body="{{ fine }}"))


@given(value=st.text(max_size=20))
def test_no_payload_is_smaller_than_the_smallest(value: str) -> None:
    """The bytes of the literal text are a floor for every recipient."""
    spec = spec_of("a  {{- x -}}  b {{ y | default: 'zz' }}", "{{ x }} ü", "s")
    assert len(Renderer(spec).payload({"x": value, "y": value})) >= smallest_payload(spec)


def test_the_smallest_payload_of_literals_that_meet_is_no_template() -> None:
    """Text around a tag is not read as a tag once the tag is gone."""
    spec = spec_of("{ {{- x }}% bad %}")
    assert smallest_payload(spec) == len(b'{"aps":{"alert":{"body":"{% bad %}"}}}')
