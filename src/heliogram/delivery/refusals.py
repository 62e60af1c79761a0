"""Tokens that are known to be bad never reach the wire: whoever sends to one directly is told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ..domain.apps import Environment
from ..domain.lookups import RefusedToken
from ..domain.notifications import DeliveryRecord, Outcome
from ..ports import LeasedChunk, PushResult
from .plan import Target
from .waiting import record_of

REFUSED_BEFORE = "RefusedBefore"
"""How the reason begins of a push that is not even tried because of what was said to an earlier one."""
OF_TOPIC = "DeviceTokenNotForTopic"
"""A refusal that is about the credential's topic as much as about the token."""

Refused = Mapping[bytes, Sequence[RefusedToken]]


def sift(
    chunk: LeasedChunk, targets: Sequence[Target], refused: Refused, now: int
) -> tuple[list[Target], list[DeliveryRecord]]:
    """What may be tried, and the records of what may not. A token of unknown environment that was refused in one goes
    to the other."""
    free, records = list[Target](), list[DeliveryRecord]()
    for target in targets:
        reasons = dict(_reasons(target, refused.get(target.token, ()))) if not target.slot else {}
        if target.environment in reasons and target.other is not None and target.other[1] not in reasons:
            credential, environment = target.other
            target = msgspec.structs.replace(target, credential=credential, environment=environment, other=None)
        if target.environment not in reasons:
            free.append(target)
            continue
        reason = f"{REFUSED_BEFORE}: APNs' last word on this device token was {reasons[target.environment]}"
        result = PushResult(tag=target, outcome=Outcome.NOT_SENT, reason=reason)
        records.append(record_of(chunk, result, now, None, attempt=target.attempt))
    return free, records


def _reasons(target: Target, said: Sequence[RefusedToken]) -> Iterator[tuple[Environment, str]]:
    """Of which environments a token was refused, and why."""
    for refusal in said:
        if refusal.reason == OF_TOPIC and refusal.credential not in (None, target.credential):
            continue
        for environment in Environment if refusal.environment is None else (refusal.environment,):
            yield environment, refusal.reason
