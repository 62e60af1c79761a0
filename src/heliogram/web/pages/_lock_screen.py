"""What a payload looks like on a lock screen, as far as it can be told from outside the app."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_NO_DEVICE = {
    "": "The user has no device in this app that could be tried: it would end as “no device”.",
    "start": "The user has no push-to-start token in this app, so it would end as “no device”. The app forwards one at"
    " each launch, and it is registered with the kind liveActivityStart.",
    "update": "The user has no such Live Activity in this app, so it would end as “no device”. The app forwards the"
    " token of a running one, and it is registered with the kind liveActivityUpdate.",
}


def shown(trial: Any, values: dict[str, str]) -> dict[str, Any]:
    """What a lock screen shows of a trial's sample."""
    sample, app = trial["sample"], values["appName"] or "App"
    payload = {} if sample is None else sample["payload"]
    aps = payload.get("aps", {})
    aps = aps if isinstance(aps, dict) else {}
    alert = aps.get("alert")
    texts = alert if isinstance(alert, dict) else {"body": alert}
    event = str(aps.get("event", ""))
    return {
        "alert": alert is not None,
        "app": app,
        "title": texts.get("title", ""),
        "subtitle": texts.get("subtitle", ""),
        "body": texts.get("body", ""),
        "badge": aps.get("badge"),
        "sound": aps.get("sound"),
        "image": payload.get("image"),
        "quiet": aps.get("interruption-level") == "passive",
        "activity": _activity(aps) if event else None,
        "no_device": _NO_DEVICE.get("update" if event == "end" else event, _NO_DEVICE[""]),
    }


def _activity(aps: dict[str, Any]) -> dict[str, Any]:
    """A Live Activity: what the app draws its card from."""
    return {
        "event": aps["event"],
        "type": aps.get("attributes-type"),
        "facts": {**(aps.get("attributes") or {}), **(aps.get("content-state") or {})},
        "stale": _iso(aps.get("stale-date")),
        "dismissed": _iso(aps.get("dismissal-date")),
    }


def _iso(seconds: int | None) -> str:
    """A moment as the API writes them; empty when there is none, or none that a calendar has."""
    try:
        return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
