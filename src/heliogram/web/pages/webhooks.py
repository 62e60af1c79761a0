"""Webhooks: who is told what happens, how each receiver does, and what it did not take."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, fields, form, redirect, render, segment
from ._shared import confirm, given, tried

ROOT = "/v1/Webhooks"
EVENTS = (
    ("Operations", "operation.*", (
        ("com.twilio.comms-api.operation.scheduled", "a send was scheduled"),
        ("com.twilio.comms-api.operation.processing", "a send began"),
        ("com.twilio.comms-api.operation.completed", "a send has ended"),
        ("com.heliogram.operation.canceled", "a send was canceled"),
    )),
    ("Notifications", "notification.*", (
        ("com.heliogram.notification.sent", "APNs took a notification"),
        ("com.heliogram.notification.failed", "a notification failed"),
        ("com.heliogram.notification.canceled", "a notification was canceled"),
    )),
    ("Devices", "device.*", (
        ("com.heliogram.device.removed", "a device was taken out"),
        ("com.heliogram.device.quarantined", "a device is quarantined"),
        ("com.heliogram.device.displaced", "a user's 51st device displaced the oldest"),
    )),
    ("Credentials", "credential.*", (
        ("com.heliogram.credential.failing", "APNs refuses a credential"),
        ("com.heliogram.credential.expiring", "a certificate ends soon"),
    )),
    ("Apps", "app.*", (
        ("com.heliogram.app.deleted", "an app was deleted with all its devices"),
    )),
)  # fmt: skip
"""What may be subscribed to: a group's name, what stands for all of it, and its events in words."""


async def webhooks(request: Request) -> Response:
    """All webhooks."""
    page = await api(request).get(ROOT, pageToken=request.query_params.get("pageToken"))
    return render(request, "webhooks/list.html", page=page)


async def new(request: Request) -> Response:
    """The form for a new webhook."""
    return _form(request, {"url": "", "description": ""}, ["*"])


async def create(request: Request) -> Response:
    """Makes a webhook, and shows its secret this once."""
    values, types = form(request), _types(request)
    body = {"url": values.get("url", ""), "types": types, **given(values, "description")}
    made, problem = await tried(api(request).post(ROOT, body))
    if problem is not None:
        return _form(request, values, types, problem)
    return render(request, "webhooks/secret.html", id=made["id"], secret=made["secret"], previous_until=None)


async def webhook(request: Request) -> Response:
    """One webhook."""
    return await _webhook(request)


async def test(request: Request) -> Response:
    """Sends a test event, and shows what the receiver said."""
    tested = await api(request).post(f"{ROOT}/{_id(request)}/test")
    return await _webhook(request, tested)


async def ask_change(request: Request) -> Response:
    """The form that changes a webhook."""
    found = await api(request).get(f"{ROOT}/{_id(request)}")
    return _form(request, found, found["types"], id=found["id"])


async def change(request: Request) -> Response:
    """Changes address, events or description."""
    values, types, ident = form(request), _types(request), _id(request)
    body = {"url": values.get("url", ""), "types": types, "description": values.get("description", "")}
    _, problem = await tried(api(request).patch(f"{ROOT}/{ident}", body))
    if problem is not None:
        return _form(request, values, types, problem, id=ident)
    return redirect(request, f"/webhooks/{ident}", message="Saved.")


async def set_state(request: Request) -> Response:
    """Pauses a webhook, or lets it go on."""
    ident, state = _id(request), form(request).get("state", "")
    await api(request).patch(f"{ROOT}/{ident}", {"state": state})
    paused = "Paused: events wait for three days." if state == "paused" else "Active: what waits is sent now."
    return redirect(request, f"/webhooks/{ident}", message=paused)


async def ask_rotate(request: Request) -> Response:
    """Asks before the secret changes."""
    ident = _id(request)
    return confirm(
        request,
        title="Make a new signing secret?",
        text=["For 24 hours every request is signed with both, so that the receiver can change over in peace."],
        button="Make a new secret",
        action=f"/webhooks/{ident}/secret",
        back=f"/webhooks/{ident}",
    )


async def rotate(request: Request) -> Response:
    """Makes a new secret, and shows it this once."""
    ident = _id(request)
    made = await api(request).post(f"{ROOT}/{ident}/rotateSecret")
    return render(
        request, "webhooks/secret.html", id=ident, secret=made["secret"], previous_until=made["previousUntil"]
    )


async def ask_delete(request: Request) -> Response:
    """Asks before a webhook goes."""
    ident = _id(request)
    found = await api(request).get(f"{ROOT}/{ident}")
    return confirm(
        request,
        title="Delete this webhook?",
        text=[f"{found['url']} is told nothing more.", "What it has not taken goes with it, dead letters too."],
        button="Delete the webhook",
        action=f"/webhooks/{ident}/delete",
        back=f"/webhooks/{ident}",
    )


async def delete(request: Request) -> Response:
    """Removes a webhook."""
    await api(request).delete(f"{ROOT}/{_id(request)}")
    return redirect(request, "/webhooks", message="The webhook was deleted.")


async def redeliver(request: Request) -> Response:
    """Makes dead letters due again: those that were ticked, or all."""
    ident = _id(request)
    ticked = [value for name, value in fields(request) if name == "letter"]
    done = await api(request).post(f"{ROOT}/{ident}/DeadLetters/redeliver", {"ids": ticked} if ticked else {})
    count = done["batches"]
    message = f"{count} {'batch is' if count == 1 else 'batches are'} sent again, for another three days."
    return redirect(request, f"/webhooks/{ident}", message=message)


async def _webhook(request: Request, tested: dict[str, Any] | None = None) -> Response:
    ident, asked = _id(request), api(request)
    found = await asked.get(f"{ROOT}/{ident}")
    letters = await asked.get(f"{ROOT}/{ident}/DeadLetters", pageToken=request.query_params.get("pageToken"))
    words = {type_: text for _, _, events in EVENTS for type_, text in events}
    words |= {group: f"everything about {name.lower()}" for name, group, _ in EVENTS} | {"*": "everything"}
    return render(request, "webhooks/detail.html", webhook=found, letters=letters, tested=tested, words=words)


def _form(
    request: Request,
    values: dict[str, Any],
    types: list[str],
    problem: ApiProblem | None = None,
    *,
    id: str | None = None,  # noqa: A002 - the name the template has it by
) -> Response:
    status = 200 if problem is None else problem.status
    told = {name: values.get(name) or "" for name in ("url", "description")}
    return render(
        request, "webhooks/form.html", status=status, values=told, types=types, events=EVENTS, problem=problem, id=id
    )


def _types(request: Request) -> list[str]:
    return [value for name, value in fields(request) if name == "types"]


def _id(request: Request) -> str:
    return segment(request.path_params["id"])


ROUTES = [
    Route("/webhooks", webhooks, methods=["GET"]),
    Route("/webhooks/new", new, methods=["GET"]),
    Route("/webhooks/new", create, methods=["POST"]),
    Route("/webhooks/{id}", webhook, methods=["GET"]),
    Route("/webhooks/{id}/test", test, methods=["POST"]),
    Route("/webhooks/{id}/change", ask_change, methods=["GET"]),
    Route("/webhooks/{id}/change", change, methods=["POST"]),
    Route("/webhooks/{id}/state", set_state, methods=["POST"]),
    Route("/webhooks/{id}/secret", ask_rotate, methods=["GET"]),
    Route("/webhooks/{id}/secret", rotate, methods=["POST"]),
    Route("/webhooks/{id}/delete", ask_delete, methods=["GET"]),
    Route("/webhooks/{id}/delete", delete, methods=["POST"]),
    Route("/webhooks/{id}/redeliver", redeliver, methods=["POST"]),
]
