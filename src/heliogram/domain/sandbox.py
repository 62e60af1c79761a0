"""Full Liquid for text fields, by python-liquid (the extra `heliogram[liquid]`), shut in.

Templates and variables are the callers' own, so rendering is bounded by counting, not by the clock: the same template
and variables end the same way on every machine. There are no files, no includes and no present time; ranges are for
loops alone. A step of work is charged to a budget; values and output have a most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import liquid
from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import FilterArgumentError, LiquidError, OutputStreamLimitError, ResourceLimitError
from liquid.expression import Expression
from liquid.token import Token

from .template import RenderError, TemplateError

MAX_TEMPLATE = 8_192
"""Characters of a text with Liquid beyond names and defaults."""
MAX_STEPS = 10_000
"""Steps of one rendering. A filter, a name and a loop's turn cost one, and more the longer what they work on."""
MAX_RANGE = 1_000
"""Numbers in a range."""
MAX_VALUE = 8_192
"""Characters of a text, or items of a list, that a filter makes; bytes that a template renders to."""
MAX_INPUT = 65_536
"""Characters and items of a recipient's variables together."""
_MAX_INTEGER = 1 << 63
_MAX_ROUND = 15
_CHUNK = 64
"""Characters that cost one step more."""
MAX_PARENTHESES = 500
"""Opening parentheses in a text: from each the lexer looks through what follows for a range."""
_ITEMS = 8
"""Items of a list that a filter works on, which cost one step more."""
_GAP = re.compile(r"\s{100}")
"""White space that the parser would take long over."""

_WITHOUT_TAGS = frozenset(("doc", "include", "liquid", "render", "tablerow"))
_WITHOUT = frozenset(
    (
        *("base64_decode", "base64_encode", "base64_url_safe_decode", "base64_url_safe_encode"),
        *("escapejs", "safe", "strip_html", "date"),
    )
)
_DIRECTIVES = re.compile(r"(?:[^%]|%-?[aAbBcdDeFgGHIjklLmMnNpPrRsStTuUVwWxXyYzZ%])*")
_MAX_FORMAT = 100


class _Steps(ResourceLimitError):
    """The budget is spent."""


def _too_big(what: str) -> _Steps:
    return _Steps(what, token=None)


class _Context(RenderContext):
    """A rendering that pays for what it does."""

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self.steps = MAX_STEPS
        self.turn_cost = 1 + template.length // _CHUNK if isinstance(template, _Template) else 1

    def pay(self, steps: int) -> None:
        """Charges work. Raises when there is nothing left to pay with."""
        self.steps -= steps
        if self.steps < 0:
            raise _too_big(f"it takes more than {MAX_STEPS} steps: use fewer or shorter loops")

    def get(self, path: list[object], *, token: Token | None, default: object = liquid.undefined.UNDEFINED) -> object:
        """A name's value."""
        self.pay(1)
        return super().get(path, token=token, default=default)

    def assign(self, key: str, val: Any) -> None:
        """Keeps a value under a name."""
        self.pay(1)
        super().assign(key, val)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """A loop of that many turns is to begin. A turn costs as if it went through the whole template."""
        self.pay(length * self.turn_cost)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """A filter that pays and is bounded."""
        inner = super().filter(name, token)

        def bounded(left: object, *args: Any, **kwargs: Any) -> object:
            given = _weight(left)
            self.pay(1 + (given + sum(map(_weight, args))) // _CHUNK)
            if isinstance(left, (list, tuple)):
                self.pay(len(left) // _ITEMS)
                if name == "uniq":
                    self.pay(len(left) ** 2 // 200)  # it compares each with each
            _foresee(name, left, args)
            value = inner(left, *args, **kwargs)
            if _weight(value) > max(MAX_VALUE, given):
                raise _too_big(f"the filter {name!r} makes more than {MAX_VALUE} characters or items")
            return value

        return bounded


class _Template(BoundTemplate):
    """A parsed template that knows how long its text was."""

    context_class = _Context
    length = 0


class _Range(RangeLiteral):
    """The numbers of a loop, not too many of them."""

    def evaluate(self, context: RenderContext) -> range:
        """The range; raises when it is too long."""
        numbers = super().evaluate(context)
        if numbers.stop - numbers.start > MAX_RANGE:
            raise _too_big(f"a range may have {MAX_RANGE} numbers")
        return numbers


def _weight(value: object) -> int:
    """About how many characters or items a value has. Raises for numbers that are too large to work with."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, (list, tuple)):
        return len(value) + sum(map(_weight, value))
    if isinstance(value, dict):
        return len(value) + sum(map(_weight, value.values()))
    if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise _too_big("a number is beyond 64 bits")
    return 1


def _foresee(name: str, left: object, args: tuple[Any, ...]) -> None:
    """Refuses, before it is made, what may be far larger than what it is made of."""
    if name.startswith("replace") and len(args) == 2:
        times = str(left).count(str(args[0])) if name == "replace" else 1
        size = times * len(str(args[1]))
    elif name == "join" and isinstance(left, (list, tuple)):
        size = len(left) * len(str(args[0])) if args else 0
    else:
        return
    if size > MAX_VALUE:
        raise _too_big(f"the filter {name!r} makes more than {MAX_VALUE} characters")


def _date(value: object, form: object = "") -> str:
    """`date`: a Unix time in seconds or an ISO 8601 date, in UTC. A text that is no date stays as it is."""
    if isinstance(value, liquid.Undefined) or value is None:
        return ""
    text = str(form)
    if len(text) > _MAX_FORMAT or not _DIRECTIVES.fullmatch(text):
        raise FilterArgumentError("date takes strftime directives such as '%d %b %Y', without widths", token=None)
    if value in ("now", "today"):
        raise FilterArgumentError("date does not know the present time: send it as a variable", token=None)
    try:
        moment = _moment(value)
    except (ValueError, OverflowError, OSError):
        return str(value)
    return moment.strftime(text) if text else str(value)


def _moment(value: object) -> datetime:
    if isinstance(value, (int, float)) or (isinstance(value, str) and value.isascii() and value.isdigit()):
        return datetime.fromtimestamp(float(value), UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _round(value: Any, digits: Any = None) -> object:
    """`round`, to at most 15 digits."""
    try:
        number = float(value or 0) if not isinstance(value, int) else value
        wanted = 0 if digits is None or isinstance(digits, liquid.Undefined) else int(digits)
    except (TypeError, ValueError):
        raise FilterArgumentError("round takes numbers", token=None) from None
    if abs(wanted) > _MAX_ROUND:
        raise FilterArgumentError(f"round takes at most {_MAX_ROUND} digits", token=None)
    return round(number, wanted) if wanted > 0 else round(number)


def _environment() -> Environment:
    """Liquid without what reaches outside or grows without measure."""

    class Shut(Environment):
        template_class = _Template
        output_stream_limit = MAX_VALUE
        block_nesting_limit = 20

    environment = Shut()
    for name in _WITHOUT_TAGS & environment.tags.keys():
        del environment.tags[name]
    for name in _WITHOUT & environment.filters.keys():
        del environment.filters[name]
    environment.add_filter("date", _date)
    environment.add_filter("round", _round)
    return environment


_ENVIRONMENT = _environment()


def compile_liquid(text: str) -> Callable[[Mapping[str, Any]], str]:
    """The function that renders `text`. Raises `TemplateError`; the function raises `RenderError`."""
    if len(text) > MAX_TEMPLATE:
        raise TemplateError(
            f"{len(text)} characters of Liquid, at most {MAX_TEMPLATE} are understood: shorten the text"
        )
    for opening, closing in (("{{", "}}"), ("{%", "%}")):
        if text.rfind(opening) > text.rfind(closing):  # the lexer looks for each one's end through all that follows
            raise TemplateError(f"a {opening} without its {closing}, beside Liquid: close or remove it")
    if text.count("(") > MAX_PARENTHESES:
        raise TemplateError(f"more than {MAX_PARENTHESES} opening parentheses, beside Liquid: remove some")
    if _GAP.search(text):
        raise TemplateError("more than 99 spaces or line breaks in a row, beside Liquid: remove some")
    try:
        template = _ENVIRONMENT.from_string(text)
        _check(template)
    except LiquidError as error:
        raise TemplateError(_told(error)) from None
    except RecursionError:
        raise TemplateError("the Liquid is nested too deeply") from None
    assert isinstance(template, _Template)  # noqa: S101 - what `template_class` says
    template.length = len(text)
    return lambda variables: _render(template, variables)


def _render(template: BoundTemplate, variables: Mapping[str, Any]) -> str:
    try:
        if _weight(variables) > MAX_INPUT:
            raise RenderError(f"its variables have more than {MAX_INPUT} characters and items")
        return template.render(variables)
    except LiquidError as error:
        raise RenderError(_told(error)) from None
    except RenderError:
        raise
    except Exception as error:  # another's code on a caller's data: whatever it is, it fails this recipient alone
        raise RenderError(f"a value does not fit its filter or comparison ({type(error).__name__})") from None


def _check(template: BoundTemplate) -> None:
    """Refuses unknown filters and ranges outside loops, and bounds the ranges of loops."""
    context = _Context(template)
    waiting: list[Node] = list(template.nodes)
    while waiting:
        node = waiting.pop()
        for expression in node.expressions():
            _check_expression(expression)
        waiting += node.children(context, include_partials=False)


def _check_expression(expression: Expression) -> None:
    if isinstance(expression, LoopExpression):
        numbers = expression.iterable
        if isinstance(numbers, RangeLiteral):
            expression.iterable = _Range(numbers.token, numbers.start, numbers.stop)
            inner: Iterable[Expression] = [*expression.children()[1:], *numbers.children()]
        else:
            inner = expression.children()
    elif isinstance(expression, RangeLiteral):
        raise liquid.exceptions.LiquidSyntaxError("a range such as (1..5) is for loops alone", token=expression.token)
    else:
        if isinstance(expression, FilteredExpression):
            for each in expression.filters or ():
                each.validate_filter_arguments(_ENVIRONMENT)
        inner = expression.children()
    for each_inner in inner:
        _check_expression(each_inner)


def _told(error: LiquidError) -> str:
    """What went wrong, in a line, with the place in the text when it is known."""
    message = str(error.message or type(error).__name__).replace("\n", " ")[:160]
    if isinstance(error, OutputStreamLimitError):
        message = f"it renders to more than {MAX_VALUE} bytes"
    try:
        place = error.context()
    except ValueError:
        place = None
    return message if place is None else f"{message} (line {place[0]}, character {place[1] + 1})"
