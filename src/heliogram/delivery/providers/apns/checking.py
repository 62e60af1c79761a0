"""Proves a credential without a device: APNs looks at the credential before it looks at the token, so `BadDeviceToken`
says that the credential works (apns-rules 9.1)."""

from __future__ import annotations

import secrets

from .... import apns
from ....apns.entitlements import check_push
from ....apns.pushtypes import RULES
from ....domain.apps import Environment, OpenedCredential
from ....ports import CheckResult
from .parsing import identity_of

TOKEN_BYTES = 32
_WORKS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken", "TooManyRequests"})
"""Answers that APNs gives only when it has accepted credential and topic."""

_ADVICE = {
    "InvalidProviderToken": "APNs does not accept the signing key: key id or team id do not belong to this key, or the "
    "key was revoked in the developer portal. Compare both with the portal; a new key may take a while to be accepted.",
    "TopicDisallowed": "The credential is good, but it does not cover the bundle id: check the spelling of the bundle "
    "id, whether the app belongs to this team and has the push capability, and the topics of the key.",
    "ExpiredProviderToken": "APNs takes the provider token for older than an hour: the clock of this machine is wrong. "
    "Set it by NTP.",
    "BadCertificateEnvironment": "The certificate is for the other environment: upload it as the other credential "
    "type (APN is production, APN_SANDBOX is the sandbox).",
    "BadCertificate": "APNs does not accept the certificate: it was revoked, or it is no push certificate. Make a new "
    "one in the developer portal.",
    "BadEnvironmentKeyInToken": "The key is restricted to the other environment: upload it as the other credential "
    "type, or make a key for this one.",
    "TooManyProviderTokenUpdates": "APNs saw too many different keys or tokens of this team within 20 minutes. Nothing "
    "is said of the credential: check again in half an hour.",
    "Forbidden": "APNs forbids this to the credential: look at the agreements and the state of the developer account.",
    "MissingProviderToken": "APNs saw no credential: the certificate was not presented. Upload it again together with "
    "its key.",
}
_ADVICE["BadEnvironmentKeyIdInToken"] = _ADVICE["BadEnvironmentKeyInToken"]


async def check(client: apns.Client, push_type: str, seconds: float) -> CheckResult:
    """Sends to a token that nobody has, and reads the answer."""
    nobody = secrets.token_hex(TOKEN_BYTES)
    notification = apns.Notification(payload={"aps": {}}, push_type=push_type, expiration=0)
    return judge(await client.send(nobody, notification, timeout=seconds))


def judge(outcome: apns.Outcome) -> CheckResult:
    """What an answer says of the credential."""
    match outcome:
        case apns.Accepted():
            return CheckResult(ok=True, message="APNs accepts the credential for this bundle id.")
        case apns.Rejected(reason=reason) if reason in _WORKS:
            return CheckResult(ok=True, reason=reason, message="APNs accepts the credential for this bundle id.")
        case apns.Rejected(status=status, reason=reason):
            other = f"APNs answered {status} {reason}: {outcome.policy.meaning}."
            if status >= 500:
                other += " Nothing is said of the credential: check again later."
            return CheckResult(ok=False, reason=reason, message=_ADVICE.get(reason, other))
        case apns.NotSent(cause=cause):
            return not_tried(cause)
        case apns.Unknown(cause=cause):
            return CheckResult(ok=False, message=f"APNs gave no answer ({cause}). Check again.")


def not_tried(cause: str) -> CheckResult:
    """The result when no push left: the cause may hold APNs' word, for it ends connections with it (CERT-9)."""
    reason = next((word for word in _ADVICE if word in cause), "")
    if reason:
        return CheckResult(ok=False, reason=reason, message=_ADVICE[reason])
    return CheckResult(ok=False, message=f"Nothing could be sent: {cause}.")


def push_type_of(credential: OpenedCredential) -> str:
    """A push type that the credential covers. Raises `ApnsError` when there is none."""
    identity, topic = identity_of(credential), str(credential.credential.public["bundleId"])
    first: apns.ApnsError | None = None
    for push_type in RULES:
        if push_type is apns.PushType.MDM:
            continue
        try:
            check_push(identity, apns.topic_for(topic, push_type), push_type)
        except apns.ApnsError as error:
            first = first or error
        else:
            return push_type
    raise first or apns.InvalidNotification("topic", f"{topic} is not covered", "give the app's bundle id")


def environment_of(credential: OpenedCredential) -> Environment:
    """Where it is checked."""
    return credential.credential.type.environment or Environment.PRODUCTION
