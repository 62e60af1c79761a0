"""Pages: `pageSize` 1..1000 (default 50) and an opaque `pageToken` (push-api.md 2.4).

A token is base64url of JSON `{"c": cursor, "q": filters}`. It repeats the filters of the query it came from, so a
client may send the token alone; a filter that says something else than the token is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from .problem import FieldError, invalid

MAX_TOKEN_CHARS = 8192
"""Enough for the longest filters: ten tags of 385 characters make 5,200 of base64."""


class PageQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """Paging parameters; lists add their filters by inheriting."""

    page_size: Annotated[int, msgspec.Meta(ge=1, le=1000, description="How many entries a page holds at most.")] = 50
    page_token: Annotated[
        str | None, msgspec.Meta(description="`pagination.next` or `pagination.self` of an earlier answer.")
    ] = None


class Pagination(msgspec.Struct, frozen=True):
    """`next` is null on the last page; `self` repeats this page."""

    next: str | None
    self: str


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    c: Any
    q: dict[str, Any] = {}


Q = TypeVar("Q", bound=PageQuery)


def resume(query: Q) -> tuple[Q, Any]:
    """`query` completed from its page token, and the cursor to go on from (None: the start).

    Raises `Problem` 400 for a token that is not ours or contradicts the filters beside it.
    """
    if query.page_token is None:
        return query, None
    token = _decode(query.page_token)
    given = _filters(query)
    for name, value in given.items():
        if token.q.get(name, value) != value or name not in token.q:
            raise invalid(
                [FieldError(f"query.{name}", "This filter differs from the one the pageToken was made with.")]
            )
    try:
        full = msgspec.convert({**token.q, "pageSize": query.page_size}, type(query))
    except msgspec.ValidationError:
        raise invalid([_bad_token()]) from None
    return full, token.c


def page(items: Sequence[Any], key: str, *, query: PageQuery, cursor: Any, next_cursor: Any) -> dict[str, Any]:
    """The body of a list: `{key: items, "pagination": {"next", "self"}}`.

    `cursor` is where this page began and `next_cursor` where the next begins (None: this is the last); both are
    plain JSON values. `query` is the completed one `resume` returned.
    """
    filters = _filters(query)
    following = None if next_cursor is None else _encode(next_cursor, filters)
    return {key: items, "pagination": Pagination(next=following, self=_encode(cursor, filters))}


def _filters(query: PageQuery) -> dict[str, Any]:
    values = msgspec.to_builtins(query)
    return {name: value for name, value in values.items() if name not in ("pageSize", "pageToken")}


def _encode(cursor: Any, filters: dict[str, Any]) -> str:
    raw = msgspec.json.encode(_Token(c=cursor, q=filters))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> _Token:
    if len(text) > MAX_TOKEN_CHARS:
        raise invalid([_bad_token()])
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=_Token)
    except (binascii.Error, UnicodeError, msgspec.MsgspecError, RecursionError):
        raise invalid([_bad_token()]) from None


def _bad_token() -> FieldError:
    return FieldError("query.pageToken", "Not a page token of this list. Give `pagination.next` of an earlier answer.")
