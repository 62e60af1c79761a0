"""The shapes that many answers share: pointers, times, ids, pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec

from ..domain import ids
from ..domain.accounts import LAST_MOMENT, Principal
from ..domain.errors import Code
from ..ports import Listed, Window
from ..rest import Call, FieldError, PageQuery, Result, invalid, not_found, page, resume
from .state import ApiState

ROOT = "/PushNotifications"
MAX_CURSOR = 256
NO_NUL = r"^[^\x00]*$"
"""What text is made of that is stored as it is: PostgreSQL takes everything but this."""

T = TypeVar("T")


class OperationAccepted(msgspec.Struct, frozen=True, rename="camel"):
    """A send was accepted and is durable. The same two values stand in the headers Operation-Id and
    Operation-Location."""

    operation_id: str
    operation_location: str


class ResourceAccepted(msgspec.Struct, frozen=True, rename="camel"):
    """A write was done; where its resource is."""

    resource_id: str
    resource_location: str


def account_of(call: Call[ApiState]) -> bytes:
    """The caller's account."""
    principal: Principal = call.auth
    return principal.account_id


def locate(call: Call[ApiState], *segments: str, root: str = ROOT) -> str:
    """The absolute address of something below `/PushNotifications` or another root, in the version the caller uses."""
    base = call.state.settings.public_url or call.request.base
    return base.rstrip("/") + call.prefix + "/".join((root, *segments))


def operation_accepted(call: Call[ApiState], operation_id: bytes) -> Result:
    """202 for a send: the pointer in the body and, the same, in the headers."""
    ident = ids.encode(ids.OPERATION, operation_id)
    location = locate(call, "Operations", ident)
    headers = {"Location": location, "Operation-Id": ident, "Operation-Location": location}
    return Result(OperationAccepted(ident, location), headers=headers)


def resource_accepted(call: Call[ApiState], collection: str, ident: str) -> Result:
    """202 for any other write."""
    location = locate(call, collection, ident)
    return Result(ResourceAccepted(ident, location), headers={"Location": location})


def moment(ms: int) -> str:
    """ISO 8601 in UTC, to the second: `2025-05-30T17:24:46Z`. What callers set later than the end of the year 9999, as
    `apns-expiration` may be, is shown as that end."""
    return datetime.fromtimestamp(min(ms, LAST_MOMENT) // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_moment(ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return f"{moment(ms)[:-1]}.{ms % 1000:03d}Z"


def path_id(call: Call[ApiState], parameter: str, prefix: str, what: str) -> bytes:
    """The id in the path. Raises a 404 for a text that cannot be one: there is no such resource."""
    text = call.path[parameter]
    try:
        return ids.decode(prefix, text)
    except ids.InvalidId:
        raise not_found(what, text) from None


def query_id(text: str | None, parameter: str, prefix: str) -> bytes | None:
    """The id in a filter. Raises a 400 for a text that cannot be one."""
    if text is None:
        return None
    try:
        return ids.decode(prefix, text)
    except ids.InvalidId as error:
        raise invalid([FieldError(f"query.{parameter}", f"Not an id: {error}.", Code.INVALID_VALUE)]) from None


class DatedQuery(PageQuery, kw_only=True):
    """Paging and the two date filters."""

    start_date: Annotated[
        str | None, msgspec.Meta(description="Made at or after this date or date-time (ISO 8601, UTC by default).")
    ] = None
    end_date: Annotated[
        str | None, msgspec.Meta(description="Made before this date-time, or up to the end of this date.")
    ] = None


Q = TypeVar("Q", bound=PageQuery)


def window_of(query: Q) -> tuple[Q, Any, Window]:
    """The query completed from its page token, the token's cursor, and the window for the store."""
    full, cursor = resume(query)
    start = end = None
    if isinstance(full, DatedQuery):
        start = _date(full.start_date, "startDate", end=False)
        end = _date(full.end_date, "endDate", end=True)
        if start is not None and end is not None and start >= end:
            raise invalid([FieldError("query.endDate", "endDate must be later than startDate.", Code.INVALID_VALUE)])
    return full, cursor, Window(limit=full.page_size, after=_cursor(cursor), start=start, end=end)


def listing(key: str, items: Sequence[Any], listed: Listed[T], query: PageQuery, cursor: Any) -> dict[str, Any]:
    """The body of a list."""
    following = None if listed.next is None else base64.urlsafe_b64encode(listed.next).decode()
    return page(items, key, query=query, cursor=cursor, next_cursor=following)


def _cursor(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        if isinstance(value, str) and len(value) <= MAX_CURSOR:
            return base64.b64decode(value.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        pass
    raise invalid([FieldError("query.pageToken", "Not a page token of this list.", Code.INVALID_VALUE)])


def _date(text: str | None, parameter: str, *, end: bool) -> int | None:
    if text is None:
        return None
    try:
        # An unescaped '+' of an offset arrives as a space.
        parsed = datetime.fromisoformat(text.replace(" ", "+"))
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        if end and len(text) == len("2025-05-30"):
            parsed += timedelta(days=1)
        return max(0, int(parsed.timestamp() * 1000))
    except (ValueError, OverflowError):
        message = "Expected a date or date-time such as 2025-05-30 or 2025-05-30T17:24:46Z."
        raise invalid([FieldError(f"query.{parameter}", message, Code.INVALID_VALUE)]) from None
