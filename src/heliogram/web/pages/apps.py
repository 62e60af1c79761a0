"""Apps: which there are, and what each sends with."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import api, redirect, render, segment
from ..inprocess import PUSH
from ._credential_words import shown
from ._shared import ALL


async def apps(request: Request) -> Response:
    """All apps."""
    page = await api(request).get(f"{PUSH}/Apps", pageToken=request.query_params.get("pageToken"))
    return render(request, "apps/list.html", page=page)


async def app(request: Request) -> Response:
    """One app."""
    name, asked = segment(request.path_params["name"]), api(request)
    found = await asked.get(f"{PUSH}/Apps/{name}")
    credentials = await asked.get(f"{PUSH}/Credentials", appName=name, pageSize=ALL)
    return render(
        request,
        "apps/detail.html",
        app=found,
        credentials=[shown(each) for each in credentials["credentials"]],
    )


async def make_default(request: Request) -> Response:
    """Makes it the app of sends that name none."""
    name = segment(request.path_params["name"])
    await api(request).patch(f"{PUSH}/Apps/{name}", {"isDefault": True})
    return redirect(request, f"/apps/{name}", message=f"Sends that name no app go out from {name} now.")


ROUTES = [
    Route("/apps", apps, methods=["GET"]),
    Route("/apps/{name}", app, methods=["GET"]),
    Route("/apps/{name}/default", make_default, methods=["POST"]),
]
