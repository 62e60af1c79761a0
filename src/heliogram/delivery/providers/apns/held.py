"""The connections of one credential, and how they follow what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, NamedTuple

from .... import apns
from ....apns.entitlements import check_push
from ....apns.job import Job
from ....domain.apps import CredentialState, Environment, OpenedCredential
from ....pacing import turn
from ....ports import Push
from .endpoints import ApnsEndpoints
from .forms import announcement, by_form, form_of
from .parsing import identity_of

RENEW_AGAIN = 900.0
"""Seconds before connections are opened anew once more because a topic is refused."""
FRESHEN_AGAIN = 1.0
"""Seconds before they are once more because of an answer of 5xx."""
MAX_TOPICS = 1_000
"""Topics a credential is known to cover that are remembered."""
_BINDING = frozenset({"TopicDisallowed", "InvalidProviderToken"})
"""What APNs answers to a topic or key that a connection was not bound to at its first push (TOK-13 to TOK-15)."""

Engine = apns.Client | apns.BroadcastClient | apns.ChannelClient


class Ready(NamedTuple):
    """What can be sent, in the engine's words; the `tag` of each is its push."""

    jobs: list[Job]
    broadcasts: list[apns.Push]

    @property
    def pushes(self) -> list[Push]:
        """All of it."""
        return [*(job.tag for job in self.jobs), *(push.tag for push in self.broadcasts)]


class Held:
    """One credential's clients: for pushes at once, for broadcasts and channels when first asked for.

    A topic may be refused only because its connection is older than the topic (TOK-14). So as long as a topic was never
    accepted, its refusal opens connections anew and sends once more, not oftener than every quarter of an hour.
    """

    def __init__(
        self,
        credential: OpenedCredential,
        endpoints: ApnsEndpoints,
        clock: apns.Clock,
        listener: apns.Listener | None = None,
    ) -> None:
        self._listener = listener
        self.account, self.id = credential.credential.account_id, credential.credential.id
        self.users = 0
        self.leaving = False
        self._endpoints, self._clock = endpoints, clock
        self._state = _state_of(credential)
        self._identity = identity_of(credential)
        self._bundle_id: str = credential.credential.public["bundleId"]
        self._environment = credential.credential.type.environment or Environment.PRODUCTION
        self._pushes = apns.Client(
            self._identity, topic=self._bundle_id, **self._common(endpoints.of(self._environment))
        )
        self._broadcasts: apns.BroadcastClient | None = None
        self._channels: apns.ChannelClient | None = None
        self._freshened: float | None = None
        self._generation = 0
        self._renewed: dict[str, float] = {}
        self._carried: set[str] = set()
        self._topics: dict[tuple[str | None, str, bool], str] = {}

    def __repr__(self) -> str:
        return f"Held({self._pushes!r}, users={self.users}, {self._state})"

    @property
    def state(self) -> CredentialState:
        """What the connections have followed so far."""
        return self._state

    # ---- following

    def follow(self, credential: OpenedCredential) -> None:
        """Rotates and reconnects when the credential did; a state that is older than what is known is passed over.
        Raises `ApnsError` for new content that cannot be used, and goes on with the old."""
        known, now = self._state, _state_of(credential)
        self._state = CredentialState(max(now.revision, known.revision), max(now.epoch, known.epoch), known.revoked)
        if now.epoch > known.epoch:
            self._renewed.clear()
            self._renew()
        if now.revision > known.revision:
            identity = identity_of(credential)
            for client in self._clients():
                client.rotate(identity)
            self._identity = identity
            self._topics.clear()
            self._renewed.clear()

    def revoke(self) -> None:
        """Closes every connection at once; nothing more leaves."""
        for client in self._clients():
            client.revoke()

    async def close(self) -> None:
        """Lets what is under way finish and closes."""
        await asyncio.gather(*(client.close() for client in self._clients()))

    def _clients(self) -> list[Engine]:
        return [each for each in (self._pushes, self._broadcasts, self._channels) if each is not None]

    def _renew(self) -> None:
        self._generation += 1
        for client in self._clients():
            client.reconnect()

    def freshen(self) -> None:
        """Has new connections carry what comes: the ones so far met trouble. Once a second at most: whoever is in
        trouble must not have a connection for each push on top."""
        now = self._clock.monotonic()
        if self._freshened is None or now - self._freshened >= FRESHEN_AGAIN:
            self._freshened = now
            self._pushes.reconnect()

    # ---- sending

    def ready(self, pushes: Sequence[Push]) -> tuple[Ready, list[tuple[Push, apns.ApnsError]]]:
        """What can be sent, in the engine's words, and what cannot: APNs would refuse it, or this credential cannot
        send it (TOK-15, CERT-4)."""
        ready, refused = Ready([], []), list[tuple[Push, apns.ApnsError]]()
        for alike in by_form(pushes):
            if alike[0].channel is not None:
                for push in alike:
                    try:
                        ready.broadcasts.append(announcement(push))
                    except apns.ApnsError as error:
                        refused.append((push, error))
                continue
            try:
                self._topic(alike[0])
                jobs, wrong = self._pushes.ready(form_of(alike[0]), alike, topic=alike[0].topic)
            except apns.ApnsError as error:
                refused += [(push, error) for push in alike]
                continue
            ready.jobs.extend(jobs)
            refused += wrong
        return ready, refused

    async def outcomes(
        self, ready: Ready, stop: asyncio.Future[None] | None = None
    ) -> AsyncGenerator[list[apns.Outcome], None]:
        """Sends what is ready, and yields what became of each push, its `tag`; once `stop` is done, of each that had
        left."""
        generation, ended, stale = self._generation, list[list[apns.Outcome]](), list[Push]()
        with _halt(stop) as halt:
            pushes = self._pushes.send_ready(ready.jobs, stop=halt, pause=turn)
            async with aclosing(self._send(ready, halt) if ready.broadcasts else pushes) as found:
                async for outcomes in found:
                    fresh = self._sift(outcomes, generation, stale)
                    if stale and not halt.done():  # the others would be refused as well
                        halt.set_result(None)
                    ended.append(fresh)
                    if fresh:
                        yield fresh
        if not stale:
            return
        self._give_up(generation, stale)
        done = {id(outcome.tag) for outcomes in ended for outcome in outcomes}
        again, _ = self.ready([push for push in ready.pushes if id(push) not in done])
        async with aclosing(self._send(again, stop)) as found:
            async for outcomes in found:
                yield self._sift(outcomes, generation, None)

    async def outcome(self, push: Push, job: Job, stop: asyncio.Future[None] | None = None) -> apns.Outcome | None:
        """As `outcomes`, of one push, whose job is ready: None once `stop` is done and it had not left."""
        generation, stale = self._generation, list[Push]()
        outcome = await self._pushes.send_one(job, stop=stop)
        if outcome is None:
            return None
        self._sift([outcome], generation, stale)
        if not stale:
            return outcome
        self._give_up(generation, stale)
        again, _ = self.ready([push])
        if not again.jobs:  # the credential was changed meanwhile, and does not cover it any more
            return outcome
        outcome = await self._pushes.send_one(again.jobs[0], stop=stop)
        if outcome is not None:
            self._sift([outcome], generation, None)
        return outcome

    def _give_up(self, generation: int, stale: Sequence[Push]) -> None:
        """Opens connections anew for topics that those so far are older than, unless somebody did meanwhile."""
        if generation == self._generation:
            self._renewed |= {self._topic(push): self._clock.monotonic() for push in stale}
            self._renew()

    def _sift(self, outcomes: list[apns.Outcome], generation: int, stale: list[Push] | None) -> list[apns.Outcome]:
        """The outcomes that stand; what a connection may have refused for its age goes to `stale`, if that is given."""
        fresh, accepted = outcomes, apns.Accepted
        topic: str | None = None
        channel: str | None = None
        kind = ""  # of the push before, as these: no push type is empty
        for outcome in outcomes:
            if type(outcome) is accepted:
                push: Push = outcome.tag
                if push.push_type is not kind or push.topic is not topic or push.channel is not channel:
                    topic, kind, channel = push.topic, push.push_type, push.channel
                    self._carried.add(self._topic(push))
            elif stale is not None and isinstance(outcome, apns.Rejected) and self._may_be_stale(outcome, generation):
                stale.append(outcome.tag)
        if stale:
            put_off = {id(push) for push in stale}
            fresh = [outcome for outcome in outcomes if id(outcome.tag) not in put_off]
        return fresh

    def _topic(self, push: Push) -> str:
        """The whole topic. Raises `ApnsError` when the credential does not cover it."""
        place = push.topic, push.push_type, push.channel is None
        topic = self._topics.get(place)
        if topic is None:
            base = push.topic or self._bundle_id
            if push.channel is None:
                topic = apns.topic_for(base, push.push_type)
                check_push(self._identity, topic, push.push_type)
            else:
                topic = apns.topic_for(base, apns.PushType.LIVEACTIVITY)
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            self._topics[place] = topic
        return topic

    def _may_be_stale(self, outcome: apns.Rejected, generation: int) -> bool:
        if outcome.reason not in _BINDING:
            return False
        topic = self._topic(outcome.tag)
        if topic in self._carried:
            return False
        renewed = self._renewed.get(topic)
        by_others = generation < self._generation  # since this sending began
        return by_others or renewed is None or self._clock.monotonic() - renewed >= RENEW_AGAIN

    async def _send(self, ready: Ready, stop: asyncio.Future[None] | None) -> AsyncGenerator[list[apns.Outcome], None]:
        broadcasts = [self._broadcast(item) for item in ready.broadcasts]
        if ready.jobs:
            async with aclosing(self._pushes.send_ready(ready.jobs, stop=stop, pause=turn)) as found:
                async for outcomes in found:
                    yield outcomes
        for waiting in broadcasts:
            yield [await waiting]

    def _broadcast(self, item: apns.Push) -> asyncio.Future[apns.Outcome]:
        if self._broadcasts is None:
            self._broadcasts = apns.BroadcastClient(
                self._identity, bundle_id=self._bundle_id, **self._common(self._endpoints.of(self._environment))
            )
        push: Push = item.tag
        try:
            return self._broadcasts.send(push.channel or "", item.notification, request_id=push.apns_id, tag=push)
        except apns.ApnsError as error:
            refused: asyncio.Future[apns.Outcome] = asyncio.get_running_loop().create_future()
            refused.set_result(apns.NotSent(push.channel or "", push.apns_id, str(error), push))
            return refused

    # ---- channels

    @property
    def channels(self) -> apns.ChannelClient:
        """The client that manages channels. Raises `ApnsError`."""
        if self._channels is None:
            self._channels = apns.ChannelClient(
                self._identity, bundle_id=self._bundle_id, **self._common(self._endpoints.manage(self._environment))
            )
        return self._channels

    def _common(self, endpoint: str | None) -> dict[str, Any]:
        return {
            "environment": apns.Environment(self._environment.value),
            "endpoint": endpoint,
            "cafile": self._endpoints.cafile,
            "proxy": self._endpoints.proxy,
            "clock": self._clock,
            "listener": self._listener,
        }


@contextmanager
def _halt(stop: asyncio.Future[None] | None) -> Iterator[asyncio.Future[None]]:
    """A future of its own that is done when `stop` is."""
    halt: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pass_on(_: asyncio.Future[None]) -> None:
        if not halt.done():
            halt.set_result(None)

    if stop is None:
        yield halt
        return
    stop.add_done_callback(pass_on)
    if stop.done():
        pass_on(stop)
    try:
        yield halt
    finally:
        stop.remove_done_callback(pass_on)


def _state_of(credential: OpenedCredential) -> CredentialState:
    found = credential.credential
    return CredentialState(found.revision, found.epoch, found.revoked)
