"""Broadcast channels of an app, which APNs keeps."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, form, redirect, render, segment
from ..inprocess import PUSH
from ._shared import ALL, confirm

ENVIRONMENTS = (("production", "Production"), ("sandbox", "Sandbox"))
POLICIES = (
    ("NO_MESSAGE_STORED", "Keep no message: more frequent updates"),
    ("MOST_RECENT_MESSAGE_STORED", "Keep the latest for devices that are away, up to 8 hours"),
)
REFUSED = frozenset({400, 404, 409, 503})
"""What APNs, or the lack of a credential for it, answers; the page says it in place of the list."""


async def channels(request: Request) -> Response:
    """The channels of one app in one environment."""
    query = request.query_params
    return await _channels(request, query.get("app", ""), query.get("environment", "production"))


async def create(request: Request) -> Response:
    """Makes a channel at APNs."""
    values = form(request)
    app, environment = segment(values.get("app", "")), values.get("environment", "production")
    body = {"storagePolicy": values.get("storagePolicy", ""), "environment": environment}
    try:
        made = await api(request).post(f"{PUSH}/Apps/{app}/Channels", body)
    except ApiProblem as problem:
        if problem.status not in REFUSED:
            raise
        return await _channels(request, app, environment, problem)
    where = _query(environment)
    message = "The channel is made. Give its id to the app and to your Live Activities."
    return redirect(request, f"/channels/{app}/{made['resourceId']}{where}", message=message)


async def channel(request: Request) -> Response:
    """One channel, as APNs describes it."""
    app, ident, environment = _place(request)
    found = await api(request).get(f"{PUSH}/Apps/{app}/Channels/{ident}", environment=environment)
    return render(request, "channels/detail.html", channel=found, policies=dict(POLICIES), where=_query(environment))


async def ask_delete(request: Request) -> Response:
    """Asks before a channel goes."""
    app, ident, environment = _place(request)
    return confirm(
        request,
        title="Delete this channel?",
        text=[
            f"The channel {ident} of {app} in {environment} is removed at APNs.",
            "Every Live Activity that follows it gets no more updates, and its id never comes back. A message that is"
            " stored already is not recalled.",
        ],
        button="Delete the channel",
        action=f"/channels/{app}/{ident}/delete{_query(environment)}",
        back=f"/channels/{app}/{ident}{_query(environment)}",
    )


async def delete(request: Request) -> Response:
    """Removes a channel at APNs."""
    app, ident, environment = _place(request)
    await api(request).delete(f"{PUSH}/Apps/{app}/Channels/{ident}", environment=environment)
    query = urlencode({"app": app, "environment": environment})
    return redirect(request, f"/channels?{query}", message="The channel was deleted.")


async def _channels(request: Request, app: str, environment: str, problem: ApiProblem | None = None) -> Response:
    asked = api(request)
    apps = (await asked.get(f"{PUSH}/Apps", pageSize=ALL))["apps"]
    default = next((each["name"] for each in apps if each["isDefault"]), "")
    app = app or default
    page, refusal = None, None
    if app:
        token = request.query_params.get("pageToken")
        try:
            page = await asked.get(f"{PUSH}/Apps/{segment(app)}/Channels", environment=environment, pageToken=token)
        except ApiProblem as answer:
            if answer.status not in REFUSED:
                raise
            refusal = answer
    return render(
        request,
        "channels/list.html",
        status=200 if problem is None else problem.status,
        page=page,
        app=app,
        apps=[(each["name"], each["name"]) for each in apps],
        environment=environment,
        environments=ENVIRONMENTS,
        policies=POLICIES,
        refusal=refusal,
        problem=problem,
        where=_query(environment),
    )


def _place(request: Request) -> tuple[str, str, str]:
    app, ident = segment(request.path_params["app"]), segment(request.path_params["id"])
    return app, ident, request.query_params.get("environment", "production")


def _query(environment: str) -> str:
    return "?" + urlencode({"environment": environment})


ROUTES = [
    Route("/channels", channels, methods=["GET"]),
    Route("/channels", create, methods=["POST"]),
    Route("/channels/{app}/{id}", channel, methods=["GET"]),
    Route("/channels/{app}/{id}/delete", ask_delete, methods=["GET"]),
    Route("/channels/{app}/{id}/delete", delete, methods=["POST"]),
]
