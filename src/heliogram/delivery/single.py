"""The first try of a send to one device: what most sends are, and what costs most when it is treated as one of many.

Only the usual is done here: one device, one credential that works, an answer that says accepted. Whatever else there is
to a send goes to `ChunkDelivery`, before anything has left or with the answer that came.
"""

from __future__ import annotations

from functools import lru_cache

import structlog
from msgspec.structs import replace

from ..domain.apps import DefaultCredential, Environment, ProviderName
from ..domain.errors import Unavailable
from ..domain.lookups import Known
from ..domain.notifications import Outcome
from ..domain.operations import Counts
from ..lines import named
from ..ports import LeasedChunk
from .breaker import Gate
from .choices import Credentials, plain_choices
from .chunk import Answered, ChunkDelivery
from .plan import Target
from .planning import YOUNG_S, wanted_of
from .policy import Deadline
from .recorder import tell_ended
from .rendering import push_of
from .tools import Tools, gate_of, is_past, terms_of
from .waiting import records_of_accepted

log = structlog.get_logger(__name__)

_ACCEPTED, _APN = Outcome.ACCEPTED, ProviderName.APN  # named once: to ask the enumeration takes a seventh of a µs
_ONE = Counts(sent=1)
_KNOWN_APPS = 256


class SingleDelivery:
    """Delivers a send to what is one device, as far as is known: `target`, or None where that is yet to be asked. See
    `ChunkDelivery` for what it promises."""

    def __init__(self, chunk: LeasedChunk, tools: Tools, target: Target | None = None) -> None:
        self._chunk, self._tools, self._target = chunk, tools, target
        self._gate: Gate | None = None
        self._whole: ChunkDelivery | None = None
        self._stopped = self._ended = False

    def __repr__(self) -> str:
        return f"SingleDelivery({self._chunk!r}, stopped={self._stopped})"

    def stop(self) -> None:
        """The operation was cancelled: let nothing more leave."""
        self._stopped = True
        if self._whole is not None:
            self._whole.stop()
        elif self._gate is not None:
            self._gate.halt()

    async def run(self) -> None:
        """Sends, and gives the chunk back: done, or to be retried."""
        target = self._target or await self._look_up()
        answered = None if target is None else await self._send(target)
        if self._ended:
            return
        self._whole = ChunkDelivery(self._chunk, self._tools, answered)
        if self._stopped:
            self._whole.stop()
        await self._whole.run()

    async def _look_up(self) -> Target | None:
        """Asks what a send is accepted with where it is handed over at once."""
        chunk, tools = self._chunk, self._tools
        known = await tools.store.look_up(chunk.account_id, wanted_of(chunk.spec, chunk.recipients))
        known.renderer = tools.rendering.renderer(chunk)
        self._chunk = replace(chunk, known=known)
        return _target_of(self._chunk)

    async def _send(self, target: Target) -> Answered | None:
        """An answer to which there is more, with its gate left open."""
        gate, more = gate_of(self._chunk, self._tools, target.credential), None
        self._gate = gate
        try:
            answered = await self._try(gate, target)
            self._ended = answered is not None and await self._finish(answered)
            more = None if self._ended else answered
        finally:
            self._gate = None
            if more is None:
                gate.close(self._now())
        return more

    async def _try(self, gate: Gate, target: Target) -> Answered | None:
        """The answer, None when nothing has left."""
        chunk, tools = self._chunk, self._tools
        if self._stopped or gate.is_shut or not _is_fit(chunk, tools):  # it may have waited to begin
            return None
        try:
            opened = await tools.open_credential(chunk.account_id, target.credential)
        except ValueError:  # it will be met again, and told
            return None
        now = self._now()
        if opened is None or opened.credential.revoked is not None or is_past(opened, now):
            return None
        deadline = Deadline.of(chunk.start, chunk.spec.expires_at, tools.settings.policy)
        push = push_of(chunk, target, terms_of(chunk, tools, deadline, now))
        if push is None or gate.is_shut:  # what cannot be sent is another's to say
            return None
        result = await tools.providers[_APN].send_one(opened, push, stop=gate.stop)
        return None if result is None else Answered(gate, opened, result)

    async def _finish(self, answered: Answered) -> bool:
        """Records an acceptance, and ends the chunk with it; False when there is more to it."""
        gate, opened, result = answered
        if result.outcome is not _ACCEPTED or self._stopped or gate.is_probe:
            return False
        tools, chunk, now = self._tools, self._chunk, self._now()
        records = records_of_accepted(chunk, [result], now)
        ident = opened.credential.id
        tools.heard.take(chunk.account_id, ident, result.status, result.reason, now, success=True)
        if tools.resting:
            tools.resting.wake(chunk.account_id, result.tag.token)
        try:
            written = await tools.queue.done(chunk, records, _ONE)
        except Unavailable:
            return False
        if written:
            tools.tap.wrote(chunk, records, _ONE)
            tell_ended(chunk, _ONE)
        else:
            log.warning("chunk.taken_over", **named(chunk))
        return True

    def _now(self) -> int:
        return int(self._tools.clock.time() * 1000)


def delivery_of(chunk: LeasedChunk, tools: Tools) -> ChunkDelivery | SingleDelivery:
    """What delivers a chunk with the least around it."""
    if not _is_one(chunk, tools):
        return ChunkDelivery(chunk, tools)
    if not _is_fit(chunk, tools):
        return SingleDelivery(chunk, tools)
    target = _target_of(chunk)
    return ChunkDelivery(chunk, tools) if target is None else SingleDelivery(chunk, tools, target)


def _is_one(chunk: LeasedChunk, tools: Tools) -> bool:
    """Whether it may be a send to one device, that nothing was tried of, as far as is known without asking."""
    if len(chunk.recipients) != 1 or chunk.records or tools.resting:
        return False
    return chunk.spec.apn is None and chunk.spec.channel is None


def _target_of(chunk: LeasedChunk) -> Target | None:
    """The one device that a send to one recipient is to, when that is all there is to it by what is known: one device,
    one credential that may carry it, and nothing that takes long to render."""
    known = chunk.known
    if known is None or known.renderer is None or known.renderer.heavy or known.app is None or known.refused:
        return None
    return _target(chunk, known, _choices(known.app.default_credentials))


def _is_fit(chunk: LeasedChunk, tools: Tools) -> bool:
    """Whether what is known holds still, and no device is to be let rest."""
    known = chunk.known
    return known is not None and tools.clock.monotonic() - known.at < YOUNG_S and not tools.resting


def _target(
    chunk: LeasedChunk, known: Known, choices: dict[Environment | None, tuple[bytes, Environment]]
) -> Target | None:
    recipient, slot, environment = chunk.recipients[0], 0, None
    token, provider = recipient.token, recipient.provider
    if recipient.user:
        devices = known.devices.get(recipient.user, ())
        if len(devices) != 1:
            return None
        device = devices[0]
        slot, token, provider, environment = device.slot, device.token, device.provider, device.environment
    elif token:
        environment = known.environments.get(token)
    if provider is not _APN or not token or environment not in choices:
        return None
    credential, chosen = choices[environment]
    return Target(chunk.first, slot, token, provider, chosen, credential)


@lru_cache(_KNOWN_APPS)
def _choices(defaults: tuple[DefaultCredential, ...]) -> dict[Environment | None, tuple[bytes, Environment]]:
    """The credential and environment for what is known of a token's, where there is only one to try."""
    choices = plain_choices(Credentials({each.type: each.id for each in defaults}))
    return {known: (credential, chosen) for known, credential, chosen in choices}
