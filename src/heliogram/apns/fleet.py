"""The connections of a pool: those that take pushes, and those that only finish what is open."""

from __future__ import annotations

from .causes import Cause
from .connection import Connection
from .link import Link


class Fleet:
    """`live` has the connections that take pushes, oldest first, `leaving` those that open no more streams."""

    __slots__ = ("leaving", "live")

    def __init__(self) -> None:
        self.live: list[Connection] = []
        self.leaving: set[Link] = set()

    def __repr__(self) -> str:
        return f"<Fleet of {len(self.live)} connections, {len(self.leaving)} leaving>"

    @property
    def inflight(self) -> int:
        """Pushes written and not answered."""
        return sum(one.inflight for one in self.every())

    def every(self) -> tuple[Link, ...]:
        """All that are open, as they are now: they may leave while one goes through them."""
        return (*self.live, *self.leaving)

    def by_load(self) -> list[Connection]:
        """Those that take pushes, the least busy first."""
        return sorted(self.live, key=_load) if len(self.live) > 1 else self.live[:]

    def retire(self, connection: Link) -> bool:
        """It takes no more pushes; False if it took none before."""
        if not isinstance(connection, Connection) or connection not in self.live:
            return False
        self.live.remove(connection)
        self.leaving.add(connection)
        return True

    def dismiss(self, cause: Cause) -> None:
        """Close all; what is open ends as unknown."""
        for one in self.every():
            if one.inflight:
                one.abandon(cause.text)
            one.leave(cause)

    def cut(self, cause: Cause) -> None:
        """Close all at once, without a word to the peer; what is open ends as unknown."""
        for one in self.every():
            one.abandon(cause.text)
            one.abort(cause)


def _load(connection: Connection) -> int:
    return connection.inflight
