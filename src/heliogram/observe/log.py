"""Structured logs on standard error: readable lines on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from ..lines import tell_of_small_sends
from ..rest import current_request_id

_SECRET_WORDS = ("secret", "password", "authorization", "private", "signing_key", "token", "pepper", "master")
_REDACTED = "[redacted]"


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blanks every value whose name sounds like a secret: a log line is copied into tickets and chats."""
    for name in event:
        if name != "event" and any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = _REDACTED
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
    renderer: structlog.typing.Processor
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        # Plain tracebacks: the pretty ones show local variables, and with them secrets.
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        *([structlog.processors.format_exc_info] if as_json else []),
    ]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    _configure_standard(out, max(number, logging.WARNING), processors, renderer)


def _configure_standard(
    out: TextIO, level: int, processors: list[structlog.typing.Processor], renderer: structlog.typing.Processor
) -> None:
    """Gives what comes through the standard logging (the HTTP layer, libraries) the same form."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
