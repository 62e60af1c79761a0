"""What can be wrong with a request, as the service sees it: stable codes and exceptions that carry them.

The API turns these into `application/problem+json`; the codes are listed in `docs/reference/errors.md`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

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
    INVALID_SIGNING_KEY = 70030
    INVALID_KEY_ID = 70031
    INVALID_TEAM_ID = 70032
    INVALID_CERTIFICATE = 70033
    TOO_MANY_APPS = 70040
    TOO_MANY_CREDENTIALS = 70041
    PROVIDER_NOT_SUPPORTED = 70050
    BODY_TOO_LARGE = 70060
    TOKEN_OF_OTHER_APP = 70061


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


class LimitReached(DomainError):
    """A stated limit of the account or the app is reached; nothing was stored."""

    def __init__(self, message: str, code: Code) -> None:
        self.code = code
        super().__init__(message)
