"""What the service makes of each answer of APNs: one table, in the rows and the order of apns-rules section 5.

Whether and on what terms a push is tried again (`ports.Retry`; how long that takes is `policy.RetryPolicy`'s and the
breaker's), what becomes of the device, whether the answer proves that the credential works, and whether the engine
replaces the connection. The engine's own table, `apns.reasons`, says what an answer means; a test holds the two
together, and `docs/reference/retry-policy.md` is written from this one.
"""

from __future__ import annotations

import msgspec

from ....ports import DeviceFate, Retry

TOPIC_DISALLOWED = "TopicDisallowed"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """One row. `status` is 0 where APNs gave no answer. `works`: APNs looks at the device only after it has taken
    credential and topic (apns-rules 9.1). `replaces`: the connection finishes what is open and takes nothing more."""

    status: int
    reason: str
    retry: Retry
    device: DeviceFate = DeviceFate.KEEP
    works: bool = False
    replaces: bool = False


_REMOVE, _QUARANTINE = DeviceFate.REMOVE, DeviceFate.QUARANTINE

TABLE = (
    Verdict(400, "BadCollapseId", Retry.NEVER),
    Verdict(400, "BadDeviceToken", Retry.NEVER, _QUARANTINE, works=True),
    Verdict(400, "BadExpirationDate", Retry.NEVER),
    Verdict(400, "BadMessageId", Retry.NEVER),
    Verdict(400, "BadPriority", Retry.NEVER),
    Verdict(400, "BadTopic", Retry.NEVER),
    Verdict(400, "DeviceTokenNotForTopic", Retry.NEVER, _QUARANTINE, works=True),
    Verdict(400, "DuplicateHeaders", Retry.NEVER),
    Verdict(400, "IdleTimeout", Retry.SOON, replaces=True),
    Verdict(400, "InvalidPushType", Retry.NEVER),
    Verdict(400, "MissingDeviceToken", Retry.NEVER),
    Verdict(400, "MissingTopic", Retry.NEVER),
    Verdict(400, "PayloadEmpty", Retry.NEVER),
    Verdict(400, TOPIC_DISALLOWED, Retry.TOPIC),
    Verdict(403, "BadCertificate", Retry.CREDENTIAL),
    Verdict(403, "BadCertificateEnvironment", Retry.CREDENTIAL),
    # The engine has tried it once more already, with a new token on a new connection: it did not heal (TOK-22).
    Verdict(403, "ExpiredProviderToken", Retry.CREDENTIAL, replaces=True),
    Verdict(403, "Forbidden", Retry.FORBIDDEN),
    Verdict(403, "InvalidProviderToken", Retry.CREDENTIAL),
    Verdict(403, "MissingProviderToken", Retry.CREDENTIAL),
    Verdict(403, "UnrelatedKeyIdInToken", Retry.SOON, replaces=True),
    Verdict(403, "BadEnvironmentKeyIdInToken", Retry.CREDENTIAL),
    Verdict(403, "BadEnvironmentKeyInToken", Retry.CREDENTIAL),
    Verdict(404, "BadPath", Retry.NEVER),
    Verdict(405, "MethodNotAllowed", Retry.NEVER),
    Verdict(410, "ExpiredToken", Retry.NEVER, _REMOVE, works=True),
    Verdict(410, "Unregistered", Retry.NEVER, _REMOVE, works=True),
    Verdict(413, "PayloadTooLarge", Retry.NEVER),
    Verdict(429, "TooManyProviderTokenUpdates", Retry.LATER, replaces=True),
    Verdict(429, "TooManyRequests", Retry.DEVICE, works=True),
    Verdict(500, "InternalServerError", Retry.LATER, replaces=True),
    Verdict(503, "ServiceUnavailable", Retry.LATER),
    Verdict(503, "Shutdown", Retry.SOON, replaces=True),
)
"""Every reason of section 5."""

REFUSED_STREAM = Verdict(0, "REFUSED_STREAM", Retry.SOON)
GOAWAY = Verdict(0, "GOAWAY, id > last", Retry.SOON, replaces=True)
NOT_REACHED = Verdict(0, "no connection", Retry.UNREACHABLE)
NO_ANSWER = Verdict(0, "no answer", Retry.ONCE)
WITHOUT_ANSWER = (REFUSED_STREAM, GOAWAY, NOT_REACHED, NO_ANSWER)
"""What happens before an answer, or in place of one. The first two the engine sends again by itself, at once, as long
as one attempt may take (30 s); the verdict is what follows then."""

CLASSES = (
    Verdict(401, "", Retry.CREDENTIAL),
    Verdict(403, "", Retry.CREDENTIAL),
    Verdict(410, "", Retry.NEVER, _REMOVE),
    Verdict(429, "", Retry.DEVICE),
    Verdict(500, "", Retry.LATER),
)
"""A reason that nobody knows, by its status; 500 stands for all from there on. All others are never tried again."""

_BY_REASON = {row.reason: row for row in TABLE}
_BY_STATUS = {row.status: row for row in CLASSES}


def verdict_of(status: int, reason: str, *, own_topic: bool = True) -> Verdict:
    """The row of an answer; of a reason that nobody knows, that of its status (ERR-5). A topic other than the
    credential's own may well be the caller's mistake: its refusal is nobody else's."""
    row = _BY_REASON.get(reason)
    if row is None:
        row = _BY_STATUS.get(500 if status >= 500 else status) or Verdict(status, reason, Retry.NEVER)
    if row.retry is Retry.TOPIC and not own_topic:
        return msgspec.structs.replace(row, retry=Retry.NEVER)
    return row
