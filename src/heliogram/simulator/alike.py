"""A push like the last one on its connection that had no fault, or only its device token: what is not judged again.

Pushes of one campaign differ in device token, id, body and its length alone. Where all the rest is what has just passed
every rule but those on device tokens, the rules are not asked one by one. A token that was never issued is refused
here too; whatever else is unusual goes the long way (`rules.judge`), which gives the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from .floors import NoFloor, TokenFloor
from .rules import DEVICE_PATH, Push, is_apns_id
from .tables import PAYLOAD_LIMIT, TOKEN_LIFE

if TYPE_CHECKING:
    from .device import DeviceToken

_FREE = (b":path", b"apns-id", b"content-length")
_PREFIX = len(DEVICE_PATH)


class Alike:
    """The push that was judged, as far as others are to be like it."""

    __slots__ = (
        "_count",
        "_environment",
        "_from",
        "_generation",
        "_id_at",
        "_keys",
        "_length_at",
        "_parts",
        "_path_at",
        "_tokens",
        "_until",
        "collapse_id",
        "expiration",
        "priority",
        "push_type",
        "topic",
    )

    def __init__(self, push: Push) -> None:
        names = [name for name, _ in push.headers]
        free = sorted(names.index(name) for name in _FREE if name in names)
        edges = [-1, *free, len(names)]
        spans = [slice(start + 1, end) for start, end in pairwise(edges) if end > start + 1]
        self._parts = tuple((span, tuple(push.headers[span])) for span in spans)
        self._count = len(names)
        self._path_at = names.index(b":path")
        self._id_at = names.index(b"apns-id") if b"apns-id" in names else -1
        self._length_at = names.index(b"content-length") if b"content-length" in names else -1
        self._environment = push.environment
        self._tokens = push.registry.tokens
        self._keys = push.session.keys
        self._generation = self._keys.generation
        self._from = push.now
        self._until = push.verified.issued_at + TOKEN_LIFE
        self.topic = push.topic
        self.push_type = push.push_type
        self.priority = push.fields.get(b"apns-priority")
        self.collapse_id = push.fields.get(b"apns-collapse-id")
        self.expiration = push.fields.get(b"apns-expiration")

    def __repr__(self) -> str:
        return f"<Alike topic={self.topic!r} fields={self._count}>"

    @classmethod
    def of(cls, push: Push) -> Alike | None:
        """The pattern of a push that was accepted, or whose device token alone was refused; None where others might be
        judged by more than it holds.
        """
        session, settings = push.session, push.settings
        plain = (
            session.client is None
            and type(session.floor) in (TokenFloor, NoFloor)  # else other connections have a say (TOK-10)
            and settings.token_rate is None
            and not settings.strict_json
        )
        return cls(push) if plain else None

    def find(
        self, headers: Sequence[tuple[bytes, bytes]], body: bytes, size: int, now: float
    ) -> tuple[bytes, bytes | None, DeviceToken | None] | None:
        """Path, apns-id and token of a push that is accepted because it is alike, or, with no token, refused because
        its token was never issued; None: judge it.
        """
        if (
            len(headers) != self._count
            or not self._from <= now <= self._until
            or self._generation != self._keys.generation
            or not 0 < size <= PAYLOAD_LIMIT
            or b'"simulator"' in body
        ):
            return None
        for span, expected in self._parts:
            if headers[span] != expected:
                return None
        name, path = headers[self._path_at]
        if name != b":path":
            return None
        if not path.startswith(DEVICE_PATH):
            return None
        token = path[_PREFIX:]
        record = self._tokens.get(token)
        if record is None:
            if not token or b"/" in token or token.lower() in self._tokens:  # upper-case digits are the same (REQ-6)
                return None
        elif record.state != "active" or record.topic != self.topic or record.environment != self._environment:
            return None
        given: bytes | None = None
        if self._id_at >= 0:
            name, given = headers[self._id_at]
            if name != b"apns-id" or not is_apns_id(given):
                return None
        if self._length_at >= 0 and headers[self._length_at][0] != b"content-length":
            return None
        return path, given, record
