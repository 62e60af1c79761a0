"""What happened to devices, as their page and their user's tell it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...domain.history_words import Happened, words_of
from ..inprocess import PUSH, Api
from ..templating import clock_text

LATEST = 30


class Timeline(NamedTuple):
    """Entries of the API with their words, newest first, and whether there are older ones."""

    entries: list[dict[str, Any]]
    more: bool


async def timeline(asked: Api, **whose: str) -> Timeline:
    """What happened to a user's devices (`userId`), or to a `token`."""
    page = await asked.get(f"{PUSH}/DeviceHistory", pageSize=LATEST, **whose)
    return Timeline([shown(each) for each in page["deviceHistory"]], page["pagination"]["next"] is not None)


def shown(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its words."""
    moments = (entry.get(name) for name in ("invalidSince", "firstRegisteredAt", "lastRegisteredAt"))
    since, first, last = (clock_text(each) if each else "" for each in moments)
    it = Happened(
        event=entry["event"],
        provider=entry["provider"],
        environment=entry.get("environment", ""),
        reason=entry.get("reason", ""),
        status=entry.get("status"),
        invalid_since=since,
        first_registered=first,
        last_registered=last,
        new_token=entry.get("newToken", ""),
    )
    return {**entry, "words": words_of(it), "environment": entry.get("environment")}
