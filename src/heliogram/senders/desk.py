"""The serving process's end of one sender: does what the sender asks for, and knows what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

import structlog

from ..domain.errors import Unavailable
from ..domain.operations import Counts, Lane
from ..ports import AnswerStore, Clock, DeviceStore, Lease, LeaseStore, PackedLease
from ..ports.work import InHand
from ..store.errors import StoreError
from .frames import FrameTooLarge, Wire
from .messages import (
    Alarm,
    Append,
    Call,
    Claim,
    Extend,
    Fault,
    Finish,
    Heard,
    Learn,
    LetGo,
    Measured,
    Quarantine,
    Ready,
    Refused,
    Release,
    Remove,
    Saw,
    ToSender,
    answer,
    decode_from_sender,
    encode,
)

log = structlog.get_logger(__name__)


class PackedStore(LeaseStore, DeviceStore, AnswerStore, Protocol):
    """A store that hands chunks out and takes results without looking into them."""

    async def claim_packed(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[PackedLease]:
        """As `LeaseStore.claim`."""

    async def append_packed(self, chunk: Lease, packed: bytes, counts: Counts, at: int) -> bool:
        """As `LeaseStore.append_records`, the latest record of `at` (ms)."""


class Hub(Protocol):
    """What reaches all processes."""

    async def let_go(self, message: LetGo, sender: Desk) -> int:
        """A sender found that a credential works again, or has one chunk tried; how many are due now."""

    def refused(self, message: Refused, sender: Desk) -> None:
        """A sender met a refusal."""

    def alarm(self, message: Alarm) -> None:
        """A sender met a refusal that the account should know of."""

    def saw(self, message: Saw) -> None:
        """A sender wrote outcomes."""

    def measured(self, message: Measured, sender: Desk) -> None:
        """A sender tells how its engine is."""


class Desk:
    """Answers one sender's calls, side by side, and keeps its leases: what it leaves behind is given back."""

    def __init__(self, store: PackedStore, hub: Hub, clock: Clock, worker: str) -> None:
        self._store, self._hub, self._clock, self._worker = store, hub, clock, worker
        self._held: dict[tuple[bytes, int], Lease] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.wire = Wire(self._received, self._lost)
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        """The sender says nothing more."""

    def __repr__(self) -> str:
        return f"Desk({self._worker!r}, held={len(self._held)}, running={len(self._running)})"

    def send(self, message: ToSender) -> None:
        """Tells the sender what it must know."""
        self.wire.send(encode(message))

    def hint(self, message: ToSender) -> None:
        """Tells the sender what it would find out by itself."""
        self.wire.hint(encode(message))

    async def give_back(self) -> int:
        """Once the sender is dead: finishes what it asked for, so that no answer it had is lost, and makes due what it
        held; how many chunks that were."""
        while self._running:
            await asyncio.wait(self._running)
        given, now = 0, int(self._clock.time() * 1000)
        for lease in self._held.values():
            try:
                given += await self._store.release(lease, now, now)
            except Unavailable as error:  # its lease runs out by itself
                log.warning("sender.not_given_back", chunk=lease.id.hex(), error=str(error))
            except Exception:
                log.exception("sender.give_back_failed", chunk=lease.id.hex())  # its lease runs out by itself
        self._held.clear()
        return given

    # ---- from the sender

    def _received(self, body: bytes) -> None:
        match decode_from_sender(body):
            case Ready():
                self.ready.set()
            case Refused() as message:
                self._hub.refused(message, self)
            case Alarm() as message:
                self._hub.alarm(message)
            case Saw() as message:
                self._hub.saw(message)
            case Measured() as message:
                self._hub.measured(message, self)
            case call:
                task = asyncio.ensure_future(self._answer(call))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    def _lost(self) -> None:
        self.ended.set()

    async def _answer(self, call: Call) -> None:
        try:
            said = answer(call.number, await self._do(call))
        except StoreError as error:
            said = encode(Fault(call.number, type(error).__name__, str(error)))
        except Exception as error:
            log.exception("sender.call_failed", call=type(call).__name__)
            said = encode(Fault(call.number, "", f"{type(error).__name__}: {error}"))
        try:
            self.wire.send(said)
        except FrameTooLarge as error:
            log.error("sender.answer_too_large", call=type(call).__name__, error=str(error))
            self.wire.send(encode(Fault(call.number, "", str(error))))

    def _do(self, call: Call) -> Awaitable[object]:
        store = self._store
        match call:
            case Claim():
                return self._claim(call)
            case Extend():
                return store.extend(call.lease, call.until)
            case Append():
                return store.append_packed(call.lease, call.packed, call.counts, call.at)
            case Finish():
                return self._leaves(call.lease, store.finish(call.lease, call.at))
            case Release():
                return self._leaves(call.lease, store.release(call.lease, call.due, call.at, held=call.held))
            case LetGo():
                return self._hub.let_go(call, self)
            case Learn():
                return store.learn_environments(call.account, call.app_name, dict(call.learned))
            case Heard():
                return self._heard(call)
            case Remove() | Quarantine():
                return self._fate(call)
        raise TypeError(f"no call: {type(call).__name__}")

    async def _heard(self, call: Heard) -> bool:
        await self._store.tell_answers({(account, ident): each for account, ident, each in call.answers})
        return True

    async def _claim(self, call: Claim) -> Sequence[PackedLease]:
        claimed = await self._store.claim_packed(
            call.lane,
            call.shard,
            limit=call.limit,
            now=call.now,
            until=call.until,
            worker=self._worker,
            hand=call.hand,
        )
        self._held |= {(chunk.operation_id, chunk.first): chunk for chunk in claimed}
        return claimed

    async def _leaves(self, lease: Lease, done: Awaitable[bool]) -> bool:
        result = await done
        self._held.pop((lease.operation_id, lease.first), None)
        return result

    def _fate(self, call: Remove | Quarantine) -> Awaitable[bool]:
        if isinstance(call, Remove):
            return self._store.remove_device(
                call.account,
                call.app_name,
                call.provider,
                call.token,
                dead_since=call.dead_since,
                environment=call.environment,
                reason=call.reason,
                kind=call.kind,
                remember=call.remember,
                refusal=call.refusal,
            )
        return self._store.quarantine_device(
            call.account,
            call.app_name,
            call.provider,
            call.token,
            reason=call.reason,
            at=call.at,
            environment=call.environment,
            kind=call.kind,
            remember=call.remember,
            refusal=call.refusal,
        )
