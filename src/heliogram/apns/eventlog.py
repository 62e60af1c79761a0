"""The engine's log lines: a message for people, and the event's fields as `apns_…` for programs."""

from __future__ import annotations

import logging

import msgspec

from .causes import CauseKind
from .listener import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    GoawayReceived,
    StreamLimitChanged,
    TokenChanged,
)

logger = logging.getLogger("heliogram.apns")
logger.addHandler(logging.NullHandler())  # a program that configures no logging gets no lines on its standard error

Logged = ConnectionOpened | ConnectionFailed | ConnectionClosed | StreamLimitChanged | GoawayReceived | TokenChanged

_ALARMING = frozenset((CauseKind.SILENT, CauseKind.PROTOCOL, CauseKind.CREDENTIAL))


def log(event: Logged) -> None:
    """Write an event's line."""
    level, name, text, *values = _line(event)
    if logger.isEnabledFor(level):
        fields = {f"apns_{field}": value for field, value in msgspec.structs.asdict(event).items()}
        logger.log(level, text, *values, extra={"apns_event": name, **fields})


def _line(event: Logged) -> tuple[int, str, str, *tuple[object, ...]]:
    """Level, name, and the message with its values."""
    match event:
        case ConnectionOpened(serial=serial, endpoint=endpoint, seconds=took):
            address = event.address or "an unknown address"
            text = "connection %d to %s (%s) opened in %.3f s, %s"
            return logging.INFO, "connection_opened", text, serial, endpoint, address, took, event.credential
        case ConnectionFailed(endpoint=endpoint, cause=cause):
            text = "cannot connect to %s: %s, %s"
            return logging.WARNING, "connection_failed", text, endpoint, cause, event.credential
        case ConnectionClosed(serial=serial, endpoint=endpoint, cause=cause):
            alarming = event.kind in _ALARMING or (event.kind is CauseKind.LOST and not event.proven)
            level = logging.WARNING if alarming else logging.INFO
            text = "connection %d to %s closed after %.0f s and %d pushes: %s, %s"
            values = (serial, endpoint, event.seconds, event.pushes, cause, event.credential)
            return level, "connection_closed", text, *values
        case GoawayReceived(serial=serial, endpoint=endpoint):
            level = logging.WARNING if event.reason else logging.INFO
            return level, "goaway_received", "connection %d to %s: %s", serial, endpoint, event.text
        case StreamLimitChanged(serial=serial, endpoint=endpoint):
            limit = "no limit" if event.limit is None else f"{event.limit} at a time"
            return logging.DEBUG, "stream_limit_changed", "connection %d to %s: %s", serial, endpoint, limit
        case TokenChanged(key_id=key_id, team_id=team_id, issued_at=issued_at):
            text = "new provider token of key %s, team %s, issued at %d"
            return logging.DEBUG, "token_changed", text, key_id, team_id, issued_at
