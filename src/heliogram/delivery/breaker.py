"""A breaker for each credential: while the provider refuses it, its pushes wait, and one at a time is tried.

What is refused is told apart: the credential as a whole, or one topic of it (`TopicDisallowed`). Nothing here sleeps
or sends: deliveries ask before they send and say what came of it.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence

import msgspec

from ..domain.apps import Credential
from ..ports import Failing
from .policy import PROBE_LADDER

WHOLE = ""

Alarm = Callable[[Credential, str], object]
"""Hears that a credential is refused, and with which reason."""


class Pass(enum.Enum):
    """What a delivery may do with a credential."""

    SEND = enum.auto()
    PROBE = enum.auto()
    """Send one push, and see."""
    WAIT = enum.auto()


class _Breaker(msgspec.Struct, kw_only=True, eq=False):
    reason: str
    since: int
    probe_at: int
    step: int = 0
    probing: bool = False


class _Known(msgspec.Struct):
    """The breakers of one credential by topic, who sends with it just now, and the credential as it was refused."""

    open: dict[str, _Breaker]
    gates: set[Gate]
    credential: Credential | None = None


class Breakers:
    """All breakers of this process. `ladder` is when a failing credential is tried again, in ms."""

    def __init__(self, ladder: Sequence[int] = PROBE_LADDER, *, alarm: Alarm | None = None) -> None:
        self.ladder = tuple(ladder)
        self.alarm = alarm
        self._known: dict[tuple[bytes, bytes], _Known] = {}

    def __repr__(self) -> str:
        return f"Breakers(open={sum(bool(known.open) for known in self._known.values())}, known={len(self._known)})"

    def failing(self, account: bytes, credential_id: bytes) -> Failing | None:
        """`ports.Health`: what is wrong with a credential, the whole of it before a topic."""
        known = self._known.get((account, credential_id))
        if known is None or not known.open:
            return None
        worst = known.open.get(WHOLE) or min(known.open.values(), key=lambda each: each.since)
        return Failing(reason=worst.reason, since=worst.since, probe_at=worst.probe_at)

    def open(self) -> list[tuple[bytes, bytes, Credential | None]]:
        """Account and id of the credentials that fail, and each as it was when it was refused."""
        return [(*place, known.credential) for place, known in self._known.items() if known.open]

    def reset(self, account: bytes, credential_id: bytes) -> None:
        """It was rotated, reconnected, replaced or ended: what was said of it says nothing any more."""
        known = self._known.get((account, credential_id))
        if known is not None:
            known.open.clear()
            known.credential = None
            self.forget(account, credential_id)

    def gate(self, account: bytes, credential_id: bytes, topic: str | None) -> Gate:
        """The way through for one sending, to be closed by whoever asked. `topic` is what a refusal of the topic would
        be about; None when that would be the caller's mistake, not the credential's."""
        known = self._known.setdefault((account, credential_id), _Known({}, set()))
        gate = Gate(self, known, account, credential_id, topic)
        known.gates.add(gate)
        return gate

    def forget(self, account: bytes, credential_id: bytes) -> None:
        """Keeps nothing of a credential that does not fail and that nobody sends with."""
        known = self._known.get((account, credential_id))
        if known is not None and not known.open and not known.gates:
            del self._known[account, credential_id]


class Gate:
    """One sending with one credential. `stop` is done as soon as nothing more may leave with it."""

    def __init__(self, owner: Breakers, known: _Known, account: bytes, credential_id: bytes, topic: str | None) -> None:
        self._owner, self._known = owner, known
        self._account, self._id, self._topic = account, credential_id, topic
        self._probed: list[_Breaker] = []
        self._sent = False
        self.mended = False
        """Whether the credential failed and works again: what waits for it may go."""
        self.is_probe = False
        """Whether it was this one's task to try: it does so again."""
        self.stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"Gate(topic={self._topic!r}, closed={len(self._closed())}, probing={len(self._probed)})"

    def _closed(self) -> list[_Breaker]:
        topics = (WHOLE,) if self._topic is None else (WHOLE, self._topic)
        return [self._known.open[topic] for topic in topics if topic in self._known.open]

    # ---- before sending

    def ask(self, now: int) -> Pass:
        """What may be sent now (ms). After `PROBE` one push may go, and it is this gate's to say what came of it."""
        closed = self._closed()
        if not closed:
            return Pass.SEND
        if any(each.probing or each.probe_at > now for each in closed):
            return Pass.WAIT
        for each in closed:
            each.probing = True
        self._probed, self.is_probe = closed, True
        return Pass.PROBE

    @property
    def reason(self) -> str:
        """Why pushes wait."""
        closed = self._closed()
        return closed[0].reason if closed else ""

    @property
    def is_shut(self) -> bool:
        """Whether the credential fails for what is sent here."""
        return bool(self._closed())

    def due(self, now: int) -> int:
        """When to ask again (ms): whoever tries comes at the next probe, all others are told when it works."""
        if self.is_probe:
            return max(now, max((each.probe_at for each in self._closed()), default=now))
        return now + self._owner.ladder[-1]

    # ---- what came of it

    def halt(self) -> None:
        """Lets nothing more leave."""
        if not self.stop.done():
            self.stop.set_result(None)

    def refused(self, credential: Credential | None, reason: str, now: int, *, topic: bool = False) -> None:
        """The provider refused the credential, or the topic for it (then the credential itself is good)."""
        self._sent = True
        place = self._topic if topic and self._topic is not None else WHOLE
        known = self._known.open.get(place)
        if place != WHOLE:
            self._mend(WHOLE)
        if known is None:
            wait = self._owner.ladder[0]
            self._known.open[place] = _Breaker(reason=reason, since=now, probe_at=now + wait)
            self.is_probe = True
            self._known.credential = credential
            self._raise_alarm(credential, reason)
        elif known in self._probed:
            self._probed.remove(known)
            known.step = min(known.step + 1, len(self._owner.ladder) - 1)
            known.reason, known.probing = reason, False
            known.probe_at = now + self._owner.ladder[known.step]
            self._raise_alarm(credential, reason)
        for gate in list(self._known.gates):
            if gate.is_shut:
                gate.halt()

    def heard(self, *, works: bool) -> None:
        """The provider answered. `works`: it took the credential, for the topic, too."""
        self._sent = True
        if works and self._probed:
            for place in (WHOLE, self._topic):
                if place is not None:
                    self._mend(place)

    def _mend(self, place: str) -> None:
        """Only the one that tries opens the way: what others hear may be of before."""
        breaker = self._known.open.get(place)
        if breaker is not None and breaker in self._probed:
            self._probed.remove(breaker)
            del self._known.open[place]
            self.mended = True

    def close(self, now: int) -> None:
        """The sending is over."""
        for breaker in self._probed:
            breaker.probing = False
            if self._sent:
                breaker.probe_at = now + self._owner.ladder[breaker.step]
        self._probed = []
        self._known.gates.discard(self)
        self._owner.forget(self._account, self._id)

    def _raise_alarm(self, credential: Credential | None, reason: str) -> None:
        if credential is not None and self._owner.alarm is not None:
            self._owner.alarm(credential, reason)
