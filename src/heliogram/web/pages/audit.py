"""The audit log: who changed what, and when."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import api, render
from ._shared import ALL, tried

ACTIONS = {
    "account.created": "Account made",
    "account.disabled": "Account disabled",
    "account.enabled": "Account enabled",
    "account.limited": "Limits of the account changed",
    "apiKey.created": "API key made",
    "apiKey.revoked": "API key revoked",
    "apiKey.rotated": "API key rotated",
    "app.made_default": "App made the default",
    "channel.created": "Channel made",
    "channel.deleted": "Channel deleted",
    "credential.created": "Credential uploaded",
    "credential.deleted": "Credential deleted",
    "credential.made_default": "Credential made the default",
    "credential.reconnected": "Credential's connections opened anew",
    "credential.revoked": "Credential revoked",
    "credential.rotated": "Credential rotated",
    "store.repaired": "Database repaired",
    "webhook.created": "Webhook made",
    "webhook.deleted": "Webhook deleted",
    "webhook.redelivered": "Dead letters sent again",
    "webhook.secretRotated": "Webhook's secret rotated",
    "webhook.updated": "Webhook changed",
}
FILTERS = ("actor", "action", "subject", "startDate", "endDate")
_PAGES = {"credential": "/credentials/", "apiKey": "/api-keys/", "webhook": "/webhooks/", "app": "/apps/"}


async def audit(request: Request) -> Response:
    """The log, newest first."""
    query = request.query_params
    wanted = {name: query.get(name, "").strip() for name in FILTERS}
    asked = api(request)
    page, problem = await tried(asked.get("/v1/AuditEvents", **wanted, pageToken=query.get("pageToken")))
    names = {each["id"]: each["name"] for each in (await asked.get("/v1/ApiKeys", pageSize=ALL))["apiKeys"]}
    return render(
        request,
        "audit/list.html",
        status=200 if problem is None else problem.status,
        page=page,
        events=[] if page is None else [_shown(each, names) for each in page["auditEvents"]],
        wanted=wanted,
        actions=[("", "Everything"), *ACTIONS.items()],
        problem=problem,
    )


def _shown(event: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """An event in words, with the pages of who did it and of what it was done to."""
    action, subject, actor = event["action"], event["subject"], event["actor"]
    root = "" if action.endswith((".deleted",)) else _PAGES.get(action.partition(".")[0], "")
    return {
        **event,
        "text": ACTIONS.get(action, action),
        "subjectPage": f"{root}{subject}" if root and "/" not in subject else "",
        "actorName": names.get(actor, ""),
        "actorPage": f"/api-keys/{actor}" if actor.startswith("key_") else "",
        "more": "; ".join(f"{name}: {_value(value)}" for name, value in event["detail"].items() if value is not None),
    }


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


ROUTES = [Route("/audit", audit, methods=["GET"])]
