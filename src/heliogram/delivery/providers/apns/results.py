"""From the port's pushes to the engine's, and from its outcomes back to the port's results."""

from __future__ import annotations

import re
from collections.abc import Sequence

import structlog

from .... import apns
from ....apns import reasons
from ....domain.notifications import Outcome
from ....ports import DeviceFate, Push, PushResult, Retry

log = structlog.get_logger(__name__)

REVOKED = "CredentialRevoked: the credential was revoked or deleted before this could be sent"

_RETRY = {
    reasons.Retry.NEVER: Retry.NEVER,
    reasons.Retry.AFTER_FIX: Retry.NEVER,
    reasons.Retry.NEW_CONNECTION: Retry.SOON,
    reasons.Retry.DELAYED: Retry.DEVICE,
    reasons.Retry.BACK_OFF: Retry.LATER,
}
_REFUSALS = frozenset({"ExpiredProviderToken"})
"""What the engine has tried once more on a new connection already: it did not heal."""
_TOPIC = "TopicDisallowed"
_WORKS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken", "TooManyRequests"})
"""Answers about the device, which APNs gives only after it has taken credential and topic (apns-rules 9.1)."""
_REFUSED_CAUSE = re.compile(r"GOAWAY with reason (?P<reason>\w+)|TLS alert of the server: |certificate: expired on ")
"""How the engine says that a connection came to nothing because of the credential (CERT-9, CERT-10, CERT-12)."""
_FATE = {
    reasons.OnToken.KEEP: DeviceFate.KEEP,
    reasons.OnToken.QUARANTINE: DeviceFate.QUARANTINE,
    reasons.OnToken.REMOVE: DeviceFate.REMOVE,
}


def notification_of(push: Push) -> apns.Notification:
    """The engine's notification, not checked yet. Of a broadcast it is a Live Activity's; without an expiration it is
    not stored, which every channel takes (BC-3)."""
    if push.channel is not None:
        return apns.Notification(
            payload=push.payload,
            push_type=apns.PushType.LIVEACTIVITY,
            priority=push.priority,
            expiration=push.expiration or 0,
        )
    return apns.Notification(
        payload=push.payload,
        push_type=push.push_type,
        priority=push.priority,
        expiration=push.expiration,
        collapse_id=push.collapse_id,
    )


def said(error: apns.ApnsError) -> str:
    """The engine's words for callers of the API: how the server is set up is for its log."""
    if isinstance(error, apns.InvalidCafile):
        log.error("apns.cafile", error=str(error))
        return "the CA file that the service was given for APNs cannot be used: its log says why"
    return str(error)


def refused(push: Push, reason: str, retry: Retry = Retry.NEVER) -> PushResult:
    """The result of a push that is not even tried."""
    return PushResult(tag=push.tag, outcome=Outcome.NOT_SENT, reason=reason, retry=retry)


def results_of(outcomes: Sequence[apns.Outcome]) -> list[PushResult]:
    """The port's results of outcomes whose `tag` is the port's push: what most are is told here, in one go."""
    return [
        PushResult(
            tag=outcome.tag.tag,
            outcome=Outcome.ACCEPTED,
            status=200,
            unique_id=outcome.unique_id or "",
            wire_ms=outcome.wire_ms or 0,
            works=True,
        )
        if type(outcome) is apns.Accepted
        else result_of(outcome.tag, outcome)
        for outcome in outcomes
    ]


def result_of(push: Push, outcome: apns.Outcome) -> PushResult:
    """The port's result."""
    wire_ms = outcome.wire_ms or 0
    match outcome:
        case apns.Accepted():
            return PushResult(
                tag=push.tag,
                outcome=Outcome.ACCEPTED,
                status=200,
                unique_id=outcome.unique_id or "",
                wire_ms=wire_ms,
                works=True,
            )
        case apns.Rejected():
            row = outcome.policy
            return PushResult(
                tag=push.tag,
                outcome=Outcome.REJECTED,
                status=outcome.status,
                reason=outcome.reason,
                timestamp=outcome.timestamp,
                wire_ms=wire_ms,
                retry_after=outcome.retry_after,
                retry=_retry(push, row),
                device=_FATE[row.token],
                works=row.name in _WORKS,
            )
        case apns.NotSent():
            return _not_sent(push, outcome.cause)
        case apns.Unknown():
            return PushResult(
                tag=push.tag, outcome=Outcome.UNKNOWN, reason=outcome.cause, wire_ms=wire_ms, retry=Retry.ONCE
            )


def _retry(push: Push, row: reasons.Reason) -> Retry:
    if row.credential is reasons.OnCredential.STOP or row.name in _REFUSALS:
        return Retry.CREDENTIAL
    if row.name == _TOPIC and push.topic is None:  # another topic than its own may well be the caller's mistake
        return Retry.TOPIC
    return _RETRY[row.retry]


def _not_sent(push: Push, cause: str) -> PushResult:
    found = _REFUSED_CAUSE.search(cause)
    if found is None:
        return refused(push, cause, Retry.SOON)
    reason = found["reason"]
    if reason is None:
        return refused(push, cause, Retry.CREDENTIAL)
    row = reasons.REASONS.get(reason)
    stops = row is not None and row.credential is reasons.OnCredential.STOP
    return refused(push, cause, Retry.CREDENTIAL if stops else Retry.SOON)
