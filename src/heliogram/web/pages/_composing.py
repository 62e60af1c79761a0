"""What was filled in on the compose page, as a request to the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from ...domain import ids
from ._moments import moment, zone_of

KINDS = (
    ("alert", "Notification"),
    ("background", "Background"),
    ("activity", "Live Activity"),
    ("other", "Other"),
)
"""What can be composed. The form has the fields of all of them, and those of the chosen one count."""
EVENTS = (("start", "Start"), ("update", "Update"), ("end", "End"))
OTHER_TYPES = ("voip", "complication", "location", "widgets", "controls", "pushtotalk", "fileprovider", "mdm")
SHARED = ("appName", "to", "variables", "zone", "sendAt", "expiresAt", "ttl", "once", "kind")
TEXTS = ("title", "subtitle", "body", "category", "threadId", "collapseId", "image", "interruptionLevel", "sound")
ALERT = (*TEXTS, "badge", "priority", "data", "contentAvailable")
OTHER = ("pushType", "collapseId", "priority", "data")
ALERT_OF_ACTIVITY = {"alertTitle": "title", "alertBody": "body", "alertSound": "sound"}
"""A Live Activity has fields of its own for its alert: what a notification begins with would ring."""
DATES = ("staleDate", "dismissalDate", "timestamp")
ACTIVITY = (
    *("event", "contentState", "attributesType", "attributes", "activityId", "inputPushToken", "inputPushChannel"),
    *("relevanceScore", "priority", *DATES, *ALERT_OF_ACTIVITY),
)
FIELDS = tuple(dict.fromkeys((*SHARED, *ALERT, *OTHER, *ACTIVITY)))
LABELS = {
    "appName": "App", "to": "To", "title": "Title", "subtitle": "Subtitle", "body": "Text", "data": "Data",
    "variables": "Variables", "sound": "Sound", "badge": "Badge", "image": "Image", "priority": "Priority",
    "collapseId": "Collapse id", "category": "Category", "threadId": "Thread", "interruptionLevel": "Interruption",
    "sendAt": "Send at", "zone": "Time zone", "expiresAt": "Not after", "ttl": "For so many seconds",
    "event": "What it does", "contentState": "Content state", "attributesType": "Attributes type",
    "attributes": "Attributes", "activityId": "Activity", "alertTitle": "Alert title", "alertBody": "Alert text",
    "alertSound": "Alert sound", "staleDate": "Out of date from", "dismissalDate": "Leaves the lock screen",
    "timestamp": "State as of", "relevanceScore": "Relevance", "inputPushChannel": "Follows the channel",
    "pushType": "Push type",
}  # fmt: skip
"""The fields as the form names them."""
WRITTEN = ("title", "subtitle", "body", "alertTitle", "alertBody")
"""Texts that people will read: space at their edges is meant."""

TOKEN = re.compile(r"[<\s]*+(?:[0-9a-fA-F]{2}\s*+){8,200}+[>\s]*+")
"""A device token as people paste it. Nothing is tried again (`+`): among many spaces that would take for ever."""


class Filled(msgspec.Struct):
    """The request, and what of the form cannot be made into one (by field)."""

    request: dict[str, Any]
    wrong: dict[str, str]


def kind_of(form: dict[str, str]) -> str:
    """What is composed: a notification, unless something else was chosen."""
    kind = form.get("kind", "")
    return kind if kind in dict(KINDS) else "alert"


def read(form: dict[str, str]) -> Filled:
    """The request that a form stands for."""
    wrong: dict[str, str] = {}
    given = {name: text for name, text in form.items() if text.strip()}
    content = _CONTENTS[kind_of(form)](given, wrong)
    request: dict[str, Any] = {"to": [_recipient(form, wrong)], "content": content}
    if "appName" in given:
        request["from"] = {"appName": given["appName"]}
    if "priority" in given and kind_of(form) != "background":
        request["priority"] = given["priority"]
    if "ttl" in given:
        request["ttl"] = _integer(given["ttl"], "ttl", wrong)
    sent, expires = _moment(given, "sendAt", wrong), _moment(given, "expiresAt", wrong)
    if sent:
        request["schedule"] = {"sendAt": [sent]}
    if expires:
        request["expiresAt"] = expires
    return Filled(request, wrong)


def field_of(context: str, kind: str) -> str:
    """The form's field for a place in the request, as the API names it (`$.content.liveActivity.event`)."""
    path = context.removeprefix("$.")
    if path.startswith("to[0]"):
        return "variables" if "variables" in path else "to"
    if path.startswith("schedule"):
        return "sendAt"
    if path.startswith("from"):
        return "appName"
    path = path.removeprefix("content.").removeprefix("liveActivity.")
    name = path.partition(".")[0].partition("[")[0]
    if kind == "activity":
        return next((field for field, of in ALERT_OF_ACTIVITY.items() if of == name), name)
    return name


def _alert(given: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {name: given[name] for name in TEXTS if name in given}
    if "badge" in given:
        content["badge"] = _integer(given["badge"], "badge", wrong)
    if "contentAvailable" in given:
        content["contentAvailable"] = True
    return content | _data(given, wrong)


def _background(given: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    return {"pushType": "background", **_some(given, "collapseId"), **_data(given, wrong)}


def _other(given: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    return {"pushType": given.get("pushType", OTHER_TYPES[0]), **_some(given, "collapseId"), **_data(given, wrong)}


def _activity(given: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    event = given.get("event", "start")
    activity: dict[str, Any] = {"event": event, "contentState": {}}
    if "contentState" in given:
        activity["contentState"] = _object(given["contentState"], "contentState", wrong)
    else:
        wrong["contentState"] = 'Give the state as the app decodes it, such as {"minutes": 20}, or {} for none.'
    dates = [name for name in DATES if event == "end" or name != "dismissalDate"]
    activity |= {name: _moment(given, name, wrong) for name in dates if name in given}
    if event == "start":
        activity |= _some(given, "attributesType", "inputPushChannel")
        if "attributes" in given:
            activity["attributes"] = _object(given["attributes"], "attributes", wrong)
        if "inputPushToken" in given:
            activity["inputPushToken"] = True
    else:
        activity |= _some(given, "activityId")
    content: dict[str, Any] = {of: given[name] for name, of in ALERT_OF_ACTIVITY.items() if name in given}
    if "relevanceScore" in given:
        content["relevanceScore"] = _number(given["relevanceScore"], "relevanceScore", wrong)
    return {**content, "liveActivity": activity}


_CONTENTS: dict[str, Callable[[dict[str, str], dict[str, str]], dict[str, Any]]] = {
    "alert": _alert,
    "background": _background,
    "activity": _activity,
    "other": _other,
}


def _some(given: dict[str, str], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _data(given: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    return {"data": _object(given["data"], "data", wrong)} if "data" in given else {}


def _recipient(form: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    to = form.get("to", "")
    recipient: dict[str, Any]
    if to.startswith(ids.USER + "_"):
        recipient = {"userId": to}
    elif TOKEN.fullmatch(to):
        recipient = {"token": to, "provider": "APN"}
    else:
        recipient = {"externalId": to}
        if not to:
            wrong["to"] = "Say to whom: a device token, a user's id, or your own name of a user."
    variables = _variables(form.get("variables", ""), wrong)
    return {**recipient, "variables": variables} if variables else recipient


def _variables(text: str, wrong: dict[str, str]) -> dict[str, str]:
    """`name = value`, one a line."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            wrong["variables"] = f"Expected name = value in every line, got {line[:60]!r}."
        found[name.strip()] = value.strip()
    return found


def _moment(given: dict[str, str], field: str, wrong: dict[str, str]) -> str:
    """A moment for the API; empty when there is none."""
    if field not in given:
        return ""
    try:
        zone = zone_of(given.get("zone", ""))
    except ValueError as error:
        wrong["zone"] = str(error)
        return ""
    try:
        return moment(given[field], zone)
    except ValueError as error:
        wrong[field] = str(error)
        return ""


def _integer(text: str, field: str, wrong: dict[str, str]) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        wrong[field] = f"Expected a whole number, got {text[:40]!r}."
        return 0
    return int(text)


def _number(text: str, field: str, wrong: dict[str, str]) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text):
        wrong[field] = f"Expected a number such as 0.5, got {text[:40]!r}."
        return 0
    return float(text)


def _object(text: str, field: str, wrong: dict[str, str]) -> Any:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        wrong[field] = f"Expected a JSON object: {error}."
        return {}
    except RecursionError:
        wrong[field] = "Expected a JSON object: this one is nested too deeply."
        return {}
    if not isinstance(found, dict):
        wrong[field] = 'Expected a JSON object such as {"order": 17}.'
    return found
