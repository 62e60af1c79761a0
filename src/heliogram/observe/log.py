"""Structured logs on standard error: readable lines on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import io
import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from ..lines import tell_of_small_sends
from ..rest import current_request_id

_SECRET_WORDS = ("secret", "password", "authorization", "private", "signing_key", "token", "pepper", "master")
_REDACTED = "[redacted]"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, colours or title, or the order of what is read."""
_OF_A_TRACEBACK = re.compile(r"(?![\n\t])" + _CONTROLS.pattern)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blanks every value whose name sounds like a secret: a log line is copied into tickets and chats."""
    for name in event:
        if name != "event" and any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = _REDACTED
    return event


def escaped(text: str, controls: re.Pattern[str] = _CONTROLS) -> str:
    """A text that comes from strangers, such as the path of a request, as it may stand on a terminal."""
    return controls.sub(lambda found: repr(found[0])[1:-1], text)


def escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No value of a line makes a terminal do anything, nor begins a line of its own. JSON escapes by itself."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = escaped(value)
    return event


def add_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Names the request that is being answered, if one is."""
    request = current_request_id()
    if request is not None:
        event.setdefault("request", request)
    return event


def configure(*, level: str = "info", stream: TextIO | None = None, form: str = "auto") -> None:
    """Sets structlog and the standard logging up, once, for this process. `form` is `json`, `console`, or `auto`: for
    people on a terminal, else JSON."""
    out = stream or sys.stderr
    as_json = form == "json" or (form == "auto" and not out.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    tell_of_small_sends(on=number <= logging.DEBUG)
    # Plain tracebacks: the pretty ones show local variables, and with them secrets.
    console = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=_traceback)
    renderers: list[structlog.typing.Processor]
    renderers = [structlog.processors.JSONRenderer()] if as_json else [escape_controls, console]
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        *([structlog.processors.format_exc_info] if as_json else []),
    ]
    structlog.configure(
        processors=[*processors, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    _configure_standard(out, max(number, logging.WARNING), processors, renderers)


def _traceback(out: TextIO, error: ExcInfo) -> None:
    """A traceback, whose last line may quote what strangers sent."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    out.write(escaped(text.getvalue(), _OF_A_TRACEBACK))


def _configure_standard(
    out: TextIO,
    level: int,
    processors: list[structlog.typing.Processor],
    renderers: list[structlog.typing.Processor],
) -> None:
    """Gives what comes through the standard logging (the HTTP layer, libraries) the same form."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
