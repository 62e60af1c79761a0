"""What fails of one credential, and since when; when it is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..domain.apps import Credential
from .refusal import Refusal

if TYPE_CHECKING:
    from .breaker import Gate

LATE_MS = 5_000
"""Whoever was to try a credential, and has not begun so long after its time, is taken to have ended."""


class Breaker(msgspec.Struct, kw_only=True, eq=False):
    """`awaited`: who will come to try at `probe_at`. `called`: when somebody else was asked to, for they did
    not (ms)."""

    reason: str
    since: int
    probe_at: int
    ladder: tuple[int, ...]
    step: int = 0
    probing: bool = False
    awaited: bytes | None = None
    called: int = 0

    def is_late(self, now: int) -> bool:
        """Whether nobody tries it, though it is time; says so again after as long as one waits for the next try."""
        again = self.called + self.ladder[self.step] if self.called > self.probe_at else 0
        return not self.probing and now >= max(self.probe_at + LATE_MS, again)

    def is_due(self, now: int) -> bool:
        """Whether it may be tried: its time has come, or the clock was set back to before it failed."""
        return not self.probe_at - self.ladder[self.step] <= now < self.probe_at

    def failed(self, reason: str, now: int) -> None:
        """It was tried in vain."""
        self.step = min(self.step + 1, len(self.ladder) - 1)
        self.reason, self.probing = reason, False
        self.probe_at = now + self.ladder[self.step]


class Known(msgspec.Struct):
    """The breakers of one credential by topic, who sends with it just now, and the credential as it was refused."""

    open: dict[str, Breaker]
    gates: set[Gate]
    credential: Credential | None = None

    def halt(self) -> None:
        """Lets nothing more leave that would fail."""
        for gate in list(self.gates):
            if gate.is_shut:
                gate.halt()

    def refusal(self, account: bytes, credential_id: bytes, place: str) -> Refusal:
        """What to tell of one breaker."""
        breaker = self.open[place]
        return Refusal(
            account=account,
            credential_id=credential_id,
            place=place,
            reason=breaker.reason,
            since=breaker.since,
            probe_at=breaker.probe_at,
            step=breaker.step,
            credential=self.credential,
        )
