"""Templates: the compiled path, and what happens without python-liquid."""

from __future__ import annotations

import contextlib
import sys
import time
import timeit
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heliogram.domain
from heliogram.domain.template import RenderError, TemplateError, compile_template, has_tags


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
        ("{ {name} } }}", {"name": "x"}, "{ {name} } }}"),
        ("{{ name-2 }}{{ _n }}", {"name-2": "a", "_n": "b"}, "ab"),
        ("{{ name }}", {"name": "{{ other }}", "other": "x"}, "{{ other }}"),
        ("{{\n name\n}}", {"name": "x"}, "x"),
    ],
)
def test_a_template_renders(text: str, variables: dict[str, Any], rendered: str) -> None:
    """As Liquid does it: names, `default`, white space control; a value is never a template itself."""
    assert compile_template(text).render(variables) == rendered


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ name | upcase }}", "upcase"),
        ("{{ user.name }}", "user.name"),
        ("{{ name | default: other }}", "other"),
        ("{% if x %}", "{%"),
        ("fine {{ name }} {% raw %}", "{%"),
    ],
)
def test_without_the_extra_full_liquid_is_refused_and_the_extra_named(
    monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    """Where python-liquid is not installed, the message quotes the tag, names the extra, and says what works."""
    monkeypatch.delitem(sys.modules, "heliogram.domain.sandbox", raising=False)
    monkeypatch.delattr(heliogram.domain, "sandbox", raising=False)
    monkeypatch.setitem(sys.modules, "liquid", None)
    with pytest.raises(TemplateError) as raised:
        compile_template(text)
    assert shown in str(raised.value)
    assert "heliogram[liquid]" in str(raised.value)
    assert "{{ name | default: 'text' }}" in str(raised.value)


def test_without_the_extra_a_long_tag_is_quoted_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error does not repeat a page of text."""
    monkeypatch.delitem(sys.modules, "heliogram.domain.sandbox", raising=False)
    monkeypatch.delattr(heliogram.domain, "sandbox", raising=False)
    monkeypatch.setitem(sys.modules, "liquid", None)
    with pytest.raises(TemplateError) as raised:
        compile_template("{{ " + "x y" * 10_000 + " }}")
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("text", ["no tags", "{{ name }}", "{{ name | default: 'x' }}"])
def test_names_and_defaults_are_light(text: str) -> None:
    """The common case never leaves the compiled path."""
    assert not compile_template(text).heavy


def test_a_light_template_takes_microseconds() -> None:
    """Two tags render in about 4 µs; a hundred times that would still fail here, the shortest of many being taken."""
    render = compile_template("Hi {{ name | default: 'there' }}, {{ n }} new").render
    variables = {"name": "Ann", "n": 3}
    assert min(timeit.repeat(lambda: render(variables), number=100, repeat=20)) / 100 < 200e-6


@pytest.mark.parametrize(
    ("value", "text"),
    [([1, None, "a", True], "1atrue"), ({"a": 1}, '{"a":1}'), ([], ""), (10**30, str(10**30))],
)
def test_lists_and_objects_become_text(value: object, text: str) -> None:
    """Lists run together, objects are JSON."""
    assert compile_template("{{ x }}").render({"x": value}) == text


@pytest.mark.parametrize("value", [[], {}])
def test_empty_lists_and_objects_take_the_default(value: object) -> None:
    """As in Liquid, empty is as good as missing."""
    assert compile_template("{{ x | default: 'none' }}").render({"x": value}) == "none"


@pytest.mark.parametrize(
    "text", ["Hi {{ name }, you", "{{", "{{ a }} {{ b", "{{ a {% if b %}c{% endif %}", "{{- " + "a" * 999]
)
def test_a_tag_that_is_never_closed_is_refused(text: str) -> None:
    """As Liquid does: it is a slip that every phone would show. Closing braces alone are text."""
    with pytest.raises(TemplateError, match="never closed: end the tag with }}") as caught:
        compile_template(text)
    assert len(str(caught.value)) < 200
    assert has_tags(text)
    assert compile_template("a } }} %}").render({}) == "a } }} %}"


@pytest.mark.parametrize(
    "text",
    ["{{" * 500_000, " " * 1_000_000 + "{{- x }}", "{{ x }} " * 100_000, "{{ x " + " " * 1_000_000],
    ids=["openings", "spaces", "tags", "unclosed"],
)
def test_a_hostile_text_costs_no_more_than_a_long_one(text: str) -> None:
    """Compiling takes time in proportion to the length: a megabyte well under a second or two."""
    begin = time.process_time()
    with contextlib.suppress(TemplateError):
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
    with contextlib.suppress(RenderError):
        assert has_tags(text) or template.render({}) == text
