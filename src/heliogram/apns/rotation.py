"""When a client may change its credential: planned, so that APNs does not take it for an attack, or at once."""

from __future__ import annotations

from collections.abc import Callable

from .clock import Clock, Timer
from .identity import Identity

PATIENCE = 20 * 60
"""Seconds after a team's last change of provider token in which a planned rotation waits (TOK-9, TOK-10)."""


class Rotation:
    """The changes of credential of one client.

    APNs may count different provider tokens by team, not only by connection (TOK-10). So a rotation
    to another key of a team waits until the team's last change is 20 minutes old. What has never
    been presented does not count, nor does a certificate.
    """

    def __init__(self, current: Identity, clock: Clock, adopt: Callable[[Identity], None]) -> None:
        self._current = current
        self._clock = clock
        self._adopt = adopt
        self._changes: dict[str, float] = {}  # when each team's token changed last, monotonic
        self._planned: Identity | None = None
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<Rotation, {self._current!r} now, {self._planned!r} planned>"

    def plan(self, identity: Identity, *, at_once: bool = False) -> float:
        """Change to `identity` as soon as may be, in place of what was planned; the seconds until then.

        `at_once` when there is nothing that could go on meanwhile.
        """
        self.cancel()
        wait = 0.0 if at_once else self._wait(identity)
        if wait > 0:
            self._planned = identity
            self._timer = self._clock.call_later(wait, self.finish)
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

    def _become(self, identity: Identity) -> None:
        self._note()
        self._current = identity
        self._adopt(identity)

    def _note(self) -> None:
        """Remember when the present credential's team last changed its token."""
        tokens = self._current.tokens
        if tokens is not None and tokens.changed is not None:
            self._changes[tokens.key.team_id] = tokens.changed
        past = self._clock.monotonic() - PATIENCE
        self._changes = {team: changed for team, changed in self._changes.items() if changed > past}

    def _wait(self, identity: Identity) -> float:
        self._note()
        new, old = identity.tokens, self._current.tokens
        if new is None or (old is not None and new.key.same_tokens(old.key)):
            return 0.0
        changed = self._changes.get(new.key.team_id)
        return 0.0 if changed is None else max(0.0, changed + PATIENCE - self._clock.monotonic())
