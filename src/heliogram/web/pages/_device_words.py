"""Devices in plain words: what each kind of token is for, and why one gets nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

KINDS = {
    "alert": "Alerts and background pushes",
    "voip": "VoIP calls",
    "complication": "Watch complication",
    "fileProvider": "File provider",
    "location": "Location request",
    "pushToTalk": "Push to Talk",
    "liveActivityStart": "Starting a Live Activity",
    "liveActivityUpdate": "Updating a Live Activity",
    "widgets": "Widgets",
    "controls": "Controls",
}
PROVIDERS = {"APN": "Apple (APNs)", "FCM": "Google (FCM)"}

_REASONS = {
    "BadDeviceToken": (
        "APNs does not know this token in the environment that it was tried in: most often it belongs to the other"
        " one. A development build from Xcode has tokens of the sandbox; TestFlight and the App Store of production.",
        "Have the app opened on the device, and let it register the token it is handed, with its environment.",
    ),
    "DeviceTokenNotForTopic": (
        "The token was given to an app with another bundle id than the credential of this app sends for.",
        "Register the token under the app that it belongs to, or give this app a credential for that bundle id.",
    ),
}
_OTHERS = (
    "The provider refused this token for good.",
    "Have the app opened on the device: it is sent to again as soon as the app registers a token.",
)


class Condition(NamedTuple):
    """How a device is: a word, the tone of its badge, what it means and what cures it."""

    word: str
    tone: str
    why: str = ""
    cure: str = ""


def condition(device: dict[str, Any]) -> Condition:
    """How a device of the API's is."""
    if device["state"] == "active":
        return Condition("reachable", "good")
    why, cure = _REASONS.get(device.get("stateReason") or "", _OTHERS)
    return Condition("quarantined", "bad", why, cure)


def shown(device: dict[str, Any]) -> dict[str, Any]:
    """A device with everything a page says of it."""
    more = ("environment", "stateReason", "installationId", "activityId", "appVersion", "locale", "timeZone")
    return {
        **dict.fromkeys(more),
        "environmentLearned": False,
        **device,
        "condition": condition(device),
        "kindText": KINDS.get(device["kind"], device["kind"]),
        "providerText": PROVIDERS.get(device["provider"], device["provider"]),
    }


def same_token(device: dict[str, Any], asked: str) -> bool:
    """Whether a device has the token that was asked for, in whichever spelling."""
    if device["provider"] == "FCM":
        return bool(device["token"] == asked)
    return bool(device["token"] == asked.translate(str.maketrans("", "", "<> \t\n")).lower())
