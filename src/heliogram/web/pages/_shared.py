"""What several pages do alike: forms that the API refuses, and questions before what cannot be undone."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..context import ApiProblem, render

OF_THE_FORM = frozenset({400, 404, 409})
"""Answers that are about what was filled in: the form is shown again with what is wrong."""
ALL = 1000
"""As many as a page of the API holds: where there are few by the API's own limits."""


async def tried(doing: Awaitable[Any]) -> tuple[Any, ApiProblem | None]:
    """What the API answered, or what is wrong with what was asked of it; other problems are raised."""
    try:
        return await doing, None
    except ApiProblem as problem:
        if problem.status not in OF_THE_FORM:
            raise
        return None, problem


def given(values: dict[str, str], *names: str) -> dict[str, str]:
    """Of a form's fields those that were filled in."""
    return {name: values[name] for name in names if values.get(name)}


def confirm(
    request: Request,
    *,
    title: str,
    text: Sequence[str],
    button: str,
    action: str,
    back: str,
    hidden: dict[str, Any] | None = None,
) -> Response:
    """Asks before something that cannot be undone: `text` says what will be gone. `action` and `back` are pages."""
    asked = {"title": title, "text": text, "button": button, "action": action, "back": back, "hidden": hidden or {}}
    return render(request, "confirm.html", asked=asked)
