"""Errors as the client sees them: `application/problem+json` in one shape (push-api.md 2.8).

The body is a superset that satisfies the three kinds of client seen for such an API: RFC 9457 readers
(`type`, `title`, `status`, `detail`, `errors[].pointer`), readers of `errors[].message` and `errors[].context`,
and readers of the older `code`, `message`, `more_info`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
MAX_FIELD_ERRORS = 20
MAX_MESSAGE_CHARS = 300

# Codes of the HTTP layer itself. What the service adds lives in its own table.
UNAUTHENTICATED = 20003
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
BODY_TOO_LARGE = 70060

LAYER_CODES: Mapping[int, str] = {
    UNAUTHENTICATED: "No API key was given, or it is not valid.",
    FORBIDDEN: "The API key is valid but lacks the scope this call needs.",
    NOT_FOUND: "There is no such resource or path.",
    METHOD_NOT_ALLOWED: "The path exists but not with this method. `Allow` lists the methods.",
    REQUEST_TIMEOUT: "The request body did not arrive in time.",
    UNSUPPORTED_MEDIA_TYPE: "The body must be plain JSON (application/json, UTF-8, no content encoding).",
    TOO_MANY_REQUESTS: "Too many requests. `Retry-After` says how many seconds to wait.",
    INTERNAL: "A fault of the server. What it was is in its log.",
    UNAVAILABLE: "The server cannot do this now. `Retry-After` says how many seconds to wait.",
    MALFORMED_BODY: "The body cannot be read: it is empty, not JSON, not UTF-8 or nested too deeply.",
    INVALID_VALUE: "A field or parameter has a value it cannot have. `errors` names each with what is expected.",
    MISSING_FIELD: "A required field is missing.",
    UNKNOWN_FIELD: "A field or parameter is not known here. Nothing is ignored silently.",
    BODY_TOO_LARGE: "The request body is larger than the limit named in `detail`.",
}

_STEP = re.compile(r"""\.([A-Za-z_$][\w$-]*)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]""")


_PEM = re.compile(r"-----BEGIN.*?(?:-----END[A-Z ]*-----|$)", re.DOTALL)
_RUN = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_RANDOM = re.compile(r"(?=[^/]*[a-z])(?=[^/]*[A-Z])(?=[^/]*[0-9])[^/]{16,}")
_HIDDEN = "[hidden]"


def mask(text: str) -> str:
    """`text` without what looks like a secret: PEM, and long random text in both cases with digits, as API secrets,
    keys in base64 and tokens are. Ids, paths and device tokens stay."""
    return _RUN.sub(_mask_run, _PEM.sub(_HIDDEN, text))


def _mask_run(found: re.Match[str]) -> str:
    return _HIDDEN if _RANDOM.search(found[0]) else found[0]


def shorten(text: str) -> str:
    """`text` as an answer may echo it: masked, and cut to `MAX_MESSAGE_CHARS`."""
    text = mask(text[: 2 * MAX_MESSAGE_CHARS])
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field.

    `path` is a JSONPath into the body (`$.to[3].token`), or `query.pageSize` for a query parameter.
    `message` says what is wrong and how to mend it.
    """

    path: str
    message: str
    code: int = INVALID_VALUE


class ProblemError(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of a problem's `errors`. `message` and `detail` are the same text."""

    code: int
    message: str
    detail: str
    context: str | None = None
    pointer: str | None = None


class ProblemBody(msgspec.Struct, frozen=True):
    """An error (RFC 9457). `code` is stable and listed at `more_info`; `errors` has at least one entry."""

    type: str
    title: str
    status: int
    code: int
    detail: str
    message: str
    more_info: str
    errors: list[ProblemError]


class Problem(Exception):
    """{status} {code} {title}: {detail}

    Raised by handlers and authenticators; becomes the answer. `headers` are added to it.
    """

    def __init__(
        self,
        status: int,
        code: int,
        title: str | None = None,
        detail: str = "",
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.title = title or HTTPStatus(status).phrase
        self.detail = shorten(detail or self.title)
        self.errors = tuple(errors)[:MAX_FIELD_ERRORS]
        self.headers: Mapping[str, str] = dict(headers or {})
        super().__init__(f"{status} {code} {self.title}: {self.detail}")


def pointer(path: str) -> str | None:
    """The JSON pointer of a JSONPath (`$.to[0].token` → `#/to/0/token`), None for what is not in the body."""
    if not path.startswith("$"):
        return None
    steps: list[str] = []
    position = 1
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            break
        name, index, quoted = found.groups()
        steps.append(name or index or json.loads(quoted))
        position = found.end()
    return "#" + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def child(path: str, key: str) -> str:
    """The JSONPath of the member `key` of the object at `path`."""
    return f"{path}.{key}" if re.fullmatch(r"[A-Za-z_][\w]*", key, re.ASCII) else f"{path}[{json.dumps(key)}]"


def problem_body(problem: Problem) -> ProblemBody:
    """The body of `problem` as a struct."""
    errors = [
        ProblemError(
            code=each.code,
            message=shorten(each.message),
            detail=shorten(each.message),
            context=mask(each.path),
            pointer=pointer(mask(each.path)),
        )
        for each in problem.errors
    ] or [ProblemError(code=problem.code, message=problem.detail, detail=problem.detail)]
    link = f"/docs#code-{problem.code}"
    return ProblemBody(
        type=link,
        title=problem.title,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        message=problem.detail,
        more_info=link,
        errors=errors,
    )


def problem_response(problem: Problem) -> Response:
    """`problem` as an HTTP answer."""
    return Response(
        msgspec.json.encode(problem_body(problem)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def invalid(errors: Iterable[FieldError]) -> Problem:
    """A 400 for one or more wrong fields; `code` is the first error's."""
    found = tuple(errors)[:MAX_FIELD_ERRORS]
    first = found[0]
    where = first.path if first.path != "$" else "body"
    detail = f"{where}: {first.message}"
    if len(found) > 1:
        more = f"{len(found)} or more" if len(found) == MAX_FIELD_ERRORS else str(len(found))
        detail = f"{more} problems. The first: {detail}"
    return Problem(400, first.code, "Invalid request", detail, found)


def not_found(what: str, name: str, code: int = NOT_FOUND) -> Problem:
    """A 404 for a resource: `not_found("Credential", id)`."""
    return Problem(404, code, "Not found", f"{what} {shorten(name)!r} does not exist.")
