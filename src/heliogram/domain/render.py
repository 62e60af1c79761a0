"""Templates and payloads: what a recipient's phone is sent.

Text fields take Liquid output tags, `{{ name }}` and `{{ name | default: 'there' }}`; a name that is not among the
recipient's variables renders as nothing, as in Liquid. Templates are compiled once per operation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .errors import Code, FieldProblem, Invalid
from .notifications import Content, SendSpec

Variables = Mapping[str, Any]
Template = Callable[[Variables], str]

_encode = msgspec.json.Encoder().encode
_TAG = re.compile(r"\{\{-?(.*?)-?\}\}|\{%", re.DOTALL)
_OUTPUT = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w-]*)\s*
        (?:\|\s*default\s*:\s*(?P<default>'[^']*'|"[^"]*"|-?\d+(?:\.\d+)?)\s*)?""",
    re.VERBOSE,
)


class TemplateError(ValueError):
    """The text holds Liquid that is not understood; the message says which part."""


def has_tags(text: str) -> bool:
    """Whether the text has anything to render."""
    return _TAG.search(text) is not None


def compile_template(text: str) -> Template:
    """The function that renders `text`; raises `TemplateError` for what goes beyond names and `default`."""
    parts: list[str | tuple[str, str]] = []
    end = 0
    for match in _TAG.finditer(text):
        if match.group(1) is None:
            raise TemplateError("'{%' tags are not supported; use {{ name }} or {{ name | default: 'text' }}")
        output = _OUTPUT.fullmatch(match.group(1))
        if output is None:
            raise TemplateError(f"{match.group(0)!r} is not supported; use {{{{ name | default: 'text' }}}}")
        parts += [text[end : match.start()], (output["name"], (output["default"] or "").strip("'\""))]
        end = match.end()
    if not parts:
        return lambda variables: text
    parts.append(text[end:])
    return lambda variables: "".join([p if isinstance(p, str) else _value(variables, *p) for p in parts])


def _value(variables: Variables, name: str, default: str) -> str:
    value = variables.get(name)
    if value is None or value is False or value == "":  # what Liquid's `default` replaces
        return default
    if value is True:
        return "true"
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
        alert: dict[str, Any] = {}
        if self._title is not None:
            alert["title"] = self._title(variables)
        alert["body"] = self._body(variables)
        aps: dict[str, Any] = {"alert": alert}
        if self._spec.sound is not None:
            aps["sound"] = self._spec.sound
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
    title = None if content.title is None else _TAG.sub("", content.title)
    bare = msgspec.structs.replace(content, title=title, body=_TAG.sub("", content.body))
    return len(Renderer(msgspec.structs.replace(spec, content=bare)).payload({}))
