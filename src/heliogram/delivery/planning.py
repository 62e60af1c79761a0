"""What of a chunk is sent now: asks the store for devices and credentials, and leaves out what must wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..pacing import SLICE, turn
from ..ports import LeasedChunk, SendingStore
from . import refusals
from .plan import Credentials, Plan, Progress
from .policy import Deadline
from .resting import Resting


class Planner:
    """Plans one attempt at a chunk. `now` tells the time (ms)."""

    def __init__(
        self,
        chunk: LeasedChunk,
        progress: Progress,
        store: SendingStore,
        resting: Resting,
        deadline: Deadline,
        now: Callable[[], int],
    ) -> None:
        self._chunk, self._progress, self._store = chunk, progress, store
        self._resting, self._deadline, self._now = resting, deadline, now

    def __repr__(self) -> str:
        return f"Planner({self._chunk!r})"

    async def plan(self) -> Plan:
        """The targets of all recipients that have not ended, in their order, and records of what is not tried."""
        chunk, spec, store = self._chunk, self._chunk.spec, self._store
        plan = Plan(spec, await self._credentials(), now=chunk.claimed)
        open_ = list(enumerate(chunk.recipients, chunk.first))
        if self._progress.by_sequence:
            open_ = [each for each in open_ if not self._progress.ended(each[0])]
        users = {recipient.user for _, recipient in open_ if recipient.user}
        tokens = [recipient.token for _, recipient in open_ if recipient.token]
        devices = await store.devices_of_users(
            chunk.account_id, spec.app_name, users, kind=spec.kind, activity_id=spec.activity_id
        )
        known = await store.token_environments(chunk.account_id, spec.app_name, tokens) if tokens else {}
        for first in range(0, len(open_), SLICE):
            if first:
                await turn()
            for sequence, recipient in open_[first : first + SLICE]:
                if recipient.user:
                    plan.user(sequence, devices.get(recipient.user, ()), self._progress)
                elif recipient.channel:
                    plan.channel(sequence, recipient, self._progress)
                else:
                    plan.direct(sequence, recipient, known.get(recipient.token), self._progress)
        await self._spare(plan, tokens)
        return plan

    async def _spare(self, plan: Plan, tokens: Sequence[bytes]) -> None:
        """Takes out what must not reach the provider now: tokens it refused for good, and devices that rest."""
        chunk, spec, now = self._chunk, self._chunk.spec, self._now()
        if tokens and spec.topic is None:
            refused = await self._store.refused_tokens(chunk.account_id, spec.app_name, tokens, kind=spec.kind, now=now)
            if refused:
                plan.targets, records = refusals.sift(chunk, plan.targets, refused, now)
                plan.records += records
        plan.targets, records = self._resting.sift(chunk, plan.targets, self._deadline, now)
        plan.records += records

    async def _credentials(self) -> Credentials:
        account, spec = self._chunk.account_id, self._chunk.spec
        if spec.apn is not None:
            credential = await self._store.get_credential(account, spec.apn)
            return Credentials({}) if credential is None else Credentials({}, spec.apn, credential.type)
        app = await self._store.get_app(account, spec.app_name)
        return Credentials({} if app is None else {d.type: d.id for d in app.default_credentials})
