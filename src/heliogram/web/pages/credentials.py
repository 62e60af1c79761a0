"""Credentials: how each does, and what can be done with it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import api, redirect, render, segment
from ..inprocess import PUSH
from ._credential_words import TYPES, shown
from ._shared import ALL, confirm, tried

ROOT = f"{PUSH}/Credentials"


async def credentials(request: Request) -> Response:
    """All credentials, of one app or of one type."""
    asked, query = api(request), request.query_params
    wanted = {"appName": query.get("appName", ""), "credentialType": query.get("credentialType", "")}
    page, problem = await tried(asked.get(ROOT, **wanted, pageToken=query.get("pageToken")))
    apps = await asked.get(f"{PUSH}/Apps", pageSize=ALL)
    return render(
        request,
        "credentials/list.html",
        status=200 if problem is None else problem.status,
        page=page,
        credentials=[] if page is None else [shown(each) for each in page["credentials"]],
        apps=[each["name"] for each in apps["apps"]],
        types=TYPES,
        wanted=wanted,
        problem=problem,
    )


async def credential(request: Request) -> Response:
    """One credential."""
    found = await api(request).get(f"{ROOT}/{_id(request)}")
    return render(request, "credentials/detail.html", credential=shown(found))


async def check(request: Request) -> Response:
    """Asks APNs whether it accepts the credential; the answer stays with it."""
    ident = _id(request)
    found = await api(request).post(f"{ROOT}/{ident}/check")
    said = "" if found["ok"] else "APNs was asked: what it said is below."
    return redirect(request, f"/credentials/{ident}", message=said or found["message"])


async def reconnect(request: Request) -> Response:
    """Opens its connections anew."""
    ident = _id(request)
    await api(request).post(f"{ROOT}/{ident}/reconnect")
    return redirect(request, f"/credentials/{ident}", message="New connections are used from now on.")


async def make_default(request: Request) -> Response:
    """Its app sends with it whenever a send names no other."""
    ident = _id(request)
    await api(request).patch(f"{ROOT}/{ident}", {"isDefault": True})
    return redirect(request, f"/credentials/{ident}", message="The app sends with this credential now.")


async def ask_revoke(request: Request) -> Response:
    """Asks before a key ends."""
    ident = _id(request)
    found = shown(await api(request).get(f"{ROOT}/{ident}"))
    return confirm(
        request,
        title="Revoke this key?",
        text=[
            "For a key in wrong hands: its connections are closed at once, and nothing leaves with it again.",
            "It is the key that ends: every credential of the account that holds it is revoked with this one. The"
            f" oldest good {found['environment']} credential of {found['appName']} takes over; without one, nothing"
            " is sent.",
            "This cannot be undone. Revoke the key in Apple's developer portal, too.",
        ],
        button="Revoke the key",
        action=f"/credentials/{ident}/revoke",
        back=f"/credentials/{ident}",
    )


async def revoke(request: Request) -> Response:
    """Ends a key."""
    ident = _id(request)
    await api(request).post(f"{ROOT}/{ident}/revoke")
    return redirect(request, f"/credentials/{ident}", message="Revoked. Nothing leaves with this key again.")


async def ask_delete(request: Request) -> Response:
    """Asks before a credential goes, and says when its app goes with it."""
    ident, asked = _id(request), api(request)
    found = await asked.get(f"{ROOT}/{ident}")
    app = found["appName"]
    others = await asked.get(ROOT, appName=app, pageSize=2)
    last = len(others["credentials"]) == 1
    text = ["The credential is removed and its connections are closed."]
    if last:
        text.append(f"It is the last of {app}: the app and all of its device registrations go with it.")
    return confirm(
        request,
        title=f"Delete the credential and the app {app}?" if last else "Delete this credential?",
        text=[*text, "This cannot be undone."],
        button=f"Delete it and the app {app}" if last else "Delete the credential",
        action=f"/credentials/{ident}/delete",
        back=f"/credentials/{ident}",
    )


async def delete(request: Request) -> Response:
    """Removes a credential."""
    await api(request).delete(f"{ROOT}/{_id(request)}")
    return redirect(request, "/credentials", message="The credential was deleted.")


def _id(request: Request) -> str:
    return segment(request.path_params["id"])


ROUTES = [
    Route("/credentials", credentials, methods=["GET"]),
    Route("/credentials/{id}", credential, methods=["GET"]),
    Route("/credentials/{id}/check", check, methods=["POST"]),
    Route("/credentials/{id}/reconnect", reconnect, methods=["POST"]),
    Route("/credentials/{id}/default", make_default, methods=["POST"]),
    Route("/credentials/{id}/revoke", ask_revoke, methods=["GET"]),
    Route("/credentials/{id}/revoke", revoke, methods=["POST"]),
    Route("/credentials/{id}/delete", ask_delete, methods=["GET"]),
    Route("/credentials/{id}/delete", delete, methods=["POST"]),
]
