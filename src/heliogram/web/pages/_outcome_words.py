"""What became of a push, in plain words: what happened, and what to do about it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Words(NamedTuple):
    """An outcome: the tone of its badge, a sentence, and what to do or to know (may be empty)."""

    tone: str
    said: str
    cure: str = ""


ANYWHERE = "this token is not of the environment it was sent to"
PLACES = {
    "PRODUCTION": "this is no production token; it may belong to the sandbox",
    "SANDBOX": "this is no sandbox token; it may belong to production",
}
_SANDBOX = (
    "A phone has a sandbox token when the app was built from Xcode, and a production token from TestFlight and the App"
    " Store. Let the app register it with its environment; it does so at its next launch."
)
_REFUSED: dict[str, tuple[str, str]] = {
    "BadDeviceToken": ("{environment}", _SANDBOX),
    "DeviceTokenNotForTopic": (
        "this token is of another app than the credential's bundle id",
        "Compare the bundle id of the credential with that of the app on the phone.",
    ),
    "Unregistered": (
        "the app was removed from this phone, or its token has changed",
        "The token was taken out. It comes back by itself when the app is launched and registers.",
    ),
    "ExpiredToken": (
        "this token has expired",
        "The token was taken out. It comes back when the app is launched and registers.",
    ),
    "TopicDisallowed": (
        "the credential may not send for this bundle id",
        "Check in Apple's portal which topics the key is for, and the credential's bundle id.",
    ),
    "InvalidProviderToken": (
        "it does not accept the credential's key",
        "The key id or the team id is wrong, or the key was revoked. Check the credential.",
    ),
    "ExpiredProviderToken": ("the provider token was too old", "Check the clock of the server."),
    "BadEnvironmentKeyIdInToken": (
        "the key is of the other environment",
        "Use the key that was made for this environment, or one that is for both.",
    ),
    "BadCertificate": ("it does not accept the certificate", "Renew it in Apple's portal and rotate the credential."),
    "BadCertificateEnvironment": (
        "the certificate is of the other environment",
        "Upload it as a credential of the other type.",
    ),
    "PayloadTooLarge": ("the notification is too large", "Shorten the text or the data: 4,096 bytes is the limit."),
    "BadTopic": ("the topic is no bundle id", "Check the credential's bundle id."),
    "TopicMismatch": ("the credential does not cover the app's bundle id", "Check the topics of the credential."),
    "InvalidPushType": ("the push type does not go with the topic", "Check the push type and the bundle id."),
    "BadCollapseId": ("the collapse id is too long", "It may have 64 bytes."),
    "BadExpirationDate": ("the expiration cannot be used here", "Send without ttl and expiresAt."),
    "TooManyRequests": ("too many pushes went to this phone", "Send it fewer, or with a collapse id."),
    "ServiceUnavailable": ("it was not available", "That is Apple's trouble: send it again later."),
    "InternalServerError": ("it had an internal error", "That is Apple's trouble: send it again later."),
    "Shutdown": ("it was restarting", "That is Apple's trouble: send it again later."),
    "ChannelNotRegistered": ("the channel is gone, or lives in the other environment", "List the app's channels."),
    "FeatureNotEnabled": ("the app may not broadcast", "Switch the Broadcast capability on in Apple's portal."),
}
_NOT_SENT: tuple[tuple[str, str, str], ...] = (
    ("PayloadTooLarge", "It is too large with this recipient's variables", "Shorten the text, or the variables."),
    ("RenderFailed", "The template fails with this recipient's variables", "Try it on the compose page."),
    ("Expired", "Its time was over before it could be sent", "Give it a longer ttl."),
    ("CredentialRevoked", "The credential was revoked", "Upload a new one, and send again."),
    ("NoCredential", "The app has no credential for this phone's environment", "Upload one, and send again."),
    ("CertificateExpired", "The certificate has expired", "Renew it in Apple's portal and rotate the credential."),
    ("CredentialNotOpened", "The server lacks the key that the credential was sealed with", "See the server's log."),
    (
        "RefusedBefore",
        "APNs refused this token before, so it was not asked again",
        "It gets pushes again once the app registers it; one that was never registered is tried after a day.",
    ),
    ("Unreachable", "APNs could not be reached", "Check the network, then send it again."),
    ("the app ", "The app has no credential for it", "Upload one, and send again."),
)


def told(notification: dict[str, Any]) -> dict[str, Any]:
    """A notification of the API's with what it leaves out, and its words."""
    to = {"userId": None, "token": None, "channelId": None, **notification["to"]}
    sender = {"apn": None, "appName": None, **notification["from"]}
    return {**notification, "to": to, "from": sender, "words": notification_words(notification)}


def delivery_words(delivery: dict[str, Any]) -> Words:
    """The last attempt at one device, as the API tells it."""
    words = _ended(delivery)
    if delivery["final"] or delivery["outcome"] == "CANCELED":
        return words
    return Words("going", f"{words.said}. It is tried again", "")


def _ended(delivery: dict[str, Any]) -> Words:
    reason, status = delivery["reason"] or "", delivery["status"]
    match delivery["outcome"]:
        case "ACCEPTED":
            return Words("good", "APNs accepted it", "Accepted is not delivered: APNs hands it over when it can.")
        case "REJECTED":
            return refusal(reason, status, delivery["environment"])
        case "NOT_SENT":
            return not_sent(reason)
        case "UNKNOWN":
            return Words(
                "warn",
                "The connection broke before APNs answered",
                "It may have arrived: sending it again may show it twice.",
            )
        case "CANCELED":
            return Words("plain", "It was cancelled before it left")
        case _:
            return Words("bad", "There was no device to try", NO_DEVICE)


NO_DEVICE = "The user has no usable device in the app: let the app register its token, and check its environment."


def refusal(reason: str, status: int | None, environment: str | None) -> Words:
    """APNs said no."""
    known = _REFUSED.get(reason)
    if known is None:
        said = f"APNs refused: {reason or f'status {status}'}"
        return Words("bad", said, "That is Apple's trouble: send it again later." if (status or 0) >= 500 else "")
    place = PLACES.get((environment or "").upper(), ANYWHERE)
    return Words("bad", f"APNs refused: {known[0].format(environment=place)}", known[1])


def not_sent(reason: str) -> Words:
    """It was never tried."""
    for prefix, said, cure in _NOT_SENT:
        if reason.startswith(prefix):
            return Words("bad", f"{said}; nothing was sent", cure)
    return Words("bad", f"It was not sent: {reason or 'no reason is known'}", "Sending it again is safe.")


def is_refusal(reason: str) -> bool:
    """Whether this is APNs' own word."""
    return reason in _REFUSED


def reason_words(reason: str) -> str:
    """A reason alone, as counted over many pushes."""
    if reason in _REFUSED:
        return f"APNs refused: {_REFUSED[reason][0].format(environment=ANYWHERE)}"
    if reason == "Unaddressable":
        return "There was no device to try"
    for prefix, said, _ in _NOT_SENT:
        if reason.startswith(prefix):
            return said
    return reason


def notification_words(notification: dict[str, Any]) -> Words:
    """A notification as a whole."""
    match notification["status"]:
        case "SCHEDULED":
            return Words("going", "It waits for its time")
        case "QUEUED":
            return Words("going", "It is on its way to APNs")
        case "CANCELED":
            return Words("plain", "It was cancelled before it left")
        case "SENT":
            return Words("good", "APNs accepted it")
    deliveries = notification.get("deliveries") or []
    tried = [each for each in deliveries if each["outcome"] != "UNADDRESSABLE"]
    if notification["unaddressable"] or (deliveries and not tried):
        return Words("bad", "There was no device to try", NO_DEVICE)
    return _ended(max(tried, key=lambda each: each["at"])) if tried else Words("bad", "It failed")
