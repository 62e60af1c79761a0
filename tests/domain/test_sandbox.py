"""Full Liquid, shut in: what it renders, what it refuses, and that nothing takes long."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.domain import sandbox
from heliogram.domain.template import RenderError, TemplateError, compile_template

LISTED = "{% for i in items %}{{ i.title }}{% unless forloop.last %}, {% endunless %}{% endfor %}"
ITEMS = [{"title": "Tea"}, {"title": "Jam"}]


def render(text: str, **variables: Any) -> str:
    template = compile_template(text)
    assert template.heavy
    return template.render(variables)


@pytest.mark.parametrize(
    ("text", "variables", "rendered"),
    [
        ("Hi {{ name | upcase }}", {"name": "ann"}, "Hi ANN"),
        ("Hi {{ name | upcase }}", {}, "Hi "),
        ("{{ user.name }} {{ items[1].title }}", {"user": {"name": "Ann"}, "items": ITEMS}, "Ann Jam"),
        ("{{ name | default: other }}", {"other": "you"}, "you"),
        ("{% if n > 3 %}many{% elsif n == 1 %}one{% else %}few{% endif %}", {"n": 1}, "one"),
        ("{% unless vip %}x{% endunless %}{% case l %}{% when 'de' %}Hallo{% else %}Hello{% endcase %}", {}, "xHello"),
        (LISTED, {}, ""),
        (LISTED, {"items": ITEMS}, "Tea, Jam"),
        ("{% for i in (1..3) %}{{ i }}{% endfor %}", {}, "123"),
        ("{% for i in (1..n) reversed %}{{ i }}{% endfor %}", {"n": 3}, "321"),
        ("{% assign a = 'x' | append: 'y' %}{% capture b %}{{ a }}!{% endcapture %}{{ b }}", {}, "xy!"),
        ("{{ 5.123 | round: 2 }} {{ 5.6 | round }} {{ '7.6' | round }} {{ nil | round }}", {}, "5.12 6 8 0"),
        ("{{ d | date: '%d %b %Y %H:%M' }}", {"d": "2026-03-19T09:30:00+01:00"}, "19 Mar 2026 09:30"),
        ("{{ d | date: '%Y-%m-%d' }}", {"d": 1_700_000_000}, "2023-11-14"),
        ("{{ d | date: '%Y' }}", {"d": "someday"}, "someday"),
        ("{{ d | date: '%Y' }}.", {}, "."),
        ("{{ d | date: '%Y' }}", {"d": "\u0661\u0662"}, "\u0661\u0662"),
        ("{{ d | default: \u0661\u0662 }}", {}, "12"),
        ("{% raw %}{{ x }}{% endraw %}", {}, "{{ x }}"),
        ("{% comment %}x{% endcomment %}{% # y %}z", {}, "z"),
        ("{{ x }}{% if true %}{% endif %}", {"x": "{{ y }}", "y": 1}, "{{ y }}"),
    ],
)  # fmt: skip
def test_liquid_renders(text: str, variables: dict[str, Any], rendered: str) -> None:
    """Filters, conditions, loops, assignments; what is missing is nothing; a value is never a template itself."""
    assert render(text, **variables) == rendered


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ x | nope }}", "unknown filter 'nope' (line 1, character 8)"),
        ("{% if %}", "missing expression"),
        ("{% if x %}", "expected tag endif"),
        ("{{ }}", "expected a primitive expression"),
        ("{% include 'x' %}", "unexpected tag 'include'"),
        ("{% render 'x' %}", "unexpected tag 'render'"),
        ("{% tablerow i in (1..3) %}{% endtablerow %}", "unexpected tag 'tablerow'"),
        ("{% liquid assign x = 1 %}", "unexpected tag 'liquid'"),
        ("{{ x | base64_encode }}", "unknown filter"),
        ("{{ x | strip_html }}", "unknown filter"),
        ("{% if (1..9) contains 'a' %}{% endif %}", "for loops alone"),
        ("{{ (1..9) | join: ',' }}", "for loops alone"),
        ("{% assign r = (1..9) %}", "for loops alone"),
        ("{% for i in (1..3) %}{{ (1..9) }}{% endfor %}", "for loops alone"),
        ("{{ x | upcase }}" + " " * 100, "99 spaces"),
        ("{% if x %}{% endif %}{{", "a {{ without its }}"),
        ("{{ x | upcase }}{% if", "a {% without its %}"),
        ("{{ x | upcase }}" + "(" * (sandbox.MAX_PARENTHESES + 1), "more than 500 opening parentheses"),
        ("{% if x %}" * 30, "nesting"),
        ("{{ x" + "[x" * 2_500 + "]" * 2_500 + " }}", "error"),
    ],
)
def test_what_is_not_understood_is_told_when_it_is_compiled(text: str, shown: str) -> None:
    """At the send already, with the place in the text where that is known."""
    with pytest.raises(TemplateError, match=r".") as raised:
        compile_template(text)
    assert shown in str(raised.value)


def test_a_template_has_a_most_of_characters() -> None:
    """8,192 pass, one more does not; nor do more than 500 opening parentheses."""
    compile_template("{{ x | upcase }}" + "(" * sandbox.MAX_PARENTHESES)
    tag = "{{ x | upcase }}"
    compile_template(tag + "x" * (sandbox.MAX_TEMPLATE - len(tag)))
    with pytest.raises(TemplateError, match="8193 characters"):
        compile_template(tag + "x" * (sandbox.MAX_TEMPLATE - len(tag) + 1))


@pytest.mark.parametrize(
    ("text", "variables", "shown"),
    [
        ("{% if n > 3 %}x{% endif %}", {"n": "a"}, "not supported between"),
        ("{{ x | divided_by: 0 }}", {"x": 1}, "divide by 0"),
        ("{{ x | sort }}", {"x": [1, "a"]}, "sort"),
        ("{{ x | round: y }}", {"x": 1, "y": "z"}, "round takes numbers"),
        ("{{ 5 | round: -1000000000 }}", {}, "at most 15 digits"),
        ("{{ x | date: '%10000000d' }}", {"x": 0}, "without widths"),
        ("{{ x | date: f }}", {"x": 0, "f": "%d" * 51}, "strftime"),
        ("{{ 'now' | date: '%d' }}", {}, "present time"),
        ("{% for i in (1..1001) %}{% endfor %}", {}, "1000 numbers"),
        ("{% for i in (1..3000000000) reversed %}{% endfor %}", {}, "1000 numbers"),
        ("{% for i in (1..n) offset: 99999999999 %}{% endfor %}", {"n": 10**18}, "1000 numbers"),
        ("{% for i in (1..1000) %}{% for j in (1..1000) %}{% endfor %}{% endfor %}", {}, "10000 steps"),
        ("{% for i in (1..1000) %}" + "{% if 1 %}{% endif %}" * 380 + "{% endfor %}", {}, "10000 steps"),
        ("{% assign a = 'xx' %}{% for i in (1..1000) %}{% assign a = a | append: a %}{% endfor %}", {}, "'append'"),
        ("{{ x | replace: 'x', x }}", {"x": "x" * 8_000}, "'replace'"),
        ("{{ x | split: '' | join: y }}", {"x": "x" * 4_000, "y": "y" * 8_000}, "'join'"),
        ("{{ x | split: '' | uniq | uniq | size }}", {"x": "".join(map(chr, range(19968, 24000)))}, "10000 steps"),
        ("{% assign a = 3 %}{% for i in (1..100) %}{% assign a = a | times: a %}{% endfor %}", {}, "64 bits"),
        ("{{ x }}{{ x }}{% if x %}{% endif %}", {"x": "x" * 4_097}, "8192 bytes"),
        ("{% capture c %}{{ x }}{{ x }}{% endcapture %}", {"x": "é" * 2_049}, "8192 bytes"),
        ("{{ x | size }}", {"x": ["x" * 16_000] * 5}, "65536 characters"),
        ("{{ x | upcase }}", {"x": 2**63}, "64 bits"),
        ("{{ x | uniq | size }}" * 3, {"x": [{"a": n} for n in range(1_000)]}, "steps"),
        ("{{ x | where: 'a', 1 | size }}" * 100, {"x": [{"a": n} for n in range(1_000)]}, "steps"),
    ],
)  # fmt: skip
def test_a_rendering_that_goes_too_far_ends_with_its_reason(text: str, variables: dict[str, Any], shown: str) -> None:
    """Limits and values that do not fit raise `RenderError`, soon, and nothing else."""
    begin = time.process_time()
    with pytest.raises(RenderError, match=r".") as raised:
        render(text, **variables)
    assert shown in str(raised.value)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{% for i in (1..1000) %}{% endfor %}", {}),
        ("{{ x | upcase }}", {"x": "x" * 8_192}),
        ("{{ x }}{% if x %}{% endif %}", {"x": "x" * 8_192}),
        ("{{ 5.5 | round: 15 }}", {}),
        ("{{ x | plus: 0 }}", {"x": 2**63 - 1}),
        ("{{ x | first | slice: 0 }}", {"x": ["x" * 16_000] * 4}),
    ],
)
def test_what_is_within_the_limits_renders(text: str, variables: dict[str, Any]) -> None:
    """The edges themselves are allowed."""
    render(text, **variables)


@pytest.mark.parametrize(
    "text",
    [
        "{{ x }}{% x" + " a" * 4_000 + "-",
        "{% a " * 1_600,
        ("{{ x" + " " * 90) * 80,
        "{{" * 4_000 + "}}{% x %}",
        "{% raw %}" * 900,
        "{% if x %}{% endif %}" + "{{" * 4_000,
        "{% if x %}{% endif %}{%" + "a" * 8_000,
        "{{ " + "(" * 500 + "a" * 7_600 + " }}",
        "{% comment %}" * 600,
        "{{ x" + "|a" * 2_700 + "}}",
        "{% if " + "a and " * 1_300 + "a %}{% endif %}",
        "{% if " + "(" * 2_000 + "a" + ")" * 2_000 + " %}{% endif %}",
        "{% case x %}" + "{% when 1 %}" * 600 + "{% endcase %}",
    ],
)
def test_a_hostile_template_compiles_or_is_refused_in_time(text: str) -> None:
    """Reading a text of any kind takes a fraction of a second."""
    begin = time.process_time()
    with contextlib.suppress(TemplateError, RenderError):
        compile_template(text).render({})
    assert time.process_time() - begin < 1


_PIECES = ["{{ ", " }}", "{% ", " %}", "if x", "endif", "for i in x", "endfor", "(1..9)", "assign a = ", "x", " | "]
_MORE = ["upcase", "append: x", "times: x", "split: ''", "join", "'a'", "1", "-", "limit: 2", "case x", "when 1", "raw"]


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(_PIECES + _MORE), max_size=14),
    value=st.one_of(st.text(max_size=5), st.integers(), st.none(), st.lists(st.integers(), max_size=3), st.floats()),
)
def test_any_liquid_ends_in_a_text_or_one_of_two_errors(pieces: list[str], value: object) -> None:
    """Nothing else ever comes out of it."""
    with contextlib.suppress(TemplateError, RenderError):
        assert isinstance(compile_template("".join(pieces)).render({"x": value}), str)


def test_every_filter_that_is_left_stays_within_its_time() -> None:
    """On the largest values there may be, with none, one and two arguments, each ends within a second."""
    values = ["x" * 8_000, [chr(0x4E00 + n) for n in range(4_000)], [{"t": n} for n in range(2_000)], 2**62, 1.5]
    for name in sorted(sandbox._ENVIRONMENT.filters):
        for arguments in ("", ": 'x'", ": 'x', 'y'", ": 9"):
            template = compile_template("{% assign y = x | " + name + arguments + " %}")
            for value in values:
                begin = time.process_time()
                with contextlib.suppress(RenderError):
                    template.render({"x": value})
                assert time.process_time() - begin < 1, (name, arguments)
