"""Notifications: found by any id that people have in hand, and told in plain words."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...domain import ids
from ..context import ApiProblem, api, is_fragment, redirect, render, segment
from ..inprocess import PUSH
from ._composing import TOKEN
from ._outcome_words import delivery_words, told

STATUSES = ("", "SCHEDULED", "QUEUED", "SENT", "FAILED", "CANCELED")


async def notifications(request: Request) -> Response:
    """The latest, or those that a search finds. An id of a notification or an operation leads to it."""
    asked = {name: request.query_params.get(name, "").strip() for name in ("q", "status", "startDate", "endDate")}
    target = _leads_to(asked["q"])
    if target is not None:
        return redirect(request, target)
    asking, note = api(request), ""
    page: Any = None
    problem: ApiProblem | None = None
    try:
        wanted, note = _wanted(asked["q"])
        filters = {name: asked[name] for name in ("status", "startDate", "endDate")}
        token = request.query_params.get("pageToken")
        page = await asking.get(PUSH, include="deliveries", pageToken=token, **filters, **wanted)
    except ApiProblem as error:
        if error.status != 400:
            raise
        problem = error
    found = [] if page is None else [told(each) for each in page["pushNotifications"]]
    status = 200 if problem is None else 400
    known: dict[str, Any] = {"page": page, "notifications": found, "asked": asked, "problem": problem, "note": note}
    return render(request, "notifications/list.html", status=status, **known)


async def notification(request: Request) -> Response:
    """One notification: what became of it at each device."""
    ident = _ident(request)
    asking = api(request)
    found = await asking.get(f"{PUSH}/{ident}")
    payload = None if is_fragment(request) else await asking.get(f"{PUSH}/{ident}/Payload")
    deliveries = [{**each, "words": delivery_words(each)} for each in found["deliveries"]]
    over = found["status"] in ("SENT", "FAILED", "CANCELED") and all(each["final"] for each in deliveries)
    known: dict[str, Any] = {"one": told(found), "deliveries": deliveries, "over": over, "payload": payload}
    return render(request, "notifications/one.html", block="live", **known)


async def cancel(request: Request) -> Response:
    """Stops it, if it has not left."""
    ident = _ident(request)
    try:
        await api(request).delete(f"{PUSH}/{ident}")
        message = "Cancelled: it does not leave any more."
    except ApiProblem as problem:
        if problem.status != 409:
            raise
        message = "It is too late: it has left, or is leaving just now."
    return redirect(request, f"/notifications/{ident}", message=message)


def _ident(request: Request) -> str:
    """The notification's id in the address: below the same path the API has literal segments, too."""
    ident = segment(request.path_params["id"])
    if not ident.startswith(ids.NOTIFICATION + "_"):
        raise ApiProblem(404, 20404, "Not found", f"There is no notification {ident[:100]!r}.")
    return ident


def _leads_to(text: str) -> str | None:
    """The page of what has exactly this id: a notification's, with any device's slot, an apns-id, an operation's."""
    for prefix, page in ((ids.NOTIFICATION, "/notifications"), (ids.OPERATION, "/operations")):
        if text.startswith(prefix + "_"):
            return f"{page}/{quote(text, safe='')}"
    try:
        return f"/notifications/{ids.encode(ids.NOTIFICATION, uuid.UUID(text).bytes)}" if "-" in text else None
    except ValueError:
        return None


def _wanted(text: str) -> tuple[dict[str, Any], str]:
    """Filters of the API for what was typed, and what it was taken for."""
    if not text:
        return {}, ""
    if text.startswith(ids.USER + "_"):
        return {"user": text}, "Sent to this user."
    if TOKEN.fullmatch(text):
        return {"token": text}, "Sent to this device token, or tried at it."
    return {"externalId": text}, f"Sent to the user with the external id “{text}”."


ROUTES = [
    Route("/notifications", notifications, methods=["GET"]),
    Route("/notifications/{id}", notification, methods=["GET"]),
    Route("/notifications/{id}/cancel", cancel, methods=["POST"]),
]
