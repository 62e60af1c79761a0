"""What happens now, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..context import ApiProblem, api, desk, part, render
from ..events import live
from ..inprocess import PUSH, Api
from ..templating import parsed
from ._outcome_words import reason_words
from ._troubles import troubles

WINDOW = 300
"""Seconds that are shown."""
RECENT = 10
"""Seconds over which the figures of now are averaged."""
LOOK_EVERY = 5
"""Pictures from one look at credentials and webhooks to the next."""
STEP = 30
"""Seconds of a row of the table."""


async def overview(request: Request) -> Response:
    """The first page."""
    asking = api(request)
    activity = await _allowed(asking, "/v1/Activity")
    wrong = await _wrong(asking, activity)
    steps = await _steps(asking) if not _is_busy(activity) else None
    told: dict[str, Any] = {**_figures(request, activity), "troubles": wrong, "steps": steps}
    return render(request, "overview/page.html", **told)


async def events(request: Request) -> Response:
    """The same, once a second, as HTML for its two parts."""
    asking, count, wrong = api(request), 0, list[Any]()

    async def picture() -> Mapping[str, str]:
        nonlocal count, wrong
        activity = await asking.get("/v1/Activity")
        if count % LOOK_EVERY == 0:
            wrong = await _wrong(asking, activity)
        count += 1
        told = _figures(request, activity)
        pictures = {name: part(request, f"overview/{name}.html", **told) for name in ("numbers", "tables", "rows")}
        return {**pictures, "troubles": part(request, "overview/troubles.html", troubles=wrong)}

    return live(request, picture)


async def _allowed(asking: Api, path: str, **query: Any) -> Any:
    """What is there, None where the key may not look."""
    try:
        return await asking.get(path, **query)
    except ApiProblem as problem:
        if problem.status != 403:
            raise
        return None


async def _wrong(asking: Api, activity: Any) -> list[Any]:
    credentials = await _allowed(asking, f"{PUSH}/Credentials", pageSize=1000)
    webhooks = await _allowed(asking, "/v1/Webhooks", pageSize=1000)
    return troubles(
        activity,
        [] if credentials is None else credentials["credentials"],
        [] if webhooks is None else webhooks["webhooks"],
    )


async def _steps(asking: Api) -> dict[str, bool] | None:
    """What a new service still needs; None when it is no new one."""
    found = {}
    for name, path in (("credentials", "Credentials"), ("users", "Users"), ("operations", "Operations")):
        page = await _allowed(asking, f"{PUSH}/{path}", pageSize=1)
        if page is None:
            return None
        found[name] = bool(page[name])
    return None if found["operations"] else found


def _is_busy(activity: Any) -> bool:
    return bool(activity and activity["seconds"])


def _figures(request: Request, activity: Any) -> dict[str, Any]:
    """What the page says in numbers."""
    now = int(desk(request).clock.time())
    if activity is None:
        return {"activity": None}
    seconds = [{**each, "s": int(parsed(each["at"]).timestamp())} for each in activity["seconds"]]
    recent = [each for each in seconds if each["s"] >= now - RECENT]
    slow = [each["p99Ms"] for each in recent if each["p99Ms"] is not None]
    usual = sorted(each["p50Ms"] for each in recent if each["p50Ms"] is not None)
    totals = {name: sum(each[name] for each in seconds) for name in ("sent", "failed", "unaddressable")}
    lanes = {each["lane"]: each for each in activity["lanes"]}
    return {
        "activity": activity,
        "rate": round(sum(each["sent"] for each in recent) / RECENT, 1),
        "totals": totals,
        "p50": usual[len(usual) // 2] if usual else None,
        "p99": max(slow) if slow else None,
        "waiting": sum(each["waiting"] for each in lanes.values()),
        "reasons": [{**each, "words": reason_words(each["reason"])} for each in activity["reasons"][:8]],
        "series": msgspec.json.encode(_series(seconds, now)).decode(),
        "rows": _rows(seconds, now),
    }


def _series(seconds: list[dict[str, Any]], now: int) -> dict[str, list[Any]]:
    """Every second of the window, for the charts: counts are 0 where nothing happened, latency is unknown there."""
    by = {each["s"]: each for each in seconds}
    at = range(now - WINDOW, now)
    return {
        "at": list(at),
        "sent": [by[s]["sent"] if s in by else 0 for s in at],
        "failed": [by[s]["failed"] + by[s]["unaddressable"] if s in by else 0 for s in at],
        "p50": [by[s]["p50Ms"] if s in by else None for s in at],
        "p99": [by[s]["p99Ms"] if s in by else None for s in at],
    }


def _rows(seconds: list[dict[str, Any]], now: int) -> list[dict[str, Any]]:
    """The charts as a table, half a minute a row, the latest first."""
    rows = []
    for start in range(now - STEP, now - WINDOW - 1, -STEP):
        within = [each for each in seconds if start <= each["s"] < start + STEP]
        slow = [each["p99Ms"] for each in within if each["p99Ms"] is not None]
        sent, failed = (sum(each[name] for each in within) for name in ("sent", "failed"))
        rows.append({"ago": now - start - STEP, "sent": sent, "failed": failed, "p99": max(slow) if slow else None})
    return rows


ROUTES = [
    Route("/", overview, methods=["GET"]),
    Route("/overview/events", events, methods=["GET"]),
]
