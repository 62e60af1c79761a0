"""From the port's pushes to the engine's, and from its outcomes back to the port's results."""

from __future__ import annotations

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
                retry=_RETRY[row.retry],
                device=_FATE[row.token],
            )
        case apns.NotSent():
            return PushResult(tag=push.tag, outcome=Outcome.NOT_SENT, reason=outcome.cause, retry=Retry.SOON)
        case apns.Unknown():
            return PushResult(
                tag=push.tag, outcome=Outcome.UNKNOWN, reason=outcome.cause, wire_ms=wire_ms, retry=Retry.ONCE
            )
