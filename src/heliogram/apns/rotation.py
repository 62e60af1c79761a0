"""When a client may change its credential: planned, so that APNs does not take it for an attack, or at once."""

from __future__ import annotations

from collections.abc import Callable

from .clock import Clock, Timer
from .identity import Identity

PATIENCE = 20 * 60
"""Seconds after a team's last change of provider token in which a planned rotation waits (TOK-9, TOK-10)."""
LONGEST = 60 * 60
"""Seconds after which a planned rotation happens, however often other clients of the team change meanwhile."""

_INSTANT = 0.001
"""Seconds that are no wait: a timer may fire that much early."""


class Rotation:
    """The changes of credential of one client.

    APNs may count different provider tokens by team, not only by connection (TOK-10). So a rotation
    to another key of a team waits until the team's last change, by whichever client of this process,
    is 20 minutes old. A token that some client presents already is no change, nor is a certificate.
    """

    def __init__(self, current: Identity, clock: Clock, adopt: Callable[[Identity], None]) -> None:
        self._current = current
        self._clock = clock
        self._adopt = adopt
        self._planned: Identity | None = None
        self._latest = 0.0
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Rotation, {self._current!r} now, {self._planned!r} planned>"

    def plan(self, identity: Identity, *, at_once: bool = False) -> float:
        """Change to `identity` as soon as may be, in place of what was planned; the seconds until then.

        They become more when the team's token changes meanwhile. `at_once` when there is nothing that could go on.
        """
        self.cancel()
        wait = 0.0 if at_once else self._wait(identity)
        self._latest = self._clock.monotonic() + LONGEST
        if wait > 0:
            self._planned = identity
            self._timer = self._clock.call_later(wait, self._due)
        else:
            self._become(identity)
        return wait

    def finish(self) -> None:
        """Change to what is planned, if anything, now."""
        identity = self._planned
        self.cancel()
        if identity is not None:
            self._become(identity)

    def cancel(self) -> None:
        """Forget what is planned."""
        self._planned = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        """The wait is over, unless the team's token has changed meanwhile."""
        identity = self._planned
        if identity is None:
            return
        wait = min(self._wait(identity), self._latest - self._clock.monotonic())
        if wait > _INSTANT:
            self._timer = self._clock.call_later(wait, self._due)
        else:
            self.finish()

    def _become(self, identity: Identity) -> None:
        if identity.tokens is not None:
            identity.tokens.announce()  # so that a rotation of another client that is due now sees this one
        self._current = identity
        self._adopt(identity)

    def _wait(self, identity: Identity) -> float:
        new, old = identity.tokens, self._current.tokens
        if new is None or not new.is_news:
            return 0.0
        if old is not None and old.key.team_id == new.key.team_id:
            if new.key.same_tokens(old.key):
                return 0.0
            if old.changed is None and old.is_news:
                return 0.0  # going on with it would be as much of a change
        changed = new.team_changed
        return 0.0 if changed is None else max(0.0, changed + PATIENCE - self._clock.monotonic())
