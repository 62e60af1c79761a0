"""Structured logs on standard error: readable lines on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_WORDS = ("secret", "password", "authorization", "private", "signing_key", "token", "pepper", "master")
_REDACTED = "[redacted]"


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blanks every value whose name sounds like a secret: a log line is copied into tickets and chats."""
    for name in event:
        if name != "event" and any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = _REDACTED
    return event


def configure(*, level: str = "info", stream: TextIO | None = None, json: bool | None = None) -> None:
    """Sets structlog and the standard logging up, once, for this process."""
    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        # Plain tracebacks: the pretty ones show local variables, and with them secrets.
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
