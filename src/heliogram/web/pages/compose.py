"""Writing one notification: seen as on a lock screen and as APNs gets it, sent, and followed to its outcome."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, form, redirect, render
from ..inprocess import PUSH
from ._composing import EVENTS, FIELDS, KINDS, LABELS, WRITTEN, field_of, kind_of, read
from ._lock_screen import shown

OF_THE_FORM = (400, 404, 409)
START = {
    "title": "Hello {{ name | default: 'there' }}",
    "body": "This is the first notification from Heliogram.",
    "sound": "default",
}
NOBODY = "00" * 32
"""A token that no device has: it stands for a recipient who is not named yet."""
OF_THE_ADDRESS = ("to", "appName", "kind", "event", "activityId")
KEY = "once"
"""The field that makes a send with the same form the same send."""


async def compose(request: Request) -> Response:
    """The form; what is composed, for whom and from which app may stand in the address."""
    given = {name: value for name, value in request.query_params.items() if name in OF_THE_ADDRESS}
    return await _page(request, {**START, **given, KEY: secrets.token_urlsafe(18)})


async def preview(request: Request) -> Response:
    """What it would be: nothing is kept or sent."""
    filled = form(request, exact=WRITTEN)
    trial, problem, wrong = await _tried(request, filled)
    return await _page(request, filled, trial=trial, problem=problem, wrong=wrong, looked=True)


async def send(request: Request) -> Response:
    """Sends it, once."""
    filled = form(request, exact=WRITTEN)
    asked = read(filled)
    if asked.wrong:
        return await _page(request, filled, wrong=asked.wrong, status=400)
    try:
        made = await api(request).post(
            PUSH, asked.request, idempotency_key=filled.get(KEY) or secrets.token_urlsafe(18)
        )
    except ApiProblem as problem:
        if problem.status not in OF_THE_FORM:
            raise
        return await _page(request, filled, problem=problem, wrong=_wrong(problem, filled), status=problem.status)
    return redirect(request, f"/operations/{made['operationId']}", message="Accepted: it is on disk, and on its way.")


async def _tried(request: Request, filled: dict[str, str]) -> tuple[Any, ApiProblem | None, dict[str, str]]:
    asked = read(filled)
    told = {name: text for name, text in asked.wrong.items() if name == "to"}
    if told:  # shown all the same, as it would be for somebody
        asked = read({**filled, "to": NOBODY})
    if asked.wrong:
        return None, None, {**told, **asked.wrong}
    try:
        return await api(request).post(PUSH, {**asked.request, "validateOnly": True}), None, told
    except ApiProblem as problem:
        if problem.status not in OF_THE_FORM:
            raise
        return None, problem, _wrong(problem, filled)


def _wrong(problem: ApiProblem, filled: dict[str, str]) -> dict[str, str]:
    """What the API says of each field of the form."""
    found: dict[str, str] = {}
    for each in problem.errors:
        found.setdefault(field_of(str(each.get("context", "")), kind_of(filled)), str(each.get("message", "")))
    return found


async def _page(
    request: Request,
    filled: dict[str, str],
    *,
    trial: Any = None,
    problem: ApiProblem | None = None,
    wrong: dict[str, str] | None = None,
    looked: bool = False,
    status: int = 200,
) -> Response:
    apps = await _apps(request)
    values = {name: filled.get(name, "") for name in FIELDS} | {"kind": kind_of(filled)}
    return render(
        request,
        "compose/form.html",
        block="preview" if looked else "content",
        status=status,
        apps=apps,
        app_options=[(each["name"], each["name"] + (" (default)" if each["isDefault"] else "")) for each in apps],
        kinds=KINDS,
        events=EVENTS,
        labels=LABELS,
        filled=values,
        leaves=read(filled).request.get("schedule", {}).get("sendAt", [""])[0],
        shown=None if trial is None else shown(trial, values),
        trial=trial,
        problem=problem,
        wrong=wrong or {},
        fault={name: (wrong or {}).get(name, "") for name in FIELDS},
        looked=looked,
    )


async def _apps(request: Request) -> list[dict[str, Any]]:
    """The account's apps, the default one first; none where the key may not list them."""
    try:
        found = (await api(request).get(f"{PUSH}/Apps", pageSize=1000))["apps"]
    except ApiProblem as problem:
        if problem.status != 403:
            raise
        return []
    return sorted(found, key=lambda each: not each["isDefault"])


ROUTES = [
    Route("/compose", compose, methods=["GET"]),
    Route("/compose", send, methods=["POST"]),
    Route("/compose/preview", preview, methods=["POST"]),
]
