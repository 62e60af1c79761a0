"""Credentials in plain words: how each does, why APNs refuses it and what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

SOON = 30
"""Days before its end from which on a certificate is shown as ending."""
TYPES = {"APN": "production", "APN_SANDBOX": "sandbox", "FCM": "FCM"}
FORMS = {"token": "Signing key (.p8)", "certificate": "Certificate"}
SCOPES = {"team": "every topic of the team", "topic": "the listed topics alone"}

_REASONS = {
    "InvalidProviderToken": "APNs does not accept the key: the key id or the team id is wrong, it was revoked at Apple,"
    " or it is of the other environment. Check it, and rotate it if it is not the right one.",
    "ExpiredProviderToken": "APNs finds the provider token too old: check the clock of the server.",
    "MissingProviderToken": "APNs saw no provider token: check the key, and rotate it if it is not the right one.",
    "TopicDisallowed": "The credential may not send for its bundle id: check the key's topics in Apple's portal, and"
    " that the bundle id belongs to the team. After a change there, reconnect.",
    "BadCertificate": "APNs does not accept the certificate: renew it in Apple's portal and rotate the credential.",
    "BadCertificateEnvironment": "The certificate is of the other environment: upload it as the other type.",
    "BadEnvironmentKeyIdInToken": "The key was made for the other environment: upload it as the other type.",
    "CertificateExpired": "The certificate has expired: renew it in Apple's portal and rotate the credential.",
    "CredentialNotOpened": "The server lacks the master key that this was sealed with; its log says more.",
    "Unreachable": "APNs cannot be reached with it: check the network, DNS and whether port 443 or 2197 is open.",
    "TooManyProviderTokenUpdates": "The team's provider token changed too often, perhaps by another service with the"
    " same key: it goes on by itself.",
}
_OTHER = "APNs refuses it for this reason: check it, and rotate it if it is not the right one."


class Health(NamedTuple):
    """How a credential does: a word, the tone of its badge, and what it means."""

    word: str
    tone: str
    text: str = ""


def reason_text(reason: str | None) -> str:
    """A refusal of a credential in words, with what to do."""
    for known, text in _REASONS.items():
        if (reason or "").startswith(known):
            return text
    return _OTHER


def health(credential: dict[str, Any]) -> Health:
    """How a credential of the API's does, the worst first."""
    if credential["revokedAt"] is not None:
        return Health("revoked", "bad", "It was revoked: nothing leaves with it again.")
    failing = credential["failing"]
    if failing is not None:
        return Health("failing", "bad", reason_text(failing["reason"]))
    days, check = credential["expiresInDays"], credential["lastCheck"]
    if days is not None and days < 0:
        return Health("expired", "bad", reason_text("CertificateExpired"))
    if check is not None and not check["ok"]:
        return Health("check failed", "bad", check["message"])
    if days is not None and days <= SOON:
        return Health("expiring", "warn", "Renew it in Apple's portal and rotate the credential before it ends.")
    if check is not None or _taken(credential):
        return Health("healthy", "good")
    return Health("not checked", "plain", "Nothing is known yet: check it.")


def shown(credential: dict[str, Any]) -> dict[str, Any]:
    """A credential with everything a page says of it."""
    content = credential["content"]
    return {
        **credential,
        "health": health(credential),
        "environment": TYPES.get(credential["credentialType"], credential["credentialType"]),
        "form": FORMS.get(content["form"], content["form"]),
        "keyId": content.get("keyId"),
        "teamId": content.get("teamId"),
        "bundleId": content.get("bundleId"),
        "keyScope": SCOPES.get(content.get("keyScope") or "", ""),
        "topics": content.get("topics") or [],
        "fingerprint": content.get("fingerprint"),
        "waiting": 0 if credential["failing"] is None else credential["failing"]["waiting"],
    }


def _taken(credential: dict[str, Any]) -> bool:
    """Whether APNs took it for good when something was sent with it last, whatever became of the push."""
    answer = credential["lastAnswer"]
    return credential["lastSuccessAt"] is not None or (answer is not None and answer["status"] not in (401, 403))
