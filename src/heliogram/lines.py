"""Log lines of sends: each names its operation as the API shows it."""

from __future__ import annotations

from typing import Any

from .domain import ids
from .domain.operations import Lane
from .ports import Lease


class _Loud:
    small = False


_loud = _Loud()


def operation_id(raw: bytes) -> str:
    """An operation's id as text."""
    return ids.encode(ids.OPERATION, raw)


def named(chunk: Lease) -> dict[str, Any]:
    """What names a chunk in a line: its operation, the sequence of its first recipient, and the attempt."""
    return {"operation": operation_id(chunk.operation_id), "first": chunk.first, "attempt": chunk.attempt}


def tell_of_small_sends(*, on: bool) -> None:
    """Whether small sends, of which there may be thousands a second, have lines in this process."""
    _loud.small = on


def tell(log: Any, lane: Lane, event: str, operation: bytes, **more: Any) -> None:
    """A line about a send: of large ones at `info`, of small ones at `debug`, where those are wanted."""
    if lane is Lane.BULK:
        log.info(event, operation=operation_id(operation), **more)
    elif _loud.small:
        log.debug(event, operation=operation_id(operation), **more)
