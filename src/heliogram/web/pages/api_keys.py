"""API keys: which there are, what each may do and when it was last used."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, fields, form, redirect, render, segment, session
from ._shared import confirm, given, tried

ROOT = "/v1/ApiKeys"
SCOPES = (
    ("send", "Send notifications, cancel them, make channels"),
    ("register", "Register and remove devices; makes users"),
    ("users", "Change the external ids of users, and delete users"),
    ("read", "Read everything but API keys, webhooks and the audit log"),
    ("credentials", "Upload, check, rotate and revoke credentials"),
    ("admin", "Everything, also API keys, webhooks and the audit log"),
)
GRACES = (
    ("0", "at once"),
    ("3600", "in an hour"),
    ("86400", "in a day"),
    ("604800", "in a week"),
    ("2592000", "in 30 days"),
)
"""When a key ends whose successor was made, in seconds."""


async def api_keys(request: Request) -> Response:
    """All keys."""
    page = await api(request).get(ROOT, pageToken=request.query_params.get("pageToken"))
    return render(request, "api_keys/list.html", page=page, own=_own(request))


async def new(request: Request) -> Response:
    """The form for a new key."""
    return _form(request, {"name": "", "expiresAt": ""}, ["send", "register", "read"])


async def create(request: Request) -> Response:
    """Makes a key, and shows its secret this once."""
    values = form(request)
    scopes = [value for name, value in fields(request) if name == "scopes"]
    body = {"name": values.get("name", ""), "scopes": scopes}
    if values.get("expiresAt"):
        body["expiresAt"] = values["expiresAt"]
    made, problem = await tried(api(request).post(ROOT, body))
    if problem is not None:
        return _form(request, values, scopes, problem)
    return render(request, "api_keys/secret.html", key=made, before=None)


async def api_key(request: Request) -> Response:
    """One key."""
    return await _key(request)


async def rotate(request: Request) -> Response:
    """Makes a successor, and shows its secret this once."""
    ident, seconds = segment(request.path_params["id"]), form(request).get("graceSeconds", "")
    body = {"graceSeconds": int(seconds)} if seconds in dict(GRACES) else {}
    made, problem = await tried(api(request).post(f"{ROOT}/{ident}/rotate", body))
    if problem is not None:
        return await _key(request, problem)
    return render(request, "api_keys/secret.html", key=made, before=ident)


async def ask_revoke(request: Request) -> Response:
    """Asks before a key ends."""
    ident = segment(request.path_params["id"])
    found = await api(request).get(f"{ROOT}/{ident}")
    text = ["It ends within a second, and with it every registration token that it made. This cannot be undone."]
    if ident == _own(request):
        text.append("It is the key you are signed in with: you will be signed out.")
    return confirm(
        request,
        title=f"Revoke the key {found['name'] or ident}?",
        text=text,
        button="Revoke the key",
        action=f"/api-keys/{ident}/revoke",
        back=f"/api-keys/{ident}",
    )


async def revoke(request: Request) -> Response:
    """Ends a key."""
    ident = segment(request.path_params["id"])
    _, problem = await tried(api(request).delete(f"{ROOT}/{ident}"))
    if problem is not None:
        return await _key(request, problem)
    return redirect(request, "/api-keys", message="The key was revoked.")


async def _key(request: Request, problem: ApiProblem | None = None) -> Response:
    ident = segment(request.path_params["id"])
    found = await api(request).get(f"{ROOT}/{ident}")
    return render(
        request,
        "api_keys/detail.html",
        status=200 if problem is None else problem.status,
        key=found,
        own=_own(request),
        scopes=dict(SCOPES),
        graces=GRACES,
        problem=problem,
    )


def _form(request: Request, values: dict[str, Any], scopes: list[str], problem: ApiProblem | None = None) -> Response:
    told = {"name": "", "expiresAt": "", **given(values, "name", "expiresAt")}
    status = 200 if problem is None else problem.status
    return render(
        request, "api_keys/form.html", status=status, values=told, scopes=scopes, known=SCOPES, problem=problem
    )


def _own(request: Request) -> str:
    """The key of the session."""
    who = session(request)
    return "" if who is None else who.key_id


ROUTES = [
    Route("/api-keys", api_keys, methods=["GET"]),
    Route("/api-keys/new", new, methods=["GET"]),
    Route("/api-keys/new", create, methods=["POST"]),
    Route("/api-keys/{id}", api_key, methods=["GET"]),
    Route("/api-keys/{id}/rotate", rotate, methods=["POST"]),
    Route("/api-keys/{id}/revoke", ask_revoke, methods=["GET"]),
    Route("/api-keys/{id}/revoke", revoke, methods=["POST"]),
]
