"""Templates of text fields: Liquid.

Output tags `{{ name }}` and `{{ name | default: 'there' }}` are compiled here, into a function of about 2 µs a tag; a
name that is not among the recipient's variables renders as nothing, as in Liquid. `{{-` and `-}}` take the white space
beside them away. Any other Liquid goes to `sandbox`, when python-liquid is installed. Compiling takes time that grows
with the text's length and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

Variables = Mapping[str, Any]

EXTRA = "heliogram[liquid]"
"""The extra that brings the whole of Liquid."""

_encode = msgspec.json.Encoder().encode
_OPENING = re.compile(r"\{\{|\{%")
_OUTPUT = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w-]*)\s*
        (?:\|\s*default\s*:\s*(?P<default>'[^']*'|"[^"]*"|-?[0-9]+(?:\.[0-9]+)?)\s*)?""",
    re.VERBOSE,
)
_RESERVED = frozenset(("true", "false", "nil", "null", "empty", "blank", "now", "today"))
"""Words that are no names in Liquid."""
_SHOWN = 80


class TemplateError(ValueError):
    """The text holds Liquid that is not understood; the message says which part."""


class RenderError(ValueError):
    """The template cannot be rendered with these variables; the message says why."""


class Template(NamedTuple):
    """A compiled text. `heavy` ones take long enough to be rendered beside the event loop; `least` is the text that no
    variables can make shorter."""

    render: Callable[[Variables], str]
    heavy: bool
    least: str
    parts: tuple[str | Callable[[Variables], str], ...] | None = None
    """What `render` puts together, where it is no more than that: text, and the values of tags."""
    names: tuple[str, ...] = ()
    """Which variable each tag among the parts is the value of. One that is text, and not empty, is put in as it is."""


class _Beyond(Exception):
    """A tag that is not understood here."""


def has_tags(text: str) -> bool:
    """Whether the text has anything to render."""
    return any(tag is not None for _, tag in _split(text))


def compile_template(text: str) -> Template:
    """The template of a text; raises `TemplateError`."""
    parts: list[str | Callable[[Variables], str]] = []
    literals, names = [], []
    try:
        for literal, tag in _split(text):
            parts.append(literal)
            literals.append(literal)
            if tag is not None:
                name, default = _parse(tag)
                names.append(name)
                parts.append(_tag(name, default))
    except _Beyond as beyond:
        return Template(_whole_liquid(text, str(beyond)), True, "")
    if len(parts) == 1:
        return Template(lambda variables: text, False, text)

    def render(variables: Variables) -> str:
        return "".join([part if isinstance(part, str) else part(variables) for part in parts])

    return Template(render, False, "".join(literals), tuple(parts), tuple(names))


def _whole_liquid(text: str, tag: str) -> Callable[[Variables], str]:
    """The function of a text with other tags. Raises `TemplateError` naming the tag when they are not to be had."""
    try:
        from . import sandbox  # not at the top: python-liquid is an extra, and only such texts need it
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "liquid":
            raise
        raise TemplateError(
            f"{_shown(tag)!r} needs the whole of Liquid, which this server does not have: install {EXTRA} on it, or use"
            " {{ name }} and {{ name | default: 'text' }}"
        ) from None
    return sandbox.compile_liquid(text)


def _shown(tag: str) -> str:
    return tag if len(tag) <= _SHOWN else tag[:_SHOWN] + "…"


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """Literal text and the tag that follows it, None after the last. One that is never closed is all that is left."""
    end, trim = 0, False
    while True:
        opening = _OPENING.search(text, end)
        closing = text.find("}}", opening.end()) if opening and opening[0] == "{{" else -1
        if opening is None:
            yield (text[end:].lstrip() if trim else text[end:]), None
            return
        if opening[0] == "{{" and closing < 0:
            yield text[end : opening.start()], text[opening.start() :]
            return
        literal = text[end : opening.start()]
        literal = literal.lstrip() if trim else literal
        if opening[0] == "{%":
            end, trim = opening.end(), False
            yield literal, "{%"
            continue
        tag, end = text[opening.start() : closing + 2], closing + 2
        trim = tag.endswith("-}}")
        yield (literal.rstrip() if tag.startswith("{{-") else literal), tag


def _parse(tag: str) -> tuple[str, str | None]:
    """The name a tag renders, and its default."""
    if tag == "{%":
        raise _Beyond(tag)
    if not tag.endswith("}}"):  # as Liquid has it: `{{ name }` is a slip, and thousands of phones would show it
        raise TemplateError(f"{_shown(tag)!r} is never closed: end the tag with }}}}, or send the braces as a variable")
    output = _OUTPUT.fullmatch(tag[2:-2].removeprefix("-").removesuffix("-"))
    if output is None or output["name"] in _RESERVED:
        raise _Beyond(tag)
    default = output["default"]
    if default is not None and default[0] in "'\"":
        default = default[1:-1]
    return output["name"], default


def _tag(name: str, default: str | None) -> Callable[[Variables], str]:
    """The value of a tag for given variables."""

    def value_of(variables: Variables) -> str:
        value = variables.get(name)
        return value if type(value) is str and value else _value(variables, name, default)

    return value_of


def _value(variables: Variables, name: str, default: str | None) -> str:
    value = variables.get(name)
    if isinstance(value, str):
        return value if value or default is None else default
    if default is not None and (value is None or value is False or value == [] or value == {}):
        return default  # what Liquid's `default` replaces
    return plain(value)


def plain(value: object) -> str:
    """A value as text: lists one after another, objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "".join(map(plain, value))
    if isinstance(value, dict):
        return _encode(value).decode()
    return str(value)
