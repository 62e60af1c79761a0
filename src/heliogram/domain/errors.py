"""What can be wrong with a request, as the service sees it: stable codes and exceptions that carry them.

The API turns these into `application/problem+json`; the codes are listed in `docs/reference/errors.md`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec


class Code(enum.IntEnum):
    """Stable numeric codes. Those below 60000 follow Twilio's dictionary; the rest are ours."""

    UNAUTHORIZED = 20003
    FORBIDDEN = 20403
    NOT_FOUND = 20404
    METHOD_NOT_ALLOWED = 20405
    REQUEST_TIMEOUT = 20408
    UNSUPPORTED_MEDIA_TYPE = 20415
    TOO_MANY_REQUESTS = 20429
    INTERNAL = 20500
    UNAVAILABLE = 20503
    MALFORMED_BODY = 70002
    INVALID_VALUE = 70003
    MISSING_FIELD = 70004
    UNKNOWN_FIELD = 70005
    TOO_FEW_RECIPIENTS = 70010
    TOO_MANY_RECIPIENTS = 70011
    INVALID_DEVICE_TOKEN = 70012
    PAYLOAD_TOO_LARGE = 70013
    TEMPLATE = 70014
    UNKNOWN_APP = 70020
    UNKNOWN_CREDENTIAL = 70021
    UNKNOWN_USER = 70022
    NO_CREDENTIAL = 70023
    UNKNOWN_CHANNEL = 70024
    INVALID_SIGNING_KEY = 70030
    INVALID_KEY_ID = 70031
    INVALID_TEAM_ID = 70032
    INVALID_CERTIFICATE = 70033
    TOO_MANY_APPS = 70040
    TOO_MANY_CREDENTIALS = 70041
    TOO_MANY_ACCOUNTS = 70042
    TOO_MANY_KEYS = 70043
    TOO_MANY_WEBHOOKS = 70044
    TOO_MANY_TAGS = 70045
    QUEUE_FULL = 70046
    PROVIDER_NOT_SUPPORTED = 70050
    BODY_TOO_LARGE = 70060
    TOKEN_OF_OTHER_APP = 70061
    EXTERNAL_ID_TAKEN = 70062
    APP_LEAVING = 70063
    IDEMPOTENCY_KEY_REUSED = 70070
    IDEMPOTENCY_KEY_IN_USE = 70071
    TOO_LATE_TO_CANCEL = 70080
    INVALID_SCHEDULE = 70081
    CREDENTIAL_REVOKED = 70090
    CHANNEL_REFUSED = 70091
    INVALID_WEBHOOK_URL = 70092
    NO_DEVICE = 70100
    REFUSED_BY_PROVIDER = 70101
    NOT_SENT = 70102
    OUTCOME_UNKNOWN = 70103
    TEMPLATE_FAILED = 70104
    LAST_ADMIN_KEY = 70110
    KEY_ENDED = 70111
    STORE_FULL = 70120
    STORE_READ_ONLY = 70121
    STORE_DAMAGED = 70122
    STORE_GONE = 70123
    NOT_READY = 70124


class FieldProblem(msgspec.Struct, frozen=True):
    """One bad field: where (`$.to[3].token`), what is wrong and what to do."""

    path: str
    message: str
    code: Code = Code.INVALID_VALUE


class DomainError(Exception):
    """Something about a request is not right; `code` says what, the message says what to do."""

    code: Code = Code.INVALID_VALUE


class Invalid(DomainError):
    """One or more fields of a request are wrong; nothing was stored."""

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        self.problems = tuple(problems)
        self.code = self.problems[0].code if self.problems else Code.INVALID_VALUE
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in self.problems))


class NotFound(DomainError):
    """Nothing of that kind and id in this account."""

    code = Code.NOT_FOUND

    def __init__(self, what: str, ident: str, *, path: str | None = None, code: Code | None = None) -> None:
        self.what, self.ident, self.path = what, ident, path
        if code is not None:
            self.code = code
        super().__init__(f"there is no {what} {ident!r} in this account")


class Conflict(DomainError):
    """What is asked contradicts the state of things (a 409); nothing was changed."""

    def __init__(self, message: str, code: Code, *, path: str | None = None) -> None:
        self.code, self.path = code, path
        super().__init__(message)


class LimitReached(DomainError):
    """A stated limit of the account or the app is reached; nothing was stored."""

    def __init__(self, message: str, code: Code) -> None:
        self.code = code
        super().__init__(message)


class Unavailable(DomainError):
    """The service cannot do this just now; nothing was stored, and trying again is safe."""

    code = Code.UNAVAILABLE


class Unreadable(DomainError):
    """What is kept cannot be read: it is not what was written. Trying again does not help."""

    code = Code.STORE_DAMAGED


MEANINGS: Mapping[Code, str] = {
    Code.UNAUTHORIZED: "No API key or registration token was given, or it is not valid: wrong, revoked or expired.",
    Code.FORBIDDEN: "The API key lacks the scope this call needs, or a registration token is not for this call.",
    Code.NOT_FOUND: "There is no such resource in this account, or no such path.",
    Code.METHOD_NOT_ALLOWED: "The path exists, but not with this method. `Allow` lists the methods.",
    Code.REQUEST_TIMEOUT: "The request body did not arrive in time.",
    Code.UNSUPPORTED_MEDIA_TYPE: "The body must be plain JSON: application/json, UTF-8, no content encoding.",
    Code.TOO_MANY_REQUESTS: "Too many requests. `Retry-After` says how many seconds to wait.",
    Code.INTERNAL: "A fault of the server; its log says which.",
    Code.UNAVAILABLE: "The server cannot do this now. `Retry-After` says how many seconds to wait.",
    Code.MALFORMED_BODY: "The body cannot be read: it is empty, not JSON, not UTF-8 or nested too deeply.",
    Code.INVALID_VALUE: "A field or parameter has a value it cannot have. `errors` names each with what is expected.",
    Code.MISSING_FIELD: "A required field is missing.",
    Code.UNKNOWN_FIELD: "A field or parameter is not known here. Nothing is ignored silently.",
    Code.TOO_FEW_RECIPIENTS: "A send needs at least one recipient.",
    Code.TOO_MANY_RECIPIENTS: "A send takes at most 10,000 recipients. Split it.",
    Code.INVALID_DEVICE_TOKEN: "A device token is malformed. APNs tokens are hexadecimal, two digits a byte.",
    Code.PAYLOAD_TOO_LARGE: "The content is over the provider's payload limit before any variable is filled in.",
    Code.TEMPLATE: "A text field holds Liquid that is not understood.",
    Code.UNKNOWN_APP: "There is no app of that name. Apps are made by their first credential.",
    Code.UNKNOWN_CREDENTIAL: "There is no credential with that id in this account.",
    Code.UNKNOWN_USER: "There is no user with that id in this account. Users are made by registering a device.",
    Code.NO_CREDENTIAL: "There is nothing to send with: no app, or the app has no credential for the provider.",
    Code.INVALID_SIGNING_KEY: "The signing key is not a .p8 file as Apple gives it out (an EC P-256 private key).",
    Code.INVALID_KEY_ID: "A key id has 10 characters of A-Z and 0-9.",
    Code.INVALID_TEAM_ID: "A team id has 10 characters of A-Z and 0-9.",
    Code.INVALID_CERTIFICATE: "The certificate or its private key cannot be used.",
    Code.TOO_MANY_APPS: "The account has as many apps as it may: 10, where its limits do not say otherwise.",
    Code.TOO_MANY_CREDENTIALS: "The app has as many credentials as it may: 10, where the account's limits do not say"
    " otherwise.",
    Code.PROVIDER_NOT_SUPPORTED: "This provider is not supported yet.",
    Code.BODY_TOO_LARGE: "The request body is larger than the limit named in `detail`. Split the request.",
    Code.TOKEN_OF_OTHER_APP: "The device token is known under an app with another bundle id: a token belongs to one"
    " app alone. Remove it there, or register it under the app it came from.",
    Code.EXTERNAL_ID_TAKEN: "Another user of the account has this externalId.",
    Code.APP_LEAVING: "An app of that name is being removed with its devices. Try again in some minutes.",
    Code.UNKNOWN_CHANNEL: "There is no broadcast channel with that id for the app.",
    Code.TOO_MANY_ACCOUNTS: "The instance has as many accounts as it may: 1,000.",
    Code.TOO_MANY_KEYS: "The account has 100 active API keys, the most it may have. Revoke those that are not used.",
    Code.TOO_MANY_WEBHOOKS: "The account has as many webhooks as it may.",
    Code.TOO_MANY_TAGS: "A send has at most 10 tags.",
    Code.QUEUE_FULL: "As many recipients wait as may: of the account, or of the whole service. Nothing was kept."
    " `Retry-After` says how many seconds to wait; `detail` has the bound.",
    Code.IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key was used for another request within 24 hours. Take a new key.",
    Code.IDEMPOTENCY_KEY_IN_USE: "A request with this Idempotency-Key is being handled. Ask again in a moment.",
    Code.TOO_LATE_TO_CANCEL: "It has left, or is leaving just now.",
    Code.INVALID_SCHEDULE: "The time to send at is no date-time, has passed, or is more than 30 days ahead.",
    Code.CREDENTIAL_REVOKED: "The credential was revoked and sends nothing any more.",
    Code.CHANNEL_REFUSED: "APNs refused what was asked of its channels; `detail` has its reason.",
    Code.INVALID_WEBHOOK_URL: "The webhook's address cannot be used: https, no credentials in it, a public host.",
    Code.NO_DEVICE: "The user has no device in the sending app that could be tried.",
    Code.REFUSED_BY_PROVIDER: "The provider refused the notification; `reason` is its word.",
    Code.NOT_SENT: "The notification provably never reached the provider; `reason` says why.",
    Code.OUTCOME_UNKNOWN: "The notification may have reached the provider: no answer came.",
    Code.TEMPLATE_FAILED: "The templates could not be rendered with this recipient's variables; nothing was sent.",
    Code.LAST_ADMIN_KEY: "The account's last active API key with the scope admin cannot be revoked over the API.",
    Code.KEY_ENDED: "The API key was revoked or has expired, and cannot be rotated. Make a new one.",
    Code.STORE_FULL: "The server's disk is full and nothing was stored. When there is room in its data directory again"
    " it goes on by itself.",
    Code.STORE_READ_ONLY: "The server's database cannot be written to and nothing was stored. When its data directory"
    " can be written to again it goes on by itself.",
    Code.STORE_DAMAGED: "What was asked for cannot be read: the server's database is damaged there. Its operator runs"
    " `heliogram check`, and `heliogram restore` with a backup.",
    Code.STORE_GONE: "The server's database was moved or removed beneath it, and nothing was stored. Its operator puts"
    " it back, or stops the server and restores a backup.",
    Code.NOT_READY: "The process is there and cannot work just now: its store or its queue cannot be reached, or it is"
    " being stopped. Ask another one, or this one again after `Retry-After`.",
}
"""What each code means, for people: shown at `/docs#code-N`, where `more_info` points."""
