"""Which provider token a connection presents, and when it may change it (TOK-8 to TOK-10).

Time is cut into slots of 30 minutes. A token's `iat` is the start of its slot, and signing is
deterministic, so all connections of all processes present the same bytes without talking to each
other. A slot is entered two minutes late, so that a clock two minutes fast is still not ahead of APNs.
"""

from __future__ import annotations

from collections.abc import Callable

from .clock import Clock
from .keys import SigningKey
from .ledger import ledger_of

SLOT = 1800
"""Seconds in a slot."""
LATENESS = 120
"""Seconds after its start at which a slot is entered."""
FLOOR = 21 * 60
"""Seconds a connection keeps its token at least: APNs' floor is 20 minutes (TOK-9)."""
MAX_AGE = 55 * 60
"""Seconds of age at which a token is not presented any more: APNs refuses at 60 minutes (TOK-8)."""


def slot_start(now: float) -> int:
    """The `iat` of the slot that is current at `now`, in epoch seconds."""
    return int((now - LATENESS) // SLOT) * SLOT


class TokenSource:
    """The provider tokens of one signing key by one clock."""

    def __init__(self, key: SigningKey, clock: Clock) -> None:
        self.key = key
        self.changed: float | None = None
        """When a connection last took a token that none had before, in monotonic seconds; None: there was none."""
        self.on_change: Callable[[int], None] | None = None
        """Called with the `iat` of each token that no connection had before."""
        self._newest: int | None = None
        self._clock = clock
        self._ledger = ledger_of(clock)

    def __repr__(self) -> str:
        return f"<TokenSource {self.key!r}>"

    def connect(self) -> ConnectionToken:
        """The token of a connection that is being opened."""
        return ConnectionToken(self, self._clock)

    def token(self, issued_at: int) -> bytes:
        """The provider token with this `iat`, which a connection is going to present."""
        if issued_at != self._newest:
            self._newest = issued_at
            self.changed = self._clock.monotonic()
            if self.on_change is not None:
                self.on_change(issued_at)
        token = self.key.provider_token(issued_at)
        self._ledger.present(self.key.team_id, token, self._clock.monotonic())
        return token

    def announce(self) -> None:
        """Count the present slot's token as presented: connections are about to."""
        token = self.key.provider_token(slot_start(self._clock.time()))
        self._ledger.present(self.key.team_id, token, self._clock.monotonic())

    @property
    def is_news(self) -> bool:
        """Whether the present slot's token would be one that no connection of this process has presented."""
        return not self._ledger.knows(self.key.provider_token(slot_start(self._clock.time())))

    @property
    def team_changed(self) -> float | None:
        """When any connection of this process last changed the team's token, in monotonic seconds."""
        return self._ledger.changed(self.key.team_id)


class ConnectionToken:
    """The provider token of one connection: changes at the next slot, but never within the floor."""

    def __init__(self, source: TokenSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._adopt(slot_start(clock.time()))

    def __repr__(self) -> str:
        return f"<ConnectionToken iat {self.issued_at}>"

    @property
    def age(self) -> float:
        """Seconds since the token's `iat`."""
        return self._clock.time() - self.issued_at

    @property
    def usable(self) -> bool:
        """False when the token is too old to be presented and too young on this connection to be changed, or from a
        time that is yet to come.

        It takes a clock that was set to come to this; only a new connection helps.
        """
        return 0 <= self.age < MAX_AGE

    def refresh(self) -> bool:
        """Move to the current slot if the floor allows it; True when the token changed."""
        current = slot_start(self._clock.time())
        if current == self.issued_at or self._clock.monotonic() - self._changed < FLOOR:
            return False
        self._adopt(current)
        return True

    def _adopt(self, issued_at: int) -> None:
        self.issued_at = issued_at
        self.value = self._source.token(issued_at)
        self._changed = self._clock.monotonic()
