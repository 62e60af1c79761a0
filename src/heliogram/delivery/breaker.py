"""A breaker for each credential: while the provider refuses it, its pushes wait, and one at a time is tried.

What is refused is told apart: the credential as a whole, or one topic of it (`TopicDisallowed`). And while the provider
cannot be reached with it, everything waits as well: an outage must cost neither the processor nor the disk. Nothing
here sleeps or sends: deliveries ask before they send and say what came of it.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence

import structlog

from ..domain import ids
from ..domain.apps import Credential
from ..ports import Failing
from .fault import Breaker, Known
from .policy import PROBE_LADDER, REACH_LADDER
from .refusal import REACH, WHOLE, Refusal

log = structlog.get_logger(__name__)

UNREACHABLE = "Unreachable"
CANNOT_REACH = f"{UNREACHABLE}: the provider cannot be reached"
"""Why everything waits then. One text, whatever the cause of each attempt: a record of it is written but once."""

Alarm = Callable[[Credential, str], object]
"""Hears that a credential is refused, and with which reason."""


Tell = Callable[[Refusal], object]
"""Passes on to the other processes what this one met."""


class Pass(enum.Enum):
    """What a delivery may do with a credential."""

    SEND = enum.auto()
    PROBE = enum.auto()
    """Send one push, and see."""
    WAIT = enum.auto()


class Breakers:
    """All breakers of this process. `ladder` is when a failing credential is tried again, `reach` when a provider that
    cannot be reached is, both in ms. What this process meets it may `tell` to others, which `hear` it: so they all
    wait, and try at the same moments."""

    def __init__(
        self,
        ladder: Sequence[int] = PROBE_LADDER,
        *,
        reach: Sequence[int] = REACH_LADDER,
        alarm: Alarm | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.ladder = tuple(ladder)
        self.reach = tuple(reach)
        self.alarm = alarm
        self.tell = tell
        self._known: dict[tuple[bytes, bytes], Known] = {}

    def __repr__(self) -> str:
        return f"Breakers(open={sum(bool(known.open) for known in self._known.values())}, known={len(self._known)})"

    def failing(self, account: bytes, credential_id: bytes) -> Failing | None:
        """What is wrong with a credential: all of it, else the way to the provider, else a topic."""
        known = self._known.get((account, credential_id))
        if known is None or not known.open:
            return None
        worst = known.open.get(WHOLE) or known.open.get(REACH) or min(known.open.values(), key=lambda each: each.since)
        return Failing(reason=worst.reason, since=worst.since, probe_at=worst.probe_at)

    def troubles(self) -> dict[tuple[bytes, bytes], Failing]:
        """Everything that fails now, by account and credential."""
        found = {place: self.failing(*place) for place in self._known}
        return {place: failing for place, failing in found.items() if failing is not None}

    def open(self) -> list[tuple[bytes, bytes, Credential | None]]:
        """Account and id of the credentials that fail, and each as it was when it was refused."""
        return [(*place, known.credential) for place, known in self._known.items() if known.open]

    def call_others(self, now: int) -> list[tuple[bytes, bytes]]:
        """Credentials that it is high time to try: whoever was to do it was cancelled, say, as it waited. Somebody else
        is to come."""
        late = []
        for place, known in self._known.items():
            for breaker in [each for each in known.open.values() if each.is_late(now)]:
                breaker.called = now
                late.append(place)
        return list(dict.fromkeys(late))

    def pass_on(self, account: bytes, credential_id: bytes) -> bool:
        """Whoever was to try it may have ended: whether it fails, and somebody else is to come."""
        known = self._known.get((account, credential_id))
        waiting = [] if known is None else [each for each in known.open.values() if not each.probing]
        for breaker in waiting:
            breaker.awaited = None
        return bool(waiting)

    def reset(self, account: bytes, credential_id: bytes) -> None:
        """It was rotated, reconnected, replaced or ended: what was said of it says nothing any more."""
        known = self._known.get((account, credential_id))
        if known is not None:
            known.open.clear()
            known.credential = None
            self.forget(account, credential_id)

    def hear(self, refusal: Refusal) -> None:
        """Another process met this: nothing more leaves here either."""
        known = self._known.setdefault((refusal.account, refusal.credential_id), Known({}, set()))
        ladder = self.reach if refusal.place == REACH else self.ladder
        mine = known.open.get(refusal.place)
        if mine is None:
            mine = Breaker(reason=refusal.reason, since=refusal.since, probe_at=refusal.probe_at, ladder=ladder)
            known.open[refusal.place] = mine
        mine.reason, mine.probe_at, mine.step = refusal.reason, refusal.probe_at, min(refusal.step, len(ladder) - 1)
        known.credential = known.credential or refusal.credential
        known.halt()

    def refusals(self) -> list[Refusal]:
        """Everything that fails now, for a process that begins."""
        return [known.refusal(*at, place) for at, known in self._known.items() for place in known.open]

    def gate(self, account: bytes, credential_id: bytes, topic: str | None, who: bytes = b"") -> Gate:
        """The way through for one sending, to be closed by whoever asked. `topic` is what a refusal of the topic would
        be about; None when that would be the caller's mistake, not the credential's."""
        known = self._known.setdefault((account, credential_id), Known({}, set()))
        gate = Gate(self, known, account, credential_id, topic, who)
        known.gates.add(gate)
        return gate

    def forget(self, account: bytes, credential_id: bytes) -> None:
        """Keeps nothing of a credential that does not fail and that nobody sends with."""
        known = self._known.get((account, credential_id))
        if known is not None and not known.open and not known.gates:
            del self._known[account, credential_id]


class Gate:
    """One sending with one credential. `stop` is done as soon as nothing more may leave with it."""

    def __init__(
        self, owner: Breakers, known: Known, account: bytes, credential_id: bytes, topic: str | None, who: bytes
    ) -> None:
        self._owner, self._known = owner, known
        self._account, self._id, self._topic, self._who = account, credential_id, topic, who
        self._probed: list[Breaker] = []
        self._sent = False
        self.mended = False
        """Whether the credential failed and works again: what waits for it may go."""
        self.is_probe = False
        """Whether it was this one's task to try: it does so again."""
        self.stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"Gate(topic={self._topic!r}, closed={len(self._closed())}, probing={len(self._probed)})"

    def _closed(self) -> list[Breaker]:
        if not self._known.open:
            return []
        topics = (REACH, WHOLE) if self._topic is None else (REACH, WHOLE, self._topic)
        return [self._known.open[topic] for topic in topics if topic in self._known.open]

    # ---- before sending

    def ask(self, now: int) -> Pass:
        """What may be sent now (ms). After `PROBE` one push may go, and it is this gate's to say what came of it."""
        closed = self._closed()
        if not closed:
            return Pass.SEND
        if any(each.probing or not each.is_due(now) for each in closed):
            return Pass.WAIT
        for each in closed:
            each.probing, each.awaited = True, None
        self._probed, self.is_probe = closed, True
        return Pass.PROBE

    @property
    def reason(self) -> str:
        """Why pushes wait."""
        if REACH in self._known.open:
            return CANNOT_REACH
        closed = self._closed()
        return closed[0].reason if closed else ""

    @property
    def frees(self) -> bool:
        """Whether what waits for the credential may go: it failed, and works again."""
        return self.mended and WHOLE not in self._known.open

    @property
    def is_shut(self) -> bool:
        """Whether the credential fails for what is sent here."""
        return bool(self._closed())

    def due(self, now: int) -> int:
        """When to ask again (ms): whoever tries comes at the next probe, all others are told when it works."""
        self._settle(now)
        closed = self._closed()
        if not self.is_probe and all(each.awaited not in (None, self._who) or each.probing for each in closed):
            return now + self._owner.ladder[-1]
        for each in closed:
            each.awaited = self._who
        self.is_probe = True
        return max(now, max((each.probe_at for each in closed), default=now))

    # ---- what came of it

    def halt(self) -> None:
        """Lets nothing more leave."""
        if not self.stop.done():
            self.stop.set_result(None)

    def refused(self, credential: Credential | None, reason: str, now: int, *, topic: bool = False) -> None:
        """The provider refused the credential, or the topic for it (then the credential itself is good)."""
        place = self._topic if topic and self._topic is not None else WHOLE
        self._mend(REACH)
        if place != WHOLE:
            self._mend(WHOLE)
        news = self._shut(place, reason, now, self._owner.ladder)
        if news and credential is not None and self._owner.alarm:
            self._owner.alarm(credential, reason)
        if place in self._known.open and self._known.credential is None:
            self._known.credential = credential
        if news:
            self._tell(place)

    def unreachable(self, credential: Credential | None, reason: str, now: int) -> None:
        """The provider cannot be reached with this credential."""
        if self._shut(REACH, reason, now, self._owner.reach):
            self._known.credential = self._known.credential or credential
            since = self._known.open[REACH].since
            log.error("apns.unreachable", credential=self._shown, reason=reason, seconds=(now - since) // 1000)
            self._tell(REACH)

    def _tell(self, place: str) -> None:
        if self._owner.tell is not None:
            self._owner.tell(self._known.refusal(self._account, self._id, place))

    def _shut(self, place: str, reason: str, now: int, ladder: tuple[int, ...]) -> bool:
        """Whether this was news."""
        self._sent = True
        known, news = self._known.open.get(place), True
        if known is None:
            self._known.open[place] = Breaker(reason=reason, since=now, probe_at=now + ladder[0], ladder=ladder)
            self.is_probe = True
        elif known in self._probed:
            self._probed.remove(known)
            known.failed(reason, now)
        else:
            news = False
        self._known.halt()
        return news

    def heard(self, *, works: bool, answered: bool = True) -> None:
        """What was sent has had its outcome. `answered`: by the provider. `works`: it took the credential, for the
        topic, too."""
        self._sent = True
        if not self._probed:
            return
        if answered:
            self._mend(REACH)
        if works:
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
            if place == REACH:
                log.info("apns.reached", credential=self._shown)

    def close(self, now: int) -> None:
        """The sending is over."""
        self._settle(now)
        self._known.gates.discard(self)
        self._owner.forget(self._account, self._id)

    def _settle(self, now: int) -> None:
        """What was tried has said nothing of the credential."""
        for breaker in self._probed:
            breaker.probing = False
            if self._sent and breaker is self._known.open.get(REACH):  # it was sent, and no answer came
                breaker.failed(breaker.reason, now)
            elif self._sent:
                breaker.probe_at = now + breaker.ladder[breaker.step]
        self._probed = []

    @property
    def _shown(self) -> str:
        return ids.encode(ids.CREDENTIAL, self._id)
