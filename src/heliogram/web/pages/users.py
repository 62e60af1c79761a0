"""Users: found by id, with their devices and what was sent to them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, form, redirect, render, segment
from ..inprocess import PUSH
from ._device_history import timeline
from ._device_words import KINDS, shown
from ._outcome_words import notification_words
from ._shared import ALL, confirm, tried

USER = "comms_pushnotificationuser_"
LATEST = 10


async def users(request: Request) -> Response:
    """All users, newest first; a search leads to the one that was meant."""
    asked = request.query_params.get("q", "").strip()
    if asked.startswith(USER):
        return redirect(request, f"/users/{quote(asked, safe='')}")
    token = request.query_params.get("pageToken")
    found, problem = await tried(api(request).get(f"{PUSH}/Users", externalId=asked, pageToken=token))
    if asked and found and found["users"]:
        return redirect(request, f"/users/{found['users'][0]['id']}")
    status = 200 if problem is None else problem.status
    return render(request, "users/list.html", page=found, q=asked, problem=problem, status=status)


async def user(request: Request) -> Response:
    """One user."""
    return await _user(request)


async def rename(request: Request) -> Response:
    """Gives a user another name, or takes it away."""
    ident = segment(request.path_params["id"])
    wanted = form(request).get("externalId", "")
    _, problem = await tried(api(request).patch(f"{PUSH}/Users/{ident}", {"externalId": wanted or None}))
    if problem is not None:
        return await _user(request, problem, wanted)
    return redirect(request, f"/users/{ident}", message="Saved." if wanted else "The user has no external id any more.")


async def ask_delete(request: Request) -> Response:
    """Asks before a user goes."""
    ident = segment(request.path_params["id"])
    found = await api(request).get(f"{PUSH}/Users/{ident}")
    return confirm(
        request,
        title="Delete this user?",
        text=[
            f"{found['externalId'] or found['id']} loses every device in all apps, and gets no more pushes.",
            "This cannot be undone. If the app registers a device for the same person again, that makes a new user.",
        ],
        button="Delete the user",
        action=f"/users/{ident}/delete",
        back=f"/users/{ident}",
    )


async def delete(request: Request) -> Response:
    """Deletes a user."""
    await api(request).delete(f"{PUSH}/Users/{segment(request.path_params['id'])}")
    return redirect(request, "/users", message="The user was deleted.")


async def ask_remove(request: Request) -> Response:
    """Asks before a device goes."""
    ident, query = segment(request.path_params["id"]), request.query_params
    named = {name: query.get(name, "") for name in ("registration", "token", "kind")}
    return confirm(
        request,
        title="Remove this device?",
        text=[
            f"The token {named['token']} gets no more pushes in this app.",
            "It comes back when the app registers it again, as apps do at every launch: have the person sign out.",
        ],
        button="Remove the device",
        action=f"/users/{ident}/devices/remove",
        back=f"/users/{ident}",
        hidden=named,
    )


async def remove(request: Request) -> Response:
    """Removes a device of a user."""
    ident, given = segment(request.path_params["id"]), form(request)
    registration, token = segment(given.get("registration", "")), segment(given.get("token", ""))
    await api(request).delete(
        f"{PUSH}/DeviceRegistrations/{registration}/devices/{token}", kind=given.get("kind") or None
    )
    return redirect(request, f"/users/{ident}", message="The device was removed.")


async def _user(request: Request, problem: ApiProblem | None = None, wanted: str | None = None) -> Response:
    ident, asked = segment(request.path_params["id"]), api(request)
    found = await asked.get(f"{PUSH}/Users/{ident}")
    if found["id"] != ident:
        return redirect(request, f"/users/{found['id']}")
    registrations = await asked.get(f"{PUSH}/DeviceRegistrations", userId=found["id"], pageSize=ALL)
    sent = await asked.get(PUSH, user=found["id"], pageSize=LATEST, include="deliveries")
    return render(
        request,
        "users/detail.html",
        status=200 if problem is None else problem.status,
        user=found,
        name=(found["externalId"] or "") if wanted is None else wanted,
        registrations=[_registration(found["id"], each) for each in registrations["deviceRegistrations"]],
        notifications=[{**each, "words": notification_words(each)} for each in sent["pushNotifications"]],
        history=await timeline(asked, userId=found["id"]),
        kinds=KINDS,
        problem=problem,
    )


def _registration(user: str, registration: dict[str, Any]) -> dict[str, Any]:
    devices = []
    for each in registration["devices"]:
        query = urlencode({"registration": registration["id"], "token": each["token"], "kind": each["kind"]})
        devices.append({**shown(each), "remove": f"/users/{user}/devices/remove?{query}"})
    quarantined = [each for each in devices if each["condition"].why]
    reasons = {each["stateReason"]: each["condition"] for each in quarantined}
    told = [(reason, found.why, found.cure) for reason, found in reasons.items()]
    return {**registration, "devices": devices, "reasons": told}


ROUTES = [
    Route("/users", users, methods=["GET"]),
    Route("/users/{id}", user, methods=["GET"]),
    Route("/users/{id}/name", rename, methods=["POST"]),
    Route("/users/{id}/delete", ask_delete, methods=["GET"]),
    Route("/users/{id}/delete", delete, methods=["POST"]),
    Route("/users/{id}/devices/remove", ask_remove, methods=["GET"]),
    Route("/users/{id}/devices/remove", remove, methods=["POST"]),
]
