"""From the port's pushes to the engine's, and from its outcomes back to the port's results."""

from __future__ import annotations

import re
from collections.abc import Sequence

import structlog

from heliogram import _accel

from .... import apns
from ....domain.notifications import Outcome
from ....ports import Push, PushResult, Retry
from ...breaker import UNREACHABLE
from .verdicts import verdict_of

log = structlog.get_logger(__name__)

REVOKED = "CredentialRevoked: the credential was revoked or deleted before this could be sent"

_REFUSED_CAUSE = re.compile(r"GOAWAY with reason (?P<reason>\w+)|TLS alert of the server: |certificate: expired on ")
"""How the engine says that a connection came to nothing because of the credential (CERT-9, CERT-10, CERT-12)."""
_UNREACHED_CAUSE = re.compile(
    r"cannot use |not sent before the push's deadline: (no connection to |the connection's first push is unanswered)"
)
"""How it says that no connection came about, or none that answers."""


def announcement_of(push: Push) -> apns.Notification:
    """The engine's notification of a broadcast, not checked yet: a Live Activity's. Without an expiration it is not
    stored, which every channel takes (BC-3)."""
    return apns.Notification(
        payload=push.payload,
        push_type=apns.PushType.LIVEACTIVITY,
        priority=push.priority,
        expiration=push.expiration or 0,
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
    if _results is not None and type(outcomes) is list:
        made: list[PushResult] = _results(outcomes)
        return made
    return [
        PushResult(
            tag=outcome.tag.tag,
            outcome=Outcome.ACCEPTED,
            status=200,
            unique_id=outcome.unique_id or "",
            wire_ms=outcome.wire_ms or 0,
            works=True,
        )
        if isinstance(outcome, apns.Accepted)
        else result_of(outcome.tag, outcome)
        for outcome in outcomes
    ]


def result_of(push: Push, outcome: apns.Rejected | apns.NotSent | apns.Unknown) -> PushResult:
    """The port's result of a push that was not accepted."""
    wire_ms = outcome.wire_ms or 0
    match outcome:
        case apns.Rejected():
            verdict = verdict_of(outcome.status, outcome.reason, own_topic=push.topic is None)
            return PushResult(
                tag=push.tag,
                outcome=Outcome.REJECTED,
                status=outcome.status,
                reason=outcome.reason,
                timestamp=outcome.timestamp,
                wire_ms=wire_ms,
                retry_after=outcome.retry_after,
                retry=verdict.retry,
                device=verdict.device,
                works=verdict.works,
            )
        case apns.NotSent():
            return _not_sent(push, outcome.cause)
        case apns.Unknown():
            return PushResult(
                tag=push.tag, outcome=Outcome.UNKNOWN, reason=outcome.cause, wire_ms=wire_ms, retry=Retry.ONCE
            )


def _other(outcome: apns.Outcome) -> PushResult:
    """What the twin in C does not do by itself."""
    return results_of((outcome,))[0]


_MODEL = PushResult(tag=None, outcome=Outcome.ACCEPTED, status=200, works=True)
_results = _accel.twin("results", apns.Accepted, Push, PushResult, _MODEL, _other, "", 0)


def _not_sent(push: Push, cause: str) -> PushResult:
    found = _REFUSED_CAUSE.search(cause)
    if found is not None and (found["reason"] is None or verdict_of(403, found["reason"]).retry is Retry.CREDENTIAL):
        return refused(push, cause, Retry.CREDENTIAL)
    if _UNREACHED_CAUSE.match(cause) is not None:
        return refused(push, f"{UNREACHABLE}: {cause}", Retry.UNREACHABLE)
    return refused(push, cause, Retry.SOON)
