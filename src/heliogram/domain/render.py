"""Templates and payloads: what a recipient's phone is sent.

Text fields take Liquid output tags, `{{ name }}` and `{{ name | default: 'there' }}`; a name that is not among the
recipient's variables renders as nothing, as in Liquid. `{{-` and `-}}` take the white space beside them away.
Templates are compiled once per operation, in time that grows with their length and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from .errors import Code, FieldProblem, Invalid
from .notifications import Content, SendSpec

Variables = Mapping[str, Any]
Template = Callable[[Variables], str]

_encode = msgspec.json.Encoder().encode
_OPENING = re.compile(r"\{\{|\{%")
_OUTPUT = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w-]*)\s*
        (?:\|\s*default\s*:\s*(?P<default>'[^']*'|"[^"]*"|-?\d+(?:\.\d+)?)\s*)?""",
    re.VERBOSE,
)

_SHOWN = 80


class TemplateError(ValueError):
    """The text holds Liquid that is not understood; the message says which part."""


def has_tags(text: str) -> bool:
    """Whether the text has anything to render."""
    return any(tag is not None for _, tag in _split(text))


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """Literal text and the tag that follows it, None after the last. An opening that is never closed is literal."""
    end, trim = 0, False
    while True:
        opening = _OPENING.search(text, end)
        closing = text.find("}}", opening.end()) if opening and opening[0] == "{{" else -1
        if opening is None or (opening[0] == "{{" and closing < 0):
            yield (text[end:].lstrip() if trim else text[end:]), None
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


def compile_template(text: str) -> Template:
    """The function that renders `text`; raises `TemplateError` for what goes beyond names and `default`."""
    parts: list[str | tuple[str, str | None]] = []
    for literal, tag in _split(text):
        parts.append(literal)
        if tag is not None:
            parts.append(_parse(tag))
    if len(parts) == 1:
        return lambda variables: text
    return lambda variables: "".join([p if isinstance(p, str) else _value(variables, *p) for p in parts])


def _parse(tag: str) -> tuple[str, str | None]:
    """The name a tag renders, and its default."""
    if tag == "{%":
        raise TemplateError("'{%' tags are not supported; use {{ name }} or {{ name | default: 'text' }}")
    output = _OUTPUT.fullmatch(tag[2:-2].removeprefix("-").removesuffix("-"))
    if output is None:
        shown = tag if len(tag) <= _SHOWN else tag[:_SHOWN] + "…"
        raise TemplateError(f"{shown!r} is not supported; use {{{{ name | default: 'text' }}}}")
    default = output["default"]
    if default is not None and default[0] in "'\"":
        default = default[1:-1]
    return output["name"], default


def _value(variables: Variables, name: str, default: str | None) -> str:
    value = variables.get(name)
    if default is not None and (value is None or value is False or value == ""):
        return default  # what Liquid's `default` replaces
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Renderer:
    """Makes the payloads of one operation. A payload without variables is encoded once and shared."""

    def __init__(self, spec: SendSpec) -> None:
        self._spec = spec
        content = spec.content
        self._static = not any(has_tags(text) for text in (content.title or "", content.body))
        self._title = compile_template(content.title) if content.title is not None else None
        self._body = compile_template(content.body)
        self._shared = _encode(self._payload({})) if self._static else b""

    @property
    def static(self) -> bool:
        """Whether every recipient gets the same bytes."""
        return self._static

    def payload(self, variables: Variables | None) -> bytes:
        """The JSON payload for a recipient's variables."""
        return self._shared if self._static else _encode(self._payload(variables or {}))

    def _payload(self, variables: Variables) -> dict[str, Any]:
        title = None if self._title is None else self._title(variables)
        return _assemble(self._spec, title, self._body(variables))


def _assemble(spec: SendSpec, title: str | None, body: str) -> dict[str, Any]:
    """The payload with its texts rendered."""
    alert = {"body": body} if title is None else {"title": title, "body": body}
    aps: dict[str, Any] = {"alert": alert}
    if spec.sound is not None:
        aps["sound"] = spec.sound
    return {"aps": aps}


def check_templates(content: Content, path: str = "$.content") -> None:
    """Raises `Invalid` naming each text field whose template is not understood."""
    problems = []
    for name in ("title", "body"):
        text = getattr(content, name)
        if text is None:
            continue
        try:
            compile_template(text)
        except TemplateError as error:
            problems.append(FieldProblem(f"{path}.{name}", str(error), Code.TEMPLATE))
    if problems:
        raise Invalid(problems)


def smallest_payload(spec: SendSpec) -> int:
    """The bytes of the payload with its literal text alone: what no variables can make smaller."""
    content = spec.content
    title = None if content.title is None else _literal(content.title)
    return len(_encode(_assemble(spec, title, _literal(content.body))))


def _literal(text: str) -> str:
    return "".join([literal for literal, _ in _split(text)])
