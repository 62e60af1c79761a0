"""What of a chunk is sent now: asks the store for devices and credentials, and leaves out what must wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..domain.lookups import Known, Wanted
from ..domain.notifications import Recipient, SendSpec
from ..pacing import SLICE, turn
from ..ports import Clock, LeasedChunk, SendingStore
from . import refusals
from .choices import Credentials
from .plan import Plan, Progress
from .policy import Deadline
from .resting import Resting

YOUNG_S = 1.0
"""For so long what was looked up as a send was accepted is good for its first try."""


def wanted_of(spec: SendSpec, recipients: Iterable[Recipient]) -> Wanted:
    """What is to be known before it is sent to them."""
    users, tokens = list[bytes](), list[bytes]()
    for each in recipients:
        if each.user:
            users.append(each.user)
        if each.token:
            tokens.append(each.token)
    return Wanted(
        app_name=spec.app_name,
        kind=spec.kind,
        activity_id=spec.activity_id,
        credential=spec.apn,
        users=frozenset(users),
        tokens=frozenset(tokens),
        refused=spec.topic is None,
    )


class Planner:
    """Plans one attempt at a chunk."""

    def __init__(
        self,
        chunk: LeasedChunk,
        progress: Progress,
        store: SendingStore,
        resting: Resting,
        deadline: Deadline,
        clock: Clock,
    ) -> None:
        self._chunk, self._progress, self._store = chunk, progress, store
        self._resting, self._deadline, self._clock = resting, deadline, clock

    def __repr__(self) -> str:
        return f"Planner({self._chunk!r})"

    async def plan(self) -> Plan:
        """The targets of all recipients that have not ended, in their order, and records of what is not tried."""
        chunk = self._chunk
        open_ = list(enumerate(chunk.recipients, chunk.first))
        if self._progress.by_sequence:
            open_ = [each for each in open_ if not self._progress.ended(each[0])]
        known = await self._known(open_)
        plan = Plan(chunk.spec, self._credentials(known), now=chunk.claimed)
        devices, environments = known.devices, known.environments
        for first in range(0, len(open_), SLICE):
            if first:
                await turn()
            part = range(first, min(first + SLICE, len(open_)))
            plan.take(open_, part, devices, environments, self._progress)
        self._spare(plan, known)
        return plan

    async def _known(self, open_: Sequence[tuple[int, Recipient]]) -> Known:
        """What the store knows of them; what it said a moment ago, as the send was accepted, does for the first try."""
        chunk, known = self._chunk, self._chunk.known
        if known is not None and self._clock.monotonic() - known.at < YOUNG_S:
            return known
        return await self._store.look_up(chunk.account_id, wanted_of(chunk.spec, [each for _, each in open_]))

    def _spare(self, plan: Plan, known: Known) -> None:
        """Takes out what must not reach the provider now: tokens it refused for good, and devices that rest."""
        chunk, now = self._chunk, self._now()
        if known.refused:
            plan.targets, records = refusals.sift(chunk, plan.targets, known.refused, now)
            plan.records += records
        plan.targets, records = self._resting.sift(chunk, plan.targets, self._deadline, now)
        plan.records += records

    def _credentials(self, known: Known) -> Credentials:
        named = self._chunk.spec.apn
        if named is not None:
            return Credentials({}) if known.credential is None else Credentials({}, named, known.credential.type)
        return Credentials({} if known.app is None else {d.type: d.id for d in known.app.default_credentials})

    def _now(self) -> int:
        return int(self._clock.time() * 1000)
