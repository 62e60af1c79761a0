"""An operation's payloads: what each recipient's phone is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .errors import Code, FieldProblem
from .notifications import SendSpec
from .payload import Text, document, encode, pieces, without_tags
from .template import RenderError, Template, TemplateError, Variables, compile_template, has_tags

MAX_HEAVY = 8_192
"""Characters of full Liquid in all texts of a content together."""

RENDER_FAILED = "RenderFailed"
TOO_LARGE = "PayloadTooLarge"
"""How the reason begins with which a recipient fails whose payload cannot be made, or is over the limit."""

_NOTHING: Mapping[str, Any] = {}
_Part = Callable[[Variables], bytes]


class _Own(NamedTuple):
    """What a recipient has of its own: made from its variables. With a `name` it is the text of that variable, escaped
    as JSON has it, when that is text and not empty."""

    make: _Part
    name: str | None = None


class Renderer:
    """Makes the payloads of one operation. What holds no variables is encoded once and shared.

    `problems` has what is wrong with the templates, each by its path below `$.content`; with any, `payload` raises
    `RenderError` for every recipient.
    """

    def __init__(self, spec: SendSpec) -> None:
        self.problems: list[FieldProblem] = []
        self.heavy = False
        """Whether rendering takes long enough to be done beside the event loop: some text is more than names."""
        self._heavy_characters = 0
        self._least = 0
        payload = document(spec)
        plain = without_tags(payload)
        parts: list[bytes | _Own] = []
        for piece in pieces(payload) if plain is None else (plain,):
            parts += self._parts_of(piece)
        parts = _merged(parts)
        self._fixed = [part if isinstance(part, bytes) else b"" for part in parts]
        self._own = [(place, part.make) for place, part in enumerate(parts) if not isinstance(part, bytes)]
        """What a recipient has of its own, and where among what is fixed."""
        self._shared = None if self._own else b"".join(self._fixed)
        names = [part if isinstance(part, bytes) else part.name for part in parts]
        self.pieces = None if self.problems or None in names else tuple(names)
        """The payload as bytes and names, in turn, when for variables that are text, not empty and with nothing to
        escape it is no more than that; else None."""

    def __repr__(self) -> str:
        return f"Renderer(parts={len(self._fixed)}, heavy={self.heavy}, problems={len(self.problems)})"

    @property
    def static(self) -> bool:
        """Whether every recipient gets the same bytes."""
        return self._shared is not None

    @property
    def least(self) -> int:
        """The bytes of the payload that no variables can make smaller. Of a text with full Liquid nothing is sure."""
        return self._least

    def payload(self, variables: Variables | None) -> bytes:
        """The JSON payload for a recipient's variables. Raises `RenderError`."""
        if self._shared is not None:
            return self._shared
        if self.problems:
            raise RenderError(self.problems[0].message)
        given = variables or _NOTHING
        parts = self._fixed.copy()
        for place, part in self._own:
            parts[place] = part(given)
        return b"".join(parts)

    def attempt(self, variables: Variables | None, limit: int) -> tuple[bytes, str | None]:
        """The payload for a recipient's variables, and why it cannot be sent, when it cannot: the reason that the
        recipient's notification fails with."""
        try:
            payload = self.payload(variables)
        except RenderError as error:
            return b"", f"{RENDER_FAILED}: {error}"
        if len(payload) > limit:
            return payload, f"{TOO_LARGE}: {len(payload)} bytes after rendering, the limit is {limit}"
        return payload, None

    def _parts_of(self, piece: bytes | Text) -> list[bytes | _Own]:
        if isinstance(piece, bytes):
            self._least += len(piece)
            return [piece]
        template = self._compile(piece) if has_tags(piece.text) else None
        if template is None:
            plain = encode(piece.text)
            self._least += len(plain)
            return [plain]
        self.heavy = self.heavy or template.heavy
        self._least += len(encode(template.least))
        if template.parts is None:
            return [_Own(_encoded(template.render))]
        # Character by character is how JSON escapes: text and values may be encoded apart.
        names = iter(template.names)
        within = [
            _within(part) if isinstance(part, str) else _Own(_escaped(part), next(names)) for part in template.parts
        ]
        return [b'"', *within, b'"']

    def _compile(self, piece: Text) -> Template:
        try:
            template = compile_template(piece.text)
            if template.heavy:
                self._heavy_characters += len(piece.text)
            if self._heavy_characters > MAX_HEAVY:
                raise TemplateError(f"the texts have more than {MAX_HEAVY} characters of Liquid together: shorten them")
        except TemplateError as error:
            self.problems.append(FieldProblem(f"$.content.{piece.path}", str(error), Code.TEMPLATE))
            return Template(_refused, False, "")
        return template


def _refused(variables: Variables) -> str:
    raise RenderError("the template is not understood")


def _within(text: str) -> bytes:
    """A text as it is in JSON, without the quotes around it."""
    return encode(text)[1:-1]


def _escaped(part: Callable[[Variables], str]) -> _Part:
    return lambda variables: encode(part(variables))[1:-1]


def _encoded(part: Callable[[Variables], str]) -> _Part:
    return lambda variables: encode(part(variables))


def _merged(parts: list[bytes | _Own]) -> list[bytes | _Own]:
    """The same with neighbouring bytes as one."""
    merged: list[bytes | _Own] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, bytes) and isinstance(last, bytes):
            merged[-1] = last + part
        else:
            merged.append(part)
    return merged
