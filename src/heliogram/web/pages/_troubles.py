"""What is wrong just now, why, and where it is mended."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from ..templating import counted, number, span
from ._credential_words import SOON, reason_text

LATE_SECONDS = {"tx": 10.0, "bulk": 300.0}
"""How long the oldest work of a lane may be due until that is worth a word."""
LANES = {"tx": "sends to at most 100 recipients", "bulk": "large sends"}


class Trouble(NamedTuple):
    """One thing: `tone` bad or warn; `page` is where it is mended, called `label`."""

    tone: str
    title: str
    text: str
    page: str
    label: str


def troubles(activity: Any, credentials: list[dict[str, Any]], webhooks: list[dict[str, Any]]) -> list[Trouble]:
    """The worst first."""
    found = [trouble for each in credentials if (trouble := _credential(each)) is not None]
    found += [trouble for each in (activity or {}).get("lanes", []) if (trouble := _lane(each)) is not None]
    found += [trouble for each in webhooks if (trouble := _webhook(each)) is not None]
    return sorted(found, key=lambda each: each.tone != "bad")


def _credential(credential: dict[str, Any]) -> Trouble | None:
    if credential["revokedAt"] is not None:
        return None
    name = f"of app {credential['appName']} ({credential['credentialType']})"
    place = f"/credentials/{quote(credential['id'], safe='')}"
    failing, days = credential["failing"], credential["expiresInDays"]
    if failing is not None:
        waiting = failing["waiting"]
        more = f" {counted(waiting, 'recipient')} waiting for it." if waiting else ""
        title = f"The credential {name} does not work: {failing['reason']}"
        return Trouble("bad", title, reason_text(failing["reason"]) + more, place, "See the credential")
    if days is not None and days < 0:
        text = "Nothing can be sent with it. Renew it in Apple's portal and rotate the credential."
        return Trouble("bad", f"The certificate {name} has expired", text, place, "Rotate it")
    if days is not None and days <= SOON:
        text = "Renew it in Apple's portal and rotate the credential before that."
        return Trouble("warn", f"The certificate {name} expires in {days} days", text, place, "Rotate it")
    return None


def _lane(lane: dict[str, Any]) -> Trouble | None:
    oldest = lane["oldestSeconds"]
    if oldest is None or oldest < LATE_SECONDS.get(lane["lane"], 60.0):
        return None
    title = f"Work has been waiting for {span(oldest)}: {LANES.get(lane['lane'], lane['lane'])}"
    text = f"{counted(lane['waiting'], 'recipient')} waiting: no worker runs, APNs is slow, or it is much to send."
    return Trouble("bad", title, text, "/operations?status=PROCESSING", "See what is under way")


def _webhook(webhook: dict[str, Any]) -> Trouble | None:
    place, backlog = f"/webhooks/{quote(webhook['id'], safe='')}", webhook["backlog"]
    if webhook["state"] == "disabled":
        text = f"{webhook['disabledReason'] or 'It failed for too long.'} Mend the receiver, then switch it on again."
        return Trouble("bad", f"The webhook to {webhook['url']} is off", text, place, "See the webhook")
    if backlog["deadLetters"]:
        text = "Its receiver did not take them for three days. Mend it, then have them delivered again."
        title = f"{counted(backlog['deadLetters'], 'dead letter')} for {webhook['url']}"
        return Trouble("bad", title, text, place, "Deliver them again")
    if backlog["retryingBatches"]:
        retrying = number(backlog["retryingBatches"])
        text = f"Batches of events that it did not take are tried again: {retrying}."
        return Trouble("warn", f"The webhook to {webhook['url']} fails", text, place, "See the webhook")
    return None
