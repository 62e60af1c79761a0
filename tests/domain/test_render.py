"""Payloads of an operation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain.content import Content
from heliogram.domain.errors import Code
from heliogram.domain.notifications import SendSpec
from heliogram.domain.payload import document, encode, pieces, without_tags
from heliogram.domain.render import MAX_HEAVY, Renderer
from heliogram.domain.template import RenderError, TemplateError, compile_template


def spec_of(body: str | None = None, sound: str | None = None, **content: Any) -> SendSpec:
    return SendSpec(app_name="shop", content=Content(body=body, **content), sound=sound)


def rendered(spec: SendSpec, **variables: Any) -> Any:
    return msgspec.json.decode(Renderer(spec).payload(variables))


def test_a_payload_has_the_texts_and_the_sound() -> None:
    """Title and body under `alert`, the sound beside it; what is not given is not there."""
    spec = spec_of("b {{ n }}", "bell.caf", title="t {{ n }}")
    assert rendered(spec, n=1) == {"aps": {"alert": {"title": "t 1", "body": "b 1"}, "sound": "bell.caf"}}
    assert rendered(spec_of("b")) == {"aps": {"alert": {"body": "b"}}}


def test_a_payload_without_variables_is_made_once() -> None:
    """Every recipient gets the very same bytes."""
    renderer = Renderer(spec_of("hello"))
    assert renderer.static
    assert renderer.payload({"n": 1}) is renderer.payload(None)
    assert not Renderer(spec_of("hello", title="{{ n }}")).static


def test_every_text_field_may_be_a_template() -> None:
    """Title, subtitle, body, arguments, the image's address and the texts within `data`; not its keys, nor names."""
    spec = spec_of(
        "{{ x }}",
        title="{{ x }}",
        subtitle="{{ x }}",
        title_loc_args=["{{ x }}"],
        subtitle_loc_args=["{{ x }}"],
        loc_args=["a", "{{ x }}"],
        image="https://example.com/{{ x }}.png",
        data={"url": "app://{{ x }}", "{{ x }}": 1, "deep": [{"a": "{{ x | upcase }}"}, 2, None]},
        category="{{ x }}",
    )
    assert rendered(spec, x="v") == {
        "aps": {
            "alert": {
                "title": "v",
                "subtitle": "v",
                "body": "v",
                "title-loc-args": ["v"],
                "subtitle-loc-args": ["v"],
                "loc-args": ["a", "v"],
            },
            "category": "{{ x }}",
            "mutable-content": 1,
        },
        "url": "app://v",
        "{{ x }}": 1,
        "deep": [{"a": "V"}, 2, None],
        "image": "https://example.com/v.png",
    }


def test_a_raw_payload_is_no_template() -> None:
    """What stands in `apn.payload` is sent as it is."""
    content = msgspec.convert({"apn": {"payload": {"aps": {"alert": "{{ x }}"}}}, "body": "no"}, Content)
    renderer = Renderer(SendSpec(app_name="shop", content=content))
    assert renderer.static
    assert renderer.payload({"x": 1}) == b'{"aps":{"alert":"{{ x }}"}}'


def test_bad_templates_are_named_by_field() -> None:
    """Each text with a template that is not understood is in `problems`, and no recipient gets anything."""
    renderer = Renderer(spec_of("{{ a | b }}", title="{% x %}", data={"a b": ["{% y %}"], "fine": "{{ z }}"}))
    assert [(p.path, p.code) for p in renderer.problems] == [
        ("$.content.title", Code.TEMPLATE),
        ("$.content.body", Code.TEMPLATE),
        ('$.content.data["a b"][0]', Code.TEMPLATE),
    ]
    with pytest.raises(RenderError):
        renderer.payload({})


def test_full_liquid_is_heavy_and_names_are_not() -> None:
    """Only what takes long is rendered beside the event loop."""
    assert not Renderer(spec_of("{{ a }} {{ b | default: 'x' }}")).heavy
    assert Renderer(spec_of("{{ a | upcase }}")).heavy


def test_all_liquid_of_a_content_together_has_a_most() -> None:
    """8,192 characters of it pass, one more does not; names and defaults do not count."""
    tag = "{{ x | upcase }}"
    half = tag + "x" * (MAX_HEAVY // 2 - len(tag))
    assert not Renderer(spec_of(half, title=half, subtitle="{{ x }}" * 100)).problems
    (problem,) = Renderer(spec_of(half + "x", title=half)).problems
    assert (problem.path, problem.code) == ("$.content.body", Code.TEMPLATE)


@given(value=st.text(max_size=20))
def test_no_payload_is_smaller_than_the_least(value: str) -> None:
    """The bytes of the literal text are a floor for every recipient, whatever is beside them."""
    spec = spec_of("a  {{- x -}}  b {{ y | default: 'zz' }}", "s", title="{{ x }} ü", data={"u": "{{ x | upcase }}"})
    renderer = Renderer(spec)
    assert len(renderer.payload({"x": value, "y": value})) >= renderer.least


def test_the_least_of_a_payload_without_variables_is_its_size() -> None:
    """So that its limit is exact."""
    renderer = Renderer(spec_of("{ {{- x }}% bad %}"))
    assert renderer.least == len(b'{"aps":{"alert":{"body":"{% bad %}"}}}')
    fixed = Renderer(spec_of("ü{", "bell", badge=3, data={"k": [1, {}, [], "v"]}))
    assert fixed.least == len(fixed.payload(None))


def test_an_attempt_tells_why_a_recipient_fails() -> None:
    """At the limit it is sent, one byte over it is not; a template that cannot be rendered says so."""
    renderer = Renderer(spec_of("{{ x | append: y }}"))
    empty = len(renderer.payload({}))
    assert renderer.attempt({"x": "a" * 10}, empty + 10)[1] is None
    payload, reason = renderer.attempt({"x": "a" * 11}, empty + 10)
    assert reason == f"PayloadTooLarge: {empty + 11} bytes after rendering, the limit is {empty + 10}"
    assert len(payload) == empty + 11
    payload, reason = Renderer(spec_of("{{ x | divided_by: 0 }}")).attempt({"x": 1}, 4096)
    assert payload == b""
    assert reason is not None
    assert reason.startswith("RenderFailed: ")


@given(st.text(), st.text(), st.text() | st.none() | st.integers() | st.lists(st.text(), max_size=2))
def test_text_and_values_are_escaped_as_one_text_would_be(before: str, after: str, value: Any) -> None:
    """JSON escapes character by character: what is encoded in parts is the same bytes as the text in one."""
    text = f"{before} {{{{ name | default: '\u00e9\"' }}}} {after}"
    try:
        whole = compile_template(text).render({"name": value})
    except TemplateError:
        return
    payload = Renderer(spec_of(text)).payload({"name": value})
    assert payload == b'{"aps":{"alert":{"body":%b}}}' % msgspec.json.encode(whole)


_PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda text: "{" not in text)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_PLAIN, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_PLAIN.filter(lambda key: key not in ("aps", "image")), _DATA, max_size=4), _PLAIN)
def test_what_holds_no_template_is_encoded_as_its_pieces_are(data: dict[str, Any], body: str) -> None:
    """At once or piece by piece, the bytes are the same."""
    spec = SendSpec(app_name="shop", content=Content(body=body, data=data))
    at_once = without_tags(document(spec))
    assert at_once == b"".join(
        each if isinstance(each, bytes) else encode(each.text) for each in pieces(document(spec))
    )
    assert Renderer(spec).payload(None) == at_once


@pytest.mark.parametrize("text", ["{{ name }}", "{{", "{%", "a {% if b %}", "\\u007b{{"])
def test_what_may_be_a_template_is_not_encoded_at_once(text: str) -> None:
    """Wherever it stands: a text, a value, or a name, which is none."""
    for content in (Content(body=text), Content(body="a", data={"b": [text]}), Content(body="a", data={text: 1})):
        assert without_tags(document(SendSpec(app_name="shop", content=content))) is None
