"""Who shares one memory of provider tokens: the 20-minute rule in each of its readings (TOK-9, TOK-10)."""

from __future__ import annotations

from .jwt import claimed
from .tables import TOKEN_FLOOR, TokenFloorScope

_REMEMBERED = 64
_MOST = 10_000
_BEARER = len(b"bearer ")


class TokenFloor:
    """The rule as traced (TOK-10): distinct token strings are counted, valid or not (SUR-7).

    Once it fires, everything that shares this memory is refused until the oldest of the tokens counted is 20 min old.
    """

    __slots__ = ("_allowed", "_first_shown", "_until")

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._first_shown: dict[bytes, float] = {}
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<TokenFloor shown={len(self._first_shown)} allowed={self._allowed}>"

    def admits(self, authorization: bytes, now: float) -> bool:
        """Whether this token may be shown now, seconds since the epoch."""
        if now < self._until:
            if self._until - now <= TOKEN_FLOOR:
                return False
            self.clear()  # the clock has been put back
        if authorization in self._first_shown:
            return True
        recent = [shown for shown in self._first_shown.values() if 0 <= now - shown < TOKEN_FLOOR]
        if len(recent) >= self._allowed:
            self._until = min(recent) + TOKEN_FLOOR
            return False
        if len(self._first_shown) >= _REMEMBERED:
            self._first_shown.pop(next(iter(self._first_shown)))
        self._first_shown[authorization] = now
        return True

    def clear(self) -> None:
        """Forget every token shown."""
        self._first_shown.clear()
        self._until = 0.0


class NoFloor:
    """The rule switched off."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<NoFloor>"

    def admits(self, authorization: bytes, now: float) -> bool:
        """Always."""
        return True


class SharedFloor:
    """One connection's view of memories that it shares: by what its tokens claim, before anything is verified."""

    __slots__ = ("_known", "_shared", "_source")

    def __init__(self, shared: Floors, source: str) -> None:
        self._shared = shared
        self._source = source
        self._known: dict[bytes, TokenFloor] = {}

    def __repr__(self) -> str:
        return f"<SharedFloor source={self._source} tokens={len(self._known)}>"

    def admits(self, authorization: bytes, now: float) -> bool:
        """Whether this token may be shown now, seconds since the epoch."""
        floor = self._known.get(authorization)
        if floor is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            floor = self._known[authorization] = self._shared.of(authorization, self._source)
        return floor.admits(authorization, now)


Floor = TokenFloor | SharedFloor | NoFloor


class Floors:
    """The memories behind all connections.

    ``connection``: each has its own, as documented. ``key``: connections of one source address share one for each team
    and key id, as one report suggests. ``team``: all connections of a team share one. ``off``: there is none.
    """

    def __init__(self, scope: TokenFloorScope, allowed: int) -> None:
        self.scope = scope
        self._allowed = allowed
        self._shared: dict[tuple[str, ...], TokenFloor] = {}

    def __repr__(self) -> str:
        return f"<Floors {self.scope} shared={len(self._shared)}>"

    def open(self, source: str) -> Floor:
        """The rule for a new connection from this address."""
        if self.scope == "connection":
            return TokenFloor(self._allowed)
        return NoFloor() if self.scope == "off" else SharedFloor(self, source)

    def of(self, authorization: bytes, source: str) -> TokenFloor:
        """The memory that a token belongs to. What is no token claims no team and no key."""
        team_id, key_id = claimed(authorization[_BEARER:])
        whose = (team_id,) if self.scope == "team" else (team_id, key_id, source)
        floor = self._shared.get(whose)
        if floor is None:
            if len(self._shared) >= _MOST:
                self._shared.pop(next(iter(self._shared)))
            floor = self._shared[whose] = TokenFloor(self._allowed)
        return floor

    def clear(self) -> None:
        """Forget every token shown in the memories that connections share."""
        for floor in self._shared.values():
            floor.clear()
