"""What APNs remembers about one connection: its team, its first key, and the provider tokens it has shown."""

from __future__ import annotations

from .floors import Floor
from .jwt import Verified, verify
from .keys import Key, KeyRing
from .tables import SUFFIXES

_REMEMBERED = 64


class Session:
    """Authentication state of one connection; ``number`` names it in the request log."""

    __slots__ = ("_generation", "_keys", "_passed", "_seen", "floor", "number", "team_id", "topics", "trusted")

    def __init__(self, number: int, keys: KeyRing, floor: Floor) -> None:
        self.number = number
        self.floor = floor
        self.team_id: str | None = None
        self.trusted: Key | None = None
        self.topics: dict[str, frozenset[bytes] | None] = {}
        self._keys = keys
        self._generation = keys.generation
        self._seen: dict[bytes, Verified | None] = {}
        self._passed: set[tuple[bytes | None, ...]] = set()

    def __repr__(self) -> str:
        return f"<Session {self.number} team={self.team_id} keys={len(self.topics)} tokens={len(self._seen)}>"

    def verified(self, token: bytes) -> Verified | None:
        """The token's verdict, worked out once per connection and again whenever a key has changed."""
        self._notice_changed_keys()
        try:
            return self._seen[token]
        except KeyError:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            verdict = self._seen[token] = verify(token, self._keys)
            return verdict

    def has_passed(self, fields: tuple[bytes | None, ...]) -> bool:
        """Whether a push with these header fields was accepted here since a key last changed."""
        self._notice_changed_keys()
        return fields in self._passed

    def passes(self, fields: tuple[bytes | None, ...]) -> None:
        """A push with these header fields was accepted."""
        if fields not in self._passed:
            if len(self._passed) >= _REMEMBERED:
                self._passed.clear()
            self._passed.add(fields)

    def _notice_changed_keys(self) -> None:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._seen.clear()
            self._passed.clear()

    def related(self, key: Key) -> bool:
        """Whether this key may follow the connection's first one (TOK-15, TOK-16)."""
        first = self.trusted
        if first is None or first.key_id == key.key_id:
            return True
        if first.topics is not None:
            return key.topics is not None and first.related_to(key)
        return key.topics is None

    def bind(self, key: Key) -> None:
        """An authenticated request: the first one binds the connection to its team and key (TOK-12, TOK-13)."""
        if self.trusted is None:
            self.trusted = key
            self.team_id = key.team_id
        if key.key_id not in self.topics:
            self.topics[key.key_id] = key.topics

    def covers(self, key: Key, topic: bytes) -> bool:
        """Whether the key covers the topic, by what was on the key when this connection first used it (TOK-14)."""
        topics = self.topics[key.key_id]
        return topics is None or topic in topics or _base(topic) in topics


def _base(topic: bytes) -> bytes:
    for suffix in SUFFIXES:
        if topic.endswith(suffix):
            return topic[: -len(suffix)]
    return topic
