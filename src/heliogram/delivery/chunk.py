"""One leased chunk, from recipients to recorded outcomes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import structlog

from ..domain.apps import OpenedCredential, ProviderName
from ..domain.errors import Unavailable
from ..domain.notifications import DeliveryRecord, Outcome, SendSpec
from ..domain.operations import Lane
from ..lines import named, tell
from ..pacing import SLICE, turn
from ..ports import LeasedChunk, Push, PushResult, Retry
from .breaker import Gate, Pass
from .fates import Fates
from .plan import Progress, Target, by_credential, elsewhere
from .planning import Planner
from .policy import Deadline
from .recorder import Recorder, tell_ended
from .tools import Tools, gate_of, opened_for, terms_of
from .waiting import Waiting, record_of, records_of_accepted

log = structlog.get_logger(__name__)

_HELD = frozenset({Retry.CREDENTIAL, Retry.TOPIC, Retry.UNREACHABLE})
_ACCEPTED = Outcome.ACCEPTED  # named once: to ask the enumeration for each of thousands takes a seventh of a µs
_ANSWERED = frozenset({Outcome.ACCEPTED, Outcome.REJECTED})


class Answered(NamedTuple):
    """The answer to a chunk's only push, which left before there was a `ChunkDelivery`, through a gate that is open."""

    gate: Gate
    opened: OpenedCredential
    result: PushResult


class ChunkDelivery:
    """Delivers one chunk and records every outcome; what was `answered` already, without sending it.

    After a crash, what repeats is at most what was answered since the last record: with the same `apns-id`, and for
    alerts the same collapse id. When another worker has taken the chunk over (the lease ran out), it stops at its
    next write. When its operation is cancelled, nothing more leaves: what is on the wire is waited for and recorded,
    and the store ends the rest.
    """

    def __init__(self, chunk: LeasedChunk, tools: Tools, answered: Answered | None = None) -> None:
        self._chunk = chunk
        self._answered = answered
        self._tools = tools
        self._spec: SendSpec = chunk.spec
        self._progress = Progress(chunk.records)
        self._recorder = Recorder(chunk, self._progress, tools.store, tools.clock, tools.stall, tools.tap)
        self._fates = Fates(chunk, tools.store, tools.tap)
        self._elsewhere: list[Target] = []
        self._gate: Gate | None = None
        self._deadline = Deadline.of(chunk.start, chunk.spec.expires_at, tools.settings.policy)
        self._planner = Planner(chunk, self._progress, tools.store, tools.resting, self._deadline, tools.clock)
        self._waiting = Waiting(chunk, self._progress, self._recorder, self._deadline)
        self._tried: set[bytes] = set()
        self._ended = False
        self._is_only = False
        """Whether one device is all there is to try: once it took its push, there is nothing more to wait for."""
        # A small send that met a 5xx is tried again on another connection (ERR-3).
        self._fresh = chunk.lane is Lane.TX and any(r.status >= 500 and not r.final for r in chunk.records)
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"ChunkDelivery({self._chunk!r}, {self._recorder!r})"

    def stop(self) -> None:
        """The operation was cancelled: let nothing more leave."""
        if not self._stop.done():
            self._stop.set_result(None)
        if self._gate is not None:
            self._gate.halt()

    async def run(self) -> None:
        """Sends what is due and gives the chunk back: done, or to be retried."""
        write, clock = self._tools.stall.write, self._tools.clock
        try:
            await self._attempt()
        finally:
            await self._recorder.close()
        if self._ended and not self._recorder.fenced:
            tell_ended(self._chunk, self._recorder.counts)
            return
        await write(clock, lambda: self._fates.settle(self._now()))
        if self._recorder.fenced:
            log.warning("chunk.taken_over", **named(self._chunk))
            return
        await write(clock, self._give_back)

    async def _attempt(self) -> None:
        """Delivers. What was answered before a failure is kept: it must not be sent again."""
        try:
            await self._deliver()
        except asyncio.CancelledError:  # there is no time left to wait for the store
            with contextlib.suppress(Unavailable):
                await self._recorder.flush()
            raise
        except Exception:
            await self._recorder.settle()
            raise
        if self._is_whole():
            self._ended = await self._recorder.end(partial(self._tools.queue.done, self._chunk))
        if not self._ended:
            await self._recorder.settle()

    def _is_whole(self) -> bool:
        """Whether all that is left to do is to write the last outcomes: nothing is tried again, and nothing was said of
        tokens or credentials."""
        if self._stop.done() or self._recorder.fenced or self._fates or self._tried:
            return False
        if self._waiting.credential is not None or self._waiting.ended:
            return False
        return self._progress.next_retry(self._now(), now=self._now()) is None

    async def _give_back(self) -> None:
        queue, breakers, now = self._tools.queue, self._tools.breakers, self._now()
        waiting_until = self._waiting.due(now, breakers.ladder[0])
        again = now if self._stop.done() else self._progress.next_retry(waiting_until, now=now)
        account, held = self._chunk.account_id, self._waiting.credential
        if again is None or self._stop.done():
            await (queue.done(self._chunk) if again is None else queue.retry(self._chunk, again))
            tell_ended(self._chunk, self._recorder.counts)
            for credential_id in self._tried | self._waiting.ended:
                if breakers.pass_on(account, credential_id):
                    await queue.let_go(account, credential_id, most=1)  # somebody else is to try
            return
        await queue.retry(self._chunk, again, held=held)
        seconds = max(0, again - now) / 1000
        chunk = self._chunk
        tell(
            log, chunk.lane, "chunk.retry", chunk.operation_id, first=chunk.first, attempt=chunk.attempt, after=seconds
        )
        if held is not None and breakers.failing(account, held) is None:
            await queue.let_go(account, held)  # it was mended before the chunk was there to be told

    async def _deliver(self) -> None:
        if self._answered is not None:
            gate, opened, result = self._answered
            self._is_only = True
            await self._send_by(gate, opened.credential.id, self._take_late(gate, opened, result))
            return
        plan = await self._planner.plan()
        for record in plan.records:
            self._recorder.take(record)
        self._is_only = len(plan.targets) == 1
        for wanted in (plan.targets, self._elsewhere):
            for credential_id, targets in by_credential(wanted).items():
                if self._recorder.fenced or self._stop.done():
                    return
                await self._send(credential_id, targets)

    # --- sending

    async def _send(self, credential_id: bytes, targets: Sequence[Target]) -> None:
        gate = gate_of(self._chunk, self._tools, credential_id)
        await self._send_by(gate, credential_id, self._send_through(gate, credential_id, targets))

    async def _send_by(self, gate: Gate, credential_id: bytes, sending: Awaitable[None]) -> None:
        self._gate = gate
        try:
            await sending
        finally:
            self._gate = None
            gate.close(self._now())
            if gate.is_probe:
                self._tried.add(credential_id)
        if gate.frees:
            await self._tools.queue.let_go(self._chunk.account_id, credential_id)

    async def _send_through(self, gate: Gate, credential_id: bytes, targets: Sequence[Target]) -> None:
        tools, now = self._tools, self._now()
        may = Pass.WAIT if gate.is_shut and now >= self._deadline.first else gate.ask(now)
        if may is Pass.WAIT:
            self._waiting.hold(gate, targets, now)
            return
        opened, fault = await opened_for(self._chunk, tools, credential_id)
        if fault:
            known = await self._tools.store.get_credential(self._chunk.account_id, credential_id)
            gate.refused(known, fault, now)
            self._waiting.hold(gate, targets, now)
            return
        if opened is None or opened.credential.revoked is not None:
            # The app's next default may carry it; one that the caller named is waited for in vain.
            retry = Retry.NEVER if credential_id == self._spec.apn else Retry.SOON
            self._not_sent(targets, "NoCredential" if opened is None else "CredentialRevoked", retry)
            return
        terms = terms_of(self._chunk, tools, self._deadline, self._now())
        rendered = await self._tools.rendering.render(self._chunk, targets, terms, self._stop)
        if self._stop.done():
            return  # cancelled while templates were at work: nothing of it was tried
        for target, refusal in rendered.refused:
            self._not_sent([target], refusal, Retry.NEVER)
        pushes = rendered.pushes
        if may is Pass.PROBE and pushes:
            await self._pour(gate, opened, pushes[:1])
            pushes = pushes[1:]
        if gate.is_shut:  # still, or since it was asked
            self._waiting.hold(gate, [push.tag for push in pushes], self._now())
        elif pushes and not self._recorder.fenced:
            await self._pour(gate, opened, pushes)

    async def _pour(self, gate: Gate, opened: OpenedCredential, pushes: Sequence[Push]) -> None:
        """Sends, and holds what did not leave because the credential turned out to be refused."""
        provider, answered = self._tools.providers[ProviderName.APN], list[list[PushResult]]()
        if len(pushes) == 1:
            await self._pour_one(gate, opened, pushes[0])
            return
        async with aclosing(provider.send(opened, pushes, stop=gate.stop, fresh=self._fresh)) as found:
            async for results in found:
                answered.append(results)
                done = 0
                while done < len(results):
                    if done:
                        await turn()
                    part = results[done : done + min(self._recorder.room, SLICE)]
                    done += len(part)
                    self._take_all(gate, opened, part)
                    if self._recorder.full:
                        await self._recorder.settle()
                    if self._recorder.fenced:
                        return
        if gate.is_shut and not self._stop.done():
            had = {id(result.tag) for results in answered for result in results}
            self._waiting.hold(gate, [push.tag for push in pushes if id(push.tag) not in had], self._now())

    async def _take_late(self, gate: Gate, opened: OpenedCredential, result: PushResult) -> None:
        self._take_all(gate, opened, [result])

    async def _pour_one(self, gate: Gate, opened: OpenedCredential, push: Push) -> None:
        """`_pour` of one: what most sends are."""
        provider = self._tools.providers[ProviderName.APN]
        result = await provider.send_one(opened, push, stop=gate.stop, fresh=self._fresh)
        if result is not None:
            self._take_all(gate, opened, [result])
            if self._recorder.full:
                await self._recorder.settle()
        elif gate.is_shut and not self._stop.done():
            self._waiting.hold(gate, [push.tag], self._now())

    def _take_all(self, gate: Gate, opened: OpenedCredential, results: Sequence[PushResult]) -> None:
        """What nearly all are, accepted, is told here in one go."""
        accepted = [] if gate.is_probe else [result for result in results if result.outcome is _ACCEPTED]
        self._recorder.take_accepted(records_of_accepted(self._chunk, accepted, self._now()), last=self._is_only)
        resting = self._tools.resting
        for result in accepted:
            if result.tag.unsure:
                self._fates.take(result.tag, result)
            if resting:
                resting.wake(self._chunk.account_id, result.tag.token)
        self._tell_heard(opened, results[-1], accepted)
        if len(accepted) < len(results):
            for result in results:
                if gate.is_probe or result.outcome is not _ACCEPTED:
                    self._take_one(gate, opened, result)

    def _tell_heard(self, opened: OpenedCredential, last: PushResult, accepted: Sequence[PushResult]) -> None:
        """The provider's last word to the credential: looked at once for many answers."""
        heard, account, ident = self._tools.heard, self._chunk.account_id, opened.credential.id
        if last.outcome in _ANSWERED:
            success = bool(accepted) or last.outcome is _ACCEPTED
            heard.take(account, ident, last.status, last.reason, self._now(), success=success)
        elif accepted:
            heard.succeeded(account, ident, self._now())

    def _take_one(self, gate: Gate, opened: OpenedCredential, result: PushResult) -> None:
        if result.retry in _HELD:
            self._refused(gate, opened, result)
            return
        if result.retry is Retry.FORBIDDEN:
            gate.refused(opened.credential, result.reason, self._now())
        elif gate.is_probe:
            gate.heard(works=result.works, answered=result.outcome in _ANSWERED)
        self._take(result)

    def _refused(self, gate: Gate, opened: OpenedCredential, result: PushResult) -> None:
        now = self._now()
        if result.retry is Retry.UNREACHABLE:
            gate.unreachable(opened.credential, result.reason, now)
        else:
            gate.refused(opened.credential, result.reason, now, topic=result.retry is Retry.TOPIC)
        self._waiting.refused(gate, result, now)

    def _not_sent(self, targets: Sequence[Target], reason: str, retry: Retry) -> None:
        for target in targets:
            self._take(PushResult(tag=target, outcome=Outcome.NOT_SENT, reason=reason, retry=retry))

    # --- recording

    def _take(self, result: PushResult) -> None:
        target: Target = result.tag
        other = elsewhere(target, result)
        self._recorder.take(self._record(target, result, at_once=other is not None))
        if other is None:
            self._fates.take(target, result)
        else:
            self._elsewhere.append(other)

    def _record(self, target: Target, result: PushResult, *, at_once: bool) -> DeliveryRecord:
        now = self._now()
        retry_at = now if at_once else self._retry_at(target, result, now)
        reason = result.reason
        if retry_at is not None and not at_once and retry_at >= self._deadline.again:
            retry_at = None
            if self._deadline.own:
                reason = f"Expired: {reason}" if reason else "Expired"
        return record_of(self._chunk, result, now, retry_at, attempt=target.attempt, reason=reason)

    def _retry_at(self, target: Target, result: PushResult, now: int) -> int | None:
        """When it would be tried again, None for never."""
        account, resting = self._chunk.account_id, self._tools.resting
        if result.outcome is Outcome.ACCEPTED:
            if resting:
                resting.wake(account, target.token)
            return None
        attempt = target.attempt
        if result.retry is Retry.DEVICE:
            attempt = max(attempt, resting.times(account, target.token) + 1)
        retry_at = self._tools.settings.policy.retry_at(
            result, lane=self._chunk.lane, attempt=attempt, unknowns=target.unknowns, now=now
        )
        if result.retry is Retry.DEVICE and retry_at is not None:
            resting.rest(account, target.token, retry_at, now)
        return retry_at

    def _now(self) -> int:
        return int(self._tools.clock.time() * 1000)
