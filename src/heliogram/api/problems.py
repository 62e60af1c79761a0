"""The exceptions of the domain and of the ports as the API's answers."""

from __future__ import annotations

import logging

from ..domain.backlog import QueueFull
from ..domain.errors import MEANINGS, Code, Conflict, Invalid, LimitReached, NotFound, Unavailable, Unreadable
from ..ports import ChannelRefused
from ..rest import FieldError, Problem, invalid

_log = logging.getLogger("heliogram.api")

RETRY_AFTER = "5"
"""Seconds a caller is asked to wait when the service is unavailable."""

_OF_THE_DISK = {
    Code.STORE_FULL: ("Store full", "30"),
    Code.STORE_READ_ONLY: ("Store read-only", "30"),
    Code.STORE_GONE: ("Store gone", "60"),
}
"""What is wrong with the store, and when to ask again: people have to do something first."""


def translate(error: Exception) -> Problem | None:
    """The problem an exception of the domain or of the ports stands for; None for every other exception."""
    if isinstance(error, Invalid):
        return invalid(FieldError(_where(each.path), _sentence(each.message), each.code) for each in error.problems)
    if isinstance(error, NotFound):
        detail = _sentence(str(error))
        fields = [FieldError(error.path, detail, error.code)] if error.path else []
        return Problem(404, error.code, "Not found", detail, fields)
    if isinstance(error, Conflict):
        detail = _sentence(str(error))
        fields = [FieldError(error.path, detail, error.code)] if error.path else []
        return Problem(409, error.code, "Conflict", detail, fields)
    if isinstance(error, QueueFull):
        headers = {"Retry-After": str(error.retry_after)}
        return Problem(429, error.code, "Queue full", _sentence(str(error)), headers=headers)
    if isinstance(error, LimitReached):
        return Problem(400, error.code, "Limit reached", _sentence(str(error)))
    if isinstance(error, Unavailable):
        return _unavailable(error)
    if isinstance(error, Unreadable):
        _log.error("unreadable: %s; run `heliogram check`", error)
        return Problem(500, error.code, "Damaged", MEANINGS[error.code])
    if isinstance(error, ChannelRefused):
        return _channel_refused(error)
    return None


def _unavailable(error: Unavailable) -> Problem:
    """What is wrong with the server is for its log, not for the caller: the path of its disk is nobody's business."""
    if error.code in _OF_THE_DISK:
        # The store has told its log, once; every request that meets the same would make thousands of lines.
        title, seconds = _OF_THE_DISK[error.code]
        return Problem(503, error.code, title, MEANINGS[error.code], headers={"Retry-After": seconds})
    _log.error("unavailable: %s", error)
    detail = "The service cannot do this just now, and nothing was stored. Try again."
    return Problem(503, error.code, "Unavailable", detail, headers={"Retry-After": RETRY_AFTER})


def _channel_refused(error: ChannelRefused) -> Problem:
    """What the provider said: 404 for no such channel, 503 for what may work later, else 409."""
    if error.unknown_channel:
        return Problem(404, Code.UNKNOWN_CHANNEL, "Not found", str(error))
    if error.later or error.perhaps_done:
        return Problem(503, Code.UNAVAILABLE, "Unavailable", str(error), headers={"Retry-After": RETRY_AFTER})
    return Problem(409, Code.CHANNEL_REFUSED, "Refused by APNs", str(error))


def _where(path: str) -> str:
    """The path of a field; one that is not in the body is a query parameter."""
    return path if path.startswith("$") else f"query.{path}"


def missing(errors: list[FieldError]) -> Problem:
    """A 404 for one or more fields of a body that name what does not exist."""
    first = errors[0]
    detail = first.message if len(errors) == 1 else f"{len(errors)} unknown references. The first: {first.message}"
    return Problem(404, first.code, "Not found", detail, errors)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
