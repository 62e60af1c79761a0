"""Devices: found by their token."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, render, segment
from ..inprocess import PUSH
from ._device_history import Timeline, timeline
from ._device_words import KINDS, same_token, shown
from ._shared import ALL, tried


async def devices(request: Request) -> Response:
    """What is known of a device token."""
    asked = request.query_params.get("token", "").strip()
    found: list[dict[str, Any]] = []
    problem: ApiProblem | None = None
    history: Timeline | None = None
    if asked:
        page, problem = await tried(api(request).get(f"{PUSH}/DeviceRegistrations", token=asked, pageSize=ALL))
        if page is not None:
            registrations = page["deviceRegistrations"]
            found = list(await asyncio.gather(*(_found(request, each, asked) for each in registrations)))
            history = await timeline(api(request), token=asked)
    status = 200 if problem is None else problem.status
    return render(
        request,
        "devices/search.html",
        token=asked,
        found=found,
        history=history,
        kinds=KINDS,
        problem=problem,
        status=status,
    )


async def _found(request: Request, registration: dict[str, Any], asked: str) -> dict[str, Any]:
    """A registration with its user, and of its devices those with the token."""
    user = await api(request).get(f"{PUSH}/Users/{segment(registration['userId'])}")
    meant = [shown(each) for each in registration["devices"] if same_token(each, asked)]
    others = len(registration["devices"]) - len(meant)
    return {"registration": registration, "user": user, "devices": meant, "others": others}


ROUTES = [Route("/devices", devices, methods=["GET"])]
