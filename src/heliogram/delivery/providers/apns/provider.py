"""The port's provider: lends connections to whoever sends, and lets go of those that are not used."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import Any

import structlog

from .... import apns
from ....domain.apps import (
    CredentialState,
    CredentialType,
    OpenedCredential,
    ParsedCredential,
    ProviderName,
)
from ....pacing import SLICE, turn
from ....ports import CheckResult, Clock, Push, PushResult, Retry
from . import checking, parsing
from .endpoints import ApnsEndpoints
from .held import Held, Ready
from .managing import Managing
from .results import REVOKED, refused, results_of, said

log = structlog.get_logger(__name__)

MAX_CLIENTS = 256
"""Credentials with connections; the least used leaves, and closes as soon as nobody sends through it."""
MAX_ENDED = 10_000
"""Revoked and deleted credentials that are remembered: much longer than an opened one is kept elsewhere."""


class ApnsProvider(Managing):
    """Sends through `heliogram.apns`, with connections of its own for each credential."""

    name = ProviderName.APN

    def __init__(
        self,
        endpoints: ApnsEndpoints | None = None,
        *,
        clock: Clock | None = None,
        listener: apns.Listener | None = None,
    ) -> None:
        super().__init__(self._use)
        self._listener = listener
        self._endpoints = endpoints or ApnsEndpoints()
        self._clock: apns.Clock = clock or apns.SystemClock()
        self._held: OrderedDict[bytes, Held] = OrderedDict()
        self._ended: OrderedDict[bytes, None] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._checks: dict[tuple[bytes, int], asyncio.Task[CheckResult]] = {}

    def __repr__(self) -> str:
        return f"ApnsProvider(clients={len(self._held)}, closing={len(self._closing)})"

    # ---- credentials

    def parse_credential(self, type: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:  # noqa: A002
        """Reads an uploaded credential; see the port."""
        return parsing.parse(type, content)

    def held(self) -> list[tuple[bytes, bytes, CredentialState]]:
        """Account, id and state of the credentials that have connections."""
        return [(each.account, each.id, each.state) for each in self._held.values()]

    def follow(self, credential: OpenedCredential) -> None:
        """Rotates and reconnects as the credential did, if it has connections."""
        found = credential.credential
        if found.revoked is not None:
            self.end(found.id)
            return
        held = self._held.get(found.id)
        if held is not None:
            try:
                held.follow(credential)
            except apns.ApnsError as error:
                log.error("credential.not_followed", revision=found.revision, error=str(error))

    def end(self, credential_id: bytes) -> None:
        """Closes every connection at once; from now on nothing leaves with this credential."""
        self._ended[credential_id] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        held = self._held.pop(credential_id, None)
        if held is not None:
            held.revoke()
            self._later(held.close())

    async def check(self, credential: OpenedCredential, *, seconds: float = 10.0) -> CheckResult:
        """Proves a credential on a connection of its own. Who asks while it is being checked gets the same answer:
        APNs takes connections that come and go for an attack (CONN-25)."""
        which = credential.credential.id, credential.credential.revision
        running = self._checks.get(which)
        if running is None:
            running = asyncio.get_running_loop().create_task(self._check(credential, seconds))
            self._checks[which] = running
            running.add_done_callback(lambda _: self._checks.pop(which, None))
        return await asyncio.shield(running)

    async def _check(self, credential: OpenedCredential, seconds: float) -> CheckResult:
        environment = checking.environment_of(credential)
        try:
            client = apns.Client(
                parsing.identity_of(credential),
                topic=credential.credential.public["bundleId"],
                environment=apns.Environment(environment.value),
                endpoint=self._endpoints.of(environment),
                cafile=self._endpoints.cafile,
                proxy=self._endpoints.proxy,
                max_connections=1,
                connect_attempts=1,
                clock=self._clock,
            )
            push_type = checking.push_type_of(credential)
        except apns.ApnsError as error:
            return checking.not_tried(said(error))
        try:
            return await checking.check(client, push_type, seconds)
        finally:
            self._later(client.close())

    # ---- sending

    def payload_limit(self, push_type: str) -> int:
        """The most bytes a payload of this push type may have (SIZE-1), and of a `broadcast` (6.3)."""
        return apns.broadcast.BROADCAST_LIMIT if push_type == "broadcast" else apns.payload_limit(push_type)

    def topic(self, base: str, push_type: str) -> str:
        """The bundle id with the push type's suffix, which a topic may have already (4.2)."""
        return apns.topic_for(base, push_type)

    def topic_key(self, push_type: str) -> str:
        """The topic's suffix: `voip` has one of its own, `alert` and `background` share one."""
        return apns.topic_for("app", apns.PushType.LIVEACTIVITY if push_type == "broadcast" else push_type)

    async def send(
        self,
        credential: OpenedCredential,
        pushes: Sequence[Push],
        *,
        stop: asyncio.Future[None] | None = None,
        fresh: bool = False,
    ) -> AsyncGenerator[list[PushResult], None]:
        """Sends over the credential's own connections and yields one result per push as they come, many at a time."""
        if self._is_ended(credential):
            yield [refused(push, REVOKED, Retry.SOON) for push in pushes]
            return
        try:
            held = self._hold(credential)
        except apns.ApnsError as error:
            reason = said(error)
            yield [refused(push, reason, Retry.CREDENTIAL) for push in pushes]
            return
        with self._using(held):
            if fresh:
                held.freshen()
            ready = Ready([], [])
            for first in range(0, len(pushes), SLICE):
                if first:
                    await turn()
                part, wrong = held.ready(pushes[first : first + SLICE])
                ready.jobs.extend(part.jobs)
                ready.broadcasts.extend(part.broadcasts)
                if wrong:
                    yield [refused(push, str(error)) for push, error in wrong]
            async with aclosing(held.outcomes(ready, stop)) as found:
                async for outcomes in found:
                    yield results_of(outcomes)

    async def send_one(
        self,
        credential: OpenedCredential,
        push: Push,
        *,
        stop: asyncio.Future[None] | None = None,
        fresh: bool = False,
    ) -> PushResult | None:
        """As `send`, for one push; most sends have no more."""
        if self._is_ended(credential):
            return refused(push, REVOKED, Retry.SOON)
        try:
            held = self._hold(credential)
        except apns.ApnsError as error:
            return refused(push, said(error), Retry.CREDENTIAL)
        held.users += 1
        try:
            if fresh:
                held.freshen()
            ready, wrong = held.ready([push])
            if wrong:
                return refused(push, str(wrong[0][1]))
            if ready.jobs:
                outcome = await held.outcome(push, ready.jobs[0], stop)
                return None if outcome is None else results_of([outcome])[0]
            async with aclosing(held.outcomes(ready, stop)) as found:
                results = [result async for outcomes in found for result in results_of(outcomes)]
            return results[0] if results else None
        finally:
            self._put_down(held)

    def _is_ended(self, credential: OpenedCredential) -> bool:
        return credential.credential.revoked is not None or credential.credential.id in self._ended

    # ---- connections

    def _use(self, credential: OpenedCredential) -> AbstractContextManager[Held]:
        """Lends the connections of a credential. Raises `ApnsError` for one that cannot be used."""
        return self._using(self._hold(credential))

    @contextmanager
    def _using(self, held: Held) -> Iterator[Held]:
        held.users += 1
        try:
            yield held
        finally:
            self._put_down(held)

    def _put_down(self, held: Held) -> None:
        held.users -= 1
        if held.leaving and not held.users:
            self._later(held.close())

    def _hold(self, credential: OpenedCredential) -> Held:
        if self._is_ended(credential):
            raise apns.InvalidSigningKey(REVOKED)
        ident = credential.credential.id
        held = self._held.get(ident)
        if held is None:
            held = self._held[ident] = Held(credential, self._endpoints, self._clock, self._listener)
            if len(self._held) > MAX_CLIENTS:
                self._let_go(self._held.popitem(last=False)[1])
        else:
            self._held.move_to_end(ident)
            self.follow(credential)
        return held

    def _let_go(self, held: Held) -> None:
        held.leaving = True
        if not held.users:
            self._later(held.close())

    def _later(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(closing, name="heliogram-apns-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Drains and closes every connection."""
        if self._checks:
            await asyncio.wait(self._checks.values())
        for held in self._held.values():
            self._later(held.close())
        self._held.clear()
        while self._closing:
            await asyncio.wait(self._closing)
