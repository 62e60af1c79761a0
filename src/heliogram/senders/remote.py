"""The store as a sender has it: it reads the database by itself, and has everything written by the serving process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ..domain.apps import App, Credential, CredentialState, Environment, ProviderName
from ..domain.devices import Reached, TokenKind
from ..domain.history import TokenRefusal
from ..domain.lookups import Known, Wanted
from ..domain.notifications import DeliveryRecord
from ..domain.operations import Counts, Lane
from ..domain.packing import pack_records
from ..ports import CredentialStates, DeviceStore, Lease, LeasedChunk, LeaseStore, OneAppStore, PackedLease
from ..ports.health import Answers
from ..ports.work import InHand
from ..store import errors
from ..store.sqlite.packed import open_leases
from .frames import Wire
from .messages import (
    Answer,
    Append,
    Call,
    Claim,
    Extend,
    Fault,
    Finish,
    Heard,
    Learn,
    LetGo,
    Quarantine,
    Release,
    Remove,
    encode,
)

T = TypeVar("T")


class Reading(OneAppStore, CredentialStates, DeviceStore, LeaseStore, Protocol):
    """What the database is asked for here."""


class Caller:
    """Calls the serving process. A caller who is cancelled leaves what was asked for to happen."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._number = 0

    def __repr__(self) -> str:
        return f"Caller(waiting={len(self._waiting)}, called={self._number})"

    async def call(self, call: Call, type_: type[T]) -> T:
        """What the call returns. Raises what it raised there, if that was a `StoreError`; else `StoreError`."""
        self._number += 1
        number = self._number
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._wire.send(encode(msgspec.structs.replace(call, number=number)))
            return msgspec.msgpack.decode(await future, type=type_)
        finally:
            self._waiting.pop(number, None)

    def answered(self, message: Answer | Fault) -> None:
        """Hands an answer to whoever waits for it."""
        future = self._waiting.get(message.number)
        if future is None or future.done():
            return
        if isinstance(message, Answer):
            future.set_result(message.value)
        else:
            future.set_exception(_error(message))


def _error(fault: Fault) -> errors.StoreError:
    kind: Any = getattr(errors, fault.kind, errors.StoreError) if fault.kind else errors.StoreError
    known = isinstance(kind, type) and issubclass(kind, errors.StoreError)
    error: errors.StoreError = kind(fault.message) if known else errors.StoreError(fault.message)
    return error


class RemoteStore:
    """`ports.SendingStore` of a sender: `here` answers what is read, `there` is called for what is written."""

    def __init__(self, here: Reading, there: Caller) -> None:
        self._here, self._there = here, there

    def __repr__(self) -> str:
        return f"RemoteStore({self._here!r}, {self._there!r})"

    # ---- read here

    async def get_credential(self, account: bytes, credential_id: bytes) -> Credential | None:
        """See the port."""
        return await self._here.get_credential(account, credential_id)

    async def sealed_credential(self, account: bytes, credential_id: bytes) -> tuple[Credential, bytes] | None:
        """See the port."""
        return await self._here.sealed_credential(account, credential_id)

    async def get_app(self, account: bytes, name: str) -> App | None:
        """See the port."""
        return await self._here.get_app(account, name)

    async def credential_states(self, account: bytes) -> dict[bytes, CredentialState]:
        """See the port."""
        return await self._here.credential_states(account)

    async def look_up(self, account: bytes, wanted: Wanted) -> Known:
        """See the port."""
        return await self._here.look_up(account, wanted)

    async def devices_of_users(
        self,
        account: bytes,
        app_name: str,
        user_ids: Iterable[bytes],
        *,
        kind: TokenKind | None = None,
        activity_id: str | None = None,
    ) -> dict[bytes, list[Reached]]:
        """See the port."""
        return await self._here.devices_of_users(account, app_name, user_ids, kind=kind, activity_id=activity_id)

    async def next_due(self, lane: Lane, shard: int, *, after: int | None = None) -> int | None:
        """See the port."""
        return await self._here.next_due(lane, shard, after=after)

    async def canceled_of(self, chunks: Sequence[Lease]) -> set[bytes]:
        """See the port."""
        return await self._here.canceled_of(chunks)

    # ---- written there

    async def claim(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[LeasedChunk]:
        """See the port. The serving process knows the worker, and writes down its name for it."""
        call = Claim(lane=lane, shard=shard, limit=limit, now=now, until=until, hand=hand)
        return await open_leases(await self._there.call(call, list[PackedLease]))

    async def extend(self, chunk: Lease, until: int) -> bool:
        """See the port."""
        return await self._there.call(Extend(lease=_lease(chunk), until=until), bool)

    async def extend_all(self, chunks: Sequence[Lease], until: int) -> int:
        """See the port. A sender has few chunks: a call each, which the serving process writes together."""
        return sum(await asyncio.gather(*[self.extend(chunk, until) for chunk in chunks]))

    async def append_records(self, chunk: Lease, records: Sequence[DeliveryRecord], counts: Counts) -> bool:
        """See the port."""
        at = max((record.at for record in records), default=0)
        call = Append(lease=_lease(chunk), packed=pack_records(records), counts=counts, at=at)
        return await self._there.call(call, bool)

    async def finish(
        self, chunk: Lease, at: int, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """See the port. A last part is a call of its own: it may be large, and frames are not."""
        if records and counts is not None and not await self.append_records(chunk, records, counts):
            return False
        return await self._there.call(Finish(lease=_lease(chunk), at=at), bool)

    async def release(self, chunk: Lease, due: int, at: int, *, held: bytes | None = None) -> bool:
        """See the port."""
        return await self._there.call(Release(lease=_lease(chunk), due=due, at=at, held=held), bool)

    async def let_go_held(self, account: bytes, credential_id: bytes, now: int, *, most: int | None = None) -> int:
        """See the port. It is the serving process's moment that counts."""
        return await self._there.call(LetGo(account=account, credential_id=credential_id, most=most), int)

    async def tell_answers(self, answers: Answers) -> None:
        """See the port."""
        told = [(account, ident, each) for (account, ident), each in answers.items()]
        await self._there.call(Heard(answers=told), bool)

    async def learn_environments(self, account: bytes, app_name: str, learned: Mapping[bytes, Environment]) -> int:
        """See the port."""
        return await self._there.call(Learn(account=account, app_name=app_name, learned=list(learned.items())), int)

    async def remove_device(
        self,
        account: bytes,
        app_name: str,
        provider: ProviderName,
        token: bytes,
        *,
        dead_since: int | None,
        environment: Environment | None = None,
        reason: str = "",
        kind: TokenKind | None = None,
        remember: bytes | None = None,
        refusal: TokenRefusal | None = None,
    ) -> bool:
        """See the port."""
        call = Remove(
            account=account,
            app_name=app_name,
            provider=provider,
            token=token,
            dead_since=dead_since,
            environment=environment,
            reason=reason,
            kind=kind,
            remember=remember,
            refusal=refusal,
        )
        return await self._there.call(call, bool)

    async def quarantine_device(
        self,
        account: bytes,
        app_name: str,
        provider: ProviderName,
        token: bytes,
        *,
        reason: str,
        at: int,
        environment: Environment | None = None,
        kind: TokenKind | None = None,
        remember: bytes | None = None,
        refusal: TokenRefusal | None = None,
    ) -> bool:
        """See the port."""
        call = Quarantine(
            account=account,
            app_name=app_name,
            provider=provider,
            token=token,
            reason=reason,
            at=at,
            environment=environment,
            kind=kind,
            remember=remember,
            refusal=refusal,
        )
        return await self._there.call(call, bool)


def _lease(chunk: Lease) -> Lease:
    """The lease alone: what else a chunk carries stays here."""
    return Lease(**{name: getattr(chunk, name) for name in Lease.__struct_fields__})
