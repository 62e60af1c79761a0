"""The domain's exceptions as the API's answers."""

from __future__ import annotations

from ..domain.errors import Invalid, LimitReached, NotFound
from ..rest import FieldError, Problem, invalid


def translate(error: Exception) -> Problem | None:
    """The problem an exception of the domain stands for; None for every other exception."""
    if isinstance(error, Invalid):
        return invalid(FieldError(each.path, _sentence(each.message), each.code) for each in error.problems)
    if isinstance(error, NotFound):
        detail = _sentence(str(error))
        fields = [FieldError(error.path, detail, error.code)] if error.path else []
        return Problem(404, error.code, "Not found", detail, fields)
    if isinstance(error, LimitReached):
        return Problem(400, error.code, "Limit reached", _sentence(str(error)))
    return None


def missing(errors: list[FieldError]) -> Problem:
    """A 404 for one or more fields of a body that name what does not exist."""
    first = errors[0]
    detail = first.message if len(errors) == 1 else f"{len(errors)} unknown references. The first: {first.message}"
    return Problem(404, first.code, "Not found", detail, errors)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
