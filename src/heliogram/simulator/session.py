"""What APNs remembers about one connection: its team, its first key, and the provider tokens it has shown."""

from __future__ import annotations

from .jwt import Verified, verify
from .keys import Key, KeyRing
from .tables import SUFFIXES, TOKEN_FLOOR

_REMEMBERED = 64


class TokenFloor:
    """The 20-minute rule (TOK-9) as traced (TOK-10): distinct token strings are counted, valid or not (SUR-7).

    Once it fires, everything on the connection is refused until the oldest of the tokens counted is 20 min old.
    """

    __slots__ = ("_allowed", "_first_shown", "_until")

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._first_shown: dict[bytes, float] = {}
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<TokenFloor shown={len(self._first_shown)} allowed={self._allowed}>"

    def admits(self, token: bytes, now: float) -> bool:
        """Whether this token may be shown now, seconds since the epoch."""
        if now < self._until:
            return False
        if token in self._first_shown:
            return True
        recent = [shown for shown in self._first_shown.values() if now - shown < TOKEN_FLOOR]
        if len(recent) >= self._allowed:
            self._until = min(recent) + TOKEN_FLOOR
            return False
        if len(self._first_shown) >= _REMEMBERED:
            self._first_shown.pop(next(iter(self._first_shown)))
        self._first_shown[token] = now
        return True


class Session:
    """Authentication state of one connection; ``number`` names it in the request log."""

    __slots__ = ("_generation", "_keys", "_passed", "_seen", "floor", "number", "team_id", "topics", "trusted")

    def __init__(self, number: int, keys: KeyRing, token_changes: int) -> None:
        self.number = number
        self.floor = TokenFloor(token_changes)
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
