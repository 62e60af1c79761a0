"""What was filled in on the compose page, as a request to the API."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ...domain import ids

TEXTS = ("title", "subtitle", "body", "category", "threadId", "collapseId", "image", "interruptionLevel", "pushType")
TOKEN = re.compile(r"[<\s]*+(?:[0-9a-fA-F]{2}\s*+){8,200}+[>\s]*+")
"""A device token as people paste it. Nothing is tried again (`+`): among many spaces that would take for ever."""


class Filled(msgspec.Struct):
    """The request, and what of the form cannot be made into one (by field)."""

    request: dict[str, Any]
    wrong: dict[str, str]


def read(form: dict[str, str]) -> Filled:
    """The request that a form stands for."""
    wrong: dict[str, str] = {}
    content: dict[str, Any] = {name: form[name] for name in TEXTS if form.get(name)}
    if form.get("sound"):
        content["sound"] = form["sound"]
    if form.get("badge"):
        content["badge"] = _integer(form["badge"], "badge", wrong)
    if form.get("data"):
        content["data"] = _object(form["data"], "data", wrong)
    if form.get("contentAvailable"):
        content["contentAvailable"] = True
    request: dict[str, Any] = {"to": [_recipient(form, wrong)], "content": content}
    if form.get("appName"):
        request["from"] = {"appName": form["appName"]}
    if form.get("priority"):
        request["priority"] = form["priority"]
    if form.get("ttl"):
        request["ttl"] = _integer(form["ttl"], "ttl", wrong)
    return Filled(request, wrong)


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


def _integer(text: str, field: str, wrong: dict[str, str]) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        wrong[field] = f"Expected a whole number, got {text[:40]!r}."
        return 0
    return int(text)


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
