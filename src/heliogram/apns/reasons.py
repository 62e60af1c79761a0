"""Every reason APNs is known to give, in one table (apns-rules sections 5 and 6.4)."""

from __future__ import annotations

import enum

import msgspec


class Retry(enum.StrEnum):
    """What to do with the push itself."""

    NEVER = "never"
    """The same push to the same token will be refused for ever."""
    AFTER_FIX = "after-fix"
    """A person or a program has to change something first."""
    NEW_CONNECTION = "new-connection"
    """At once, on a connection opened after the answer."""
    DELAYED = "delayed"
    """Later, with a back-off for this device alone."""
    BACK_OFF = "back-off"
    """Later, with a back-off; Apple's floor is 15 minutes (ERR-3)."""


class OnToken(enum.StrEnum):
    """What the answer says of the device token."""

    KEEP = "keep"
    QUARANTINE = "quarantine"
    """Suspect: wrong environment or wrong app, not proven dead. Never delete blindly."""
    REMOVE = "remove"
    """Dead, if it was not registered again after the answer's timestamp (ERR-1)."""


class OnCredential(enum.StrEnum):
    """What the answer says of the credential."""

    PROVEN = "proven"
    """The check of the credential comes first, so this answer proves that it works."""
    SILENT = "silent"
    """Nothing."""
    REFRESH = "refresh"
    """Good, but its provider token was not; check the clock."""
    STOP = "stop"
    """It cannot work until somebody mends it: stop using it and raise an alarm."""


class OnConnection(enum.StrEnum):
    """What the answer means for the connection it came on."""

    KEEP = "keep"
    REPLACE = "replace"
    """Let what is open finish, open nothing more, use another one (CONN-28)."""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One row of the table."""

    name: str
    statuses: tuple[int, ...]
    meaning: str
    retry: Retry = Retry.AFTER_FIX
    token: OnToken = OnToken.KEEP
    credential: OnCredential = OnCredential.PROVEN
    connection: OnConnection = OnConnection.KEEP

    @classmethod
    def lookup(cls, status: int, name: str) -> Reason:
        """The row of this reason; a reason nobody has seen is judged by its status class (ERR-5, RESP-8)."""
        found = REASONS.get(name)
        return found if found is not None else by_status(status, name)


def by_status(status: int, name: str = "") -> Reason:
    """A row for a reason that is not in the table: 410 is a dead token, 5xx may be retried, the rest needs a look."""
    said = name or "no reason given"
    if status == 410:
        return Reason(name, (status,), f"dead device token ({said})", Retry.NEVER, OnToken.REMOVE)
    if status == 429:
        return Reason(name, (status,), f"too many requests ({said})", Retry.DELAYED, credential=OnCredential.SILENT)
    if status >= 500:
        meaning = f"trouble at the server ({said})"
        return Reason(name, (status,), meaning, Retry.BACK_OFF, credential=OnCredential.SILENT)
    if status in (401, 403):
        meaning = f"the credential was refused ({said})"
        return Reason(name, (status,), meaning, credential=OnCredential.STOP)
    return Reason(name, (status,), f"unknown answer {status} ({said})", credential=OnCredential.SILENT)


_BUG = "our request was malformed: "
_SILENT = OnCredential.SILENT
_STOP = OnCredential.STOP
_REPLACE = OnConnection.REPLACE

_TABLE = (
    # Sending to a device (section 5).
    Reason("BadCollapseId", (400,), "the collapse id is longer than 64 bytes"),
    Reason(
        "BadDeviceToken",
        (400,),
        "the device token is malformed or belongs to the other environment",
        Retry.NEVER,
        OnToken.QUARANTINE,
    ),
    Reason("BadExpirationDate", (400,), _BUG + "apns-expiration"),
    Reason("BadMessageId", (400,), _BUG + "apns-id"),
    Reason("BadPriority", (400,), "the priority is not allowed for this push type"),
    Reason("BadTopic", (400,), "the topic is malformed"),
    Reason(
        "DeviceTokenNotForTopic",
        (400,),
        "the device token belongs to another app, or to another kind of push",
        Retry.NEVER,
        OnToken.QUARANTINE,
    ),
    Reason("DuplicateHeaders", (400,), _BUG + "a header came twice"),
    Reason(
        "IdleTimeout",
        (400,),
        "the connection was idle for too long",
        Retry.NEW_CONNECTION,
        credential=_SILENT,
        connection=_REPLACE,
    ),
    Reason("InvalidPushType", (400,), "the push type is unknown or does not go with the topic"),
    Reason("MissingDeviceToken", (400,), _BUG + "no device token in the path"),
    Reason("MissingTopic", (400,), "a topic is needed: give the client or the notification one"),
    Reason("PayloadEmpty", (400,), "the payload is empty"),
    Reason("TopicDisallowed", (400,), "the credential may not use this topic"),
    Reason("BadCertificate", (403,), "the certificate is not valid", credential=_STOP),
    Reason("BadCertificateEnvironment", (403,), "the certificate is for the other environment", credential=_STOP),
    Reason(
        "ExpiredProviderToken",
        (403,),
        "the provider token is older than an hour: check the clock of this machine",
        Retry.NEW_CONNECTION,
        credential=OnCredential.REFRESH,
        connection=_REPLACE,
    ),
    Reason("Forbidden", (403,), "the action is not allowed", Retry.NEVER, credential=_STOP),
    Reason(
        "InvalidProviderToken",
        (403,),
        "the signing key, its key id or the team id is wrong, or the key was revoked",
        credential=_STOP,
    ),
    Reason("MissingProviderToken", (403,), "no credential was presented", credential=_STOP),
    Reason(
        "UnrelatedKeyIdInToken",
        (403,),
        "the connection was opened with an unrelated key",
        Retry.NEW_CONNECTION,
        credential=_SILENT,
        connection=_REPLACE,
    ),
    Reason("BadEnvironmentKeyIdInToken", (403,), "the key is restricted to the other environment", credential=_STOP),
    Reason("BadEnvironmentKeyInToken", (403,), "the key is restricted to the other environment", credential=_STOP),
    Reason("BadPath", (404,), _BUG + "the path", credential=_SILENT),
    Reason("MethodNotAllowed", (405,), _BUG + "the method", credential=_SILENT),
    Reason("ExpiredToken", (410,), "the device token has expired", Retry.NEVER, OnToken.REMOVE),
    Reason("Unregistered", (410,), "the device token is no longer active for the topic", Retry.NEVER, OnToken.REMOVE),
    Reason("PayloadTooLarge", (413,), "the payload is over the limit", Retry.NEVER),
    Reason(
        "TooManyProviderTokenUpdates",
        (429,),
        "the provider token was changed too often; do not change it for 20 minutes",
        Retry.BACK_OFF,
        credential=_SILENT,
        connection=_REPLACE,
    ),
    Reason("TooManyRequests", (429,), "too many requests, or pushes to this device", Retry.DELAYED),
    Reason(
        "InternalServerError",
        (500,),
        "trouble at APNs, or a wedged connection",
        Retry.BACK_OFF,
        credential=_SILENT,
        connection=_REPLACE,
    ),
    Reason("ServiceUnavailable", (503,), "APNs is overloaded", Retry.BACK_OFF, credential=_SILENT),
    Reason("Service Unavailable", (503,), "APNs is overloaded", Retry.BACK_OFF, credential=_SILENT),
    Reason(
        "Shutdown",
        (503,),
        "that server is going away",
        Retry.NEW_CONNECTION,
        credential=_SILENT,
        connection=_REPLACE,
    ),
    # Broadcast and channels (section 6.4).
    Reason("FeatureNotEnabled", (400,), "broadcast is not switched on for this app"),
    Reason("MissingChannelId", (400,), "no channel id"),
    Reason("BadChannelId", (400,), "the channel id is malformed"),
    Reason("ChannelNotRegistered", (400,), "the channel is unknown"),
    Reason("BadRequestParams", (400,), _BUG + "an unknown attribute"),
    Reason("BadRequestPayload", (400,), _BUG + "the body is not JSON"),
    Reason("MissingPushType", (400,), "no push type"),
    Reason("CannotCreateChannelConfig", (400,), "the app has as many channels as it may have"),
    Reason("MissingChannelQueueSize", (400,), "the message storage policy is missing or invalid"),
    Reason("TopicMismatch", (403,), "the bundle id is not among those of the credential", credential=_STOP),
)

REASONS: dict[str, Reason] = {row.name: row for row in _TABLE}
"""The table by name. Unknown names are no error: use `Reason.lookup`."""
