"""Operations: what was sent, how far it is, and why parts of it failed."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, redirect, render, segment
from ..inprocess import PUSH, Api
from ._outcome_words import NO_DEVICE, Words, is_refusal, not_sent, reason_words, refusal, told

FEW = 20
"""Recipients of an operation that are shown one by one, with their outcomes."""
OVER = ("COMPLETED", "CANCELED")
STATUSES = ("", "SCHEDULED", "PROCESSING", "COMPLETED", "CANCELED")
ERRORS = 100
FILTERS = ("status", "startDate", "endDate", "tags")


async def operations(request: Request) -> Response:
    """All operations, newest first."""
    asked = {name: request.query_params.get(name, "") for name in FILTERS}
    try:
        page = await api(request).get(f"{PUSH}/Operations", pageToken=request.query_params.get("pageToken"), **asked)
        problem = None
    except ApiProblem as error:
        if error.status != 400:
            raise
        page, problem = None, error
    found = [] if page is None else [shown(each) for each in page["operations"]]
    status = 200 if problem is None else 400
    return render(
        request, "operations/list.html", status=status, page=page, operations=found, asked=asked, problem=problem
    )


async def operation(request: Request) -> Response:
    """One operation. While it runs, its live part is asked for once a second."""
    ident = segment(request.path_params["id"])
    asking = api(request)
    found = shown(await asking.get(f"{PUSH}/Operations/{ident}"))
    few = found["stats"]["recipients"] <= FEW
    recipients = await _recipients(asking, ident) if few else []
    errors, more = ([], None) if few else await _errors(asking, ident, request.query_params.get("pageToken"))
    return render(
        request,
        "operations/one.html",
        block="live",
        operation=found,
        few=few,
        recipients=recipients,
        errors=errors,
        more=more,
    )


async def cancel(request: Request) -> Response:
    """Stops what has not left."""
    ident = segment(request.path_params["id"])
    try:
        await api(request).post(f"{PUSH}/Operations/{ident}/cancel")
        message = "Cancelled: what had not left does not leave any more."
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        message = "It is too late: all of it had left."
    return redirect(request, f"/operations/{ident}", message=message)


def shown(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation with how far it is."""
    stats = operation["stats"]
    done = stats["sent"] + stats["failed"] + stats["canceled"] + stats["unaddressable"]
    over = operation["status"] in OVER
    return {
        **operation,
        "done": done,
        "over": over,
        "tone": _tone(operation["status"], stats),
        "percent": 100 if not stats["total"] else int(100 * done / stats["total"]),
    }


def _tone(status: str, stats: dict[str, int]) -> str | None:
    """The colour of its badge: that all has ended is good only where something arrived. None: as the status has it."""
    lost = stats["failed"] + stats["unaddressable"]
    if status != "COMPLETED" or not lost:
        return None
    return "warn" if stats["sent"] else "bad"


async def _recipients(asking: Api, ident: str) -> list[dict[str, Any]]:
    page = await asking.get(PUSH, operationId=ident, include="deliveries", pageSize=FEW)
    return [told(each) for each in page["pushNotifications"]]


async def _errors(asking: Api, ident: str, token: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """Why notifications failed, by reason, the commonest first; of one page of the API's."""
    page = await asking.get(f"{PUSH}/Operations/{ident}/Errors", pageSize=ERRORS, pageToken=token)
    groups: dict[str, dict[str, Any]] = {}
    for each in page["errors"]:
        group = groups.setdefault(each["reason"], {**each, "words": _words(each), "ids": []})
        group["ids"].append(each["notificationId"])
    return sorted(groups.values(), key=lambda group: -len(group["ids"])), page["pagination"]["next"]


def _words(error: dict[str, Any]) -> Words:
    """In our words where there are some, else in the API's."""
    reason, cure = error["reason"], error["cure"].replace("`", "")
    if reason == "Unaddressable":
        return Words("bad", reason_words(reason), NO_DEVICE)
    known = reason_words(reason) != reason
    words = not_sent(reason) if known and not is_refusal(reason) else refusal(reason, None, None)
    return words if words.cure else Words(words.tone, words.said, cure)


ROUTES = [
    Route("/operations", operations, methods=["GET"]),
    Route("/operations/{id}", operation, methods=["GET"]),
    Route("/operations/{id}/cancel", cancel, methods=["POST"]),
]
