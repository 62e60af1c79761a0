"""What a session is asked to send and what it reports. All header names and values are bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Struct

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


Packs: TypeAlias = dict[int, Callable[..., bytes]]
Mold: TypeAlias = tuple[int, bytes, int, bytes, bytes, bytes, Packs]
"""How the frames of requests with one head look, if only path, the value of one field, and body differ: the path's
length, the field's name and its value's length; the start of the HEADERS frame, what precedes the path, what stands
between path and value; for each length of a body the function that packs both frames."""
NO_MOLD: Mold = (-1, b"", -1, b"", b"", b"", {})


class Head:
    """Header pairs that many requests share; made by `ClientSession.head()` and good for that session alone."""

    __slots__ = ("after", "before", "method", "mold", "owner", "pairs", "room", "sensitive", "size", "stamp")

    def __init__(self, owner: object, method: bytes, pairs: Headers, sensitive: Headers) -> None:
        self.owner = owner
        self.method = method
        self.pairs = pairs
        self.sensitive = sensitive
        self.size = sum(len(name) + len(value) + 32 for name, value in pairs + sensitive)
        # The encoded halves around `:path`, true for as long as the encoder's stamp is the one kept here.
        self.before = b""
        self.after = b""
        self.room = 0
        self.stamp: object = None
        self.mold = NO_MOLD

    def __repr__(self) -> str:
        return f"<Head {self.method.decode('ascii', 'replace')} {len(self.pairs)}+{len(self.sensitive)} pairs>"


class Request(Struct, frozen=True, gc=False):
    """One request to open.

    `path` is a literal that enters no table. `fields` are this request's own pairs: values are literals without
    indexing, a name that recurs becomes a reference (`apns-id`, `apns-expiration`, `apns-collapse-id`, CONN-29).
    Put `apns-id` first: an answer that echoes it then comes back with `headers=None`. Names are lower case; values
    hold no CR, LF or NUL. An empty `body` ends the request with its headers. `tag` returns in the ending event.
    """

    head: Head
    path: bytes
    fields: Headers
    body: bytes
    tag: Any


class Answered(Struct, frozen=True, gc=False):
    """The answer is complete.

    `headers` is None when the answer was `:status 200` with nothing but the `apns-id` the request had as its first
    field; else all pairs but `:status`. `body` is cut at the session's `max_body`.
    """

    tag: Any
    status: int
    headers: Headers | None
    body: bytes


class Reset(Struct, frozen=True, gc=False):
    """The stream ended by RST_STREAM, the peer's or ours for a malformed answer; it may have been processed."""

    tag: Any
    code: int


class Unprocessed(Struct, frozen=True, gc=False):
    """The peer says it did not process this request (RFC 9113 §8.7): it is safe to send it again.

    `cause` is "REFUSED_STREAM" or "GOAWAY", `code` the error code that came with it.
    """

    tag: Any
    cause: str
    code: int


class GoAway(Struct, frozen=True, gc=False):
    """One GOAWAY frame (RFC 9113 §6.8); the `Unprocessed` events it causes follow it."""

    last_stream_id: int
    code: int
    debug: bytes


class SettingsChanged(Struct, frozen=True, gc=False):
    """The peer's MAX_CONCURRENT_STREAMS has a new value; 2**31-1 stands for no limit."""

    stream_limit: int


class Pong(Struct, frozen=True, gc=False):
    """The peer acknowledged our PING (RFC 9113 §6.7)."""

    data: bytes


class Received(Struct, frozen=True, gc=False):
    """A complete request. `body` is cut at the session's `max_body`; `size` is its full length in bytes."""

    stream_id: int
    headers: Headers
    body: bytes
    size: int


class StreamReset(Struct, frozen=True, gc=False):
    """The client reset this stream."""

    stream_id: int
    code: int


class Pinged(Struct, frozen=True, gc=False):
    """The client sent a PING; the acknowledgement is already queued."""

    data: bytes


class ClientGone(Struct, frozen=True, gc=False):
    """The client sent GOAWAY."""

    last_stream_id: int
    code: int
    debug: bytes


Event: TypeAlias = Answered | Reset | Unprocessed | GoAway | SettingsChanged | Pong
ServerEvent: TypeAlias = Received | StreamReset | Pinged | Pong | ClientGone
