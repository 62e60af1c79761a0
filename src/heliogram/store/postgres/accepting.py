"""Accepting sends: small ones of an account that come at the same moment go together, in one transaction.

While one such transaction is on its way to the disk, what comes next gathers for the following one. Each send is kept
or refused by itself. `migrations/0010_together.sql` says how the queue's bounds are kept by any number of nodes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import apsw

from ...domain.backlog import QueueBounds, share_of
from ...domain.operations import CHUNK_SIZE, Lane, NewChunk, Operation, OperationStatus, flow_of
from ...domain.webhooks import EventType
from ...ports import Hold
from ..errors import Conflict
from ..sqlite import statements
from ..sqlite.base import offload
from ..sqlite.depth import EVERYBODY
from ..sqlite.events import emit_operation
from ..sqlite.packed import PackedOperation, pack_operation, pack_tags
from ..sqlite.work import Work
from .facade import Rows, run_job
from .gathering import Gathering
from .jobs import READ_COMMITTED
from .link import Link
from .listing import Lists

_sql = statements.load("queueing", __package__)

ACCEPT_MOST = 64
"""Small sends that are accepted in one transaction."""
NEAR = 10
"""In the last one part in so many of a bound, sends are accepted one after another."""
_FULL, _KEPT, _LOUD, _THERE = range(4)


class _Counted:
    """Answers a doorkeeper, who asks for depths, with what is known of them already."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def execute(self, _statement: str, _values: object) -> Rows:
        return Rows(self._rows)


class _Send(NamedTuple):
    """A send that is to be accepted: a row for its operation, one for each of its chunks."""

    operation: Operation
    bounds: QueueBounds | None
    row: tuple[Any, ...]
    chunks: list[tuple[Any, ...]]


class _Said(NamedTuple):
    """What the database says of a send; how many wait, in all and of the account; whether it was asked more than once:
    it may have met itself."""

    outcome: int
    depths: list[Any]
    again: bool


_ROW = (
    *("ids", "apps", "specs", "recipients", "statuses", "created", "updated", "send_at", "send_at_text", "tags"),
    *("shards", "flows", "states", "due", "attempts", "workers", "claimed", "starts"),
)
_CHUNK = ("firsts", "sizes", "packed", "prints")


def _row(operation: Operation, packed: PackedOperation, shard: int, hold: Hold | None, step: int) -> tuple[Any, ...]:
    held: tuple[Any, ...] = (0, operation.start, 0, "", 0)
    if hold is not None:
        held = (1, hold.until + step, 1, hold.worker, hold.since + step)
    return (
        operation.id,
        operation.spec.app_name,
        packed.spec,
        operation.recipients,
        operation.status.value,
        operation.created,
        operation.updated,
        operation.send_at,
        operation.send_at_text,
        pack_tags(operation.tags),
        shard,
        flow_of(operation.account_id, operation.spec),
        *held,
        int(operation.status is OperationStatus.SCHEDULED),
    )


def _values(account: bytes, sends: Sequence[_Send]) -> dict[str, Any]:
    first = sends[0]
    values: dict[str, Any] = {"account": account, "lane": int(first.operation.lane), **_bounds(first)}
    values |= zip(_ROW, zip(*[send.row for send in sends], strict=True), strict=True)
    values["of"] = [number for number, send in enumerate(sends, 1) for _ in send.chunks]
    values |= zip(_CHUNK, zip(*[chunk for send in sends for chunk in send.chunks], strict=True), strict=True)
    return values


def _bounds(send: _Send) -> dict[str, int | None]:
    bounds, lane = send.bounds, send.operation.lane
    if bounds is None:
        return dict.fromkeys(("most", "near", "account_most", "account_near"))
    most, account = share_of(bounds.total, lane), share_of(bounds.account, lane)
    return {
        "most": most,
        "near": most - bounds.total // NEAR,
        "account_most": account,
        "account_near": account - bounds.account // NEAR,
    }


class Accepting(Lists, Work):
    """How operations come into the store."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._together: dict[tuple[bytes, QueueBounds | None], Gathering[_Send, _Said]] = {}

    async def accept(
        self,
        account: bytes,
        operation: Operation,
        chunks: Sequence[NewChunk],
        *,
        shard: int = 0,
        bounds: QueueBounds | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Makes an operation and its chunks durable: when this returns, they are on disk.

        Raises `ValueError` when the chunks are not the operation's or may not be held, `QueueFull` when it would pass
        `bounds`, `StoreError` when they could not be written. No number of nodes passes a bound that they agree on.
        """
        if hold is not None and (len(chunks) != 1 or operation.status is not OperationStatus.PROCESSING):
            raise ValueError("hold: expected one chunk that is due now")
        since = self._steps.mark()
        packed = await offload(operation.recipients > CHUNK_SIZE, pack_operation, operation, chunks)
        await self._settle()
        row = _row(operation, packed, shard, hold, self._steps.since(since))
        send = _Send(operation, bounds, row, list(map(tuple, packed.chunks)))
        if operation.lane is Lane.TX:
            said = await self._gathered(account, send)
        else:
            (said,) = await self._accept_all(account, [send])
        if said.again and said.outcome in (_FULL, _LOUD) and await self._is_there(operation):
            return  # kept by a try whose connection was lost: what stands in its way now has come since, or is itself
        if said.outcome == _LOUD:
            (said,) = await self._accept_all(account, [send], loud=True)
        self._judge(send, said)

    async def _gathered(self, account: bytes, send: _Send) -> _Said:
        """Each account's sends gather by themselves: one that waits keeps no other waiting."""
        key = account, send.bounds
        gathering = self._together.get(key)
        if gathering is None:
            accept = functools.partial(self._accept_all, account)
            forget = functools.partial(self._together.pop, key, None)
            gathering = self._together[key] = Gathering(accept, ACCEPT_MOST, forget)
        return await gathering(send)

    async def _is_there(self, operation: Operation) -> bool:
        where = {"account": operation.account_id, "operation": operation.id}
        return bool(await self._jobs.look(lambda link: link.execute(_sql.is_there, where)))

    async def _accept_all(self, account: bytes, sends: Sequence[_Send], *, loud: bool = False) -> list[_Said]:
        """The database's word on sends of one lane. Where it is nearly full it asks for another try, alone: as a
        transaction of its own, for two that held their place meanwhile would wait for each other."""
        values, tries, alone, repeated = {**_values(account, sends), "loud": loud}, 0, 0, False

        async def body(link: Link) -> Any:
            nonlocal tries
            tries += 1
            (row,) = await link.execute(_sql.accept, {**values, "alone": alone})
            if loud and row[0] == [_KEPT] and not row[5]:
                await self._tell_begun(sends[0].operation, link)
            return row

        while True:
            tries = 0
            outcomes, waiting, ended, account_waiting, account_ended, again = await self._jobs.transact(
                body, READ_COMMITTED if loud else None
            )
            repeated = repeated or (tries > 1 and not loud)
            if not again:
                break
            alone = again
        none = [None] * len(sends)
        depths = zip(waiting or none, account_waiting or none, strict=True)
        return [
            _Said(outcome, [(EVERYBODY, each, ended), (account, own, account_ended)], repeated)
            for outcome, (each, own) in zip(outcomes, depths, strict=True)
        ]

    async def _tell_begun(self, operation: Operation, link: Link) -> None:
        """The event that says so to webhooks."""
        scheduled = operation.status is OperationStatus.SCHEDULED
        type_ = EventType.OPERATION_SCHEDULED if scheduled else EventType.OPERATION_PROCESSING
        told = functools.partial(
            emit_operation, account=operation.account_id, type=type_, operation=operation.id, at=operation.created
        )
        await run_job(told, link)

    def _judge(self, send: _Send, said: _Said) -> None:
        if said.outcome == _THERE and not said.again:
            raise Conflict("the database refused it: an operation with this id is there already")
        if send.bounds is not None and said.outcome in (_FULL, _KEPT):
            self._doorkeeper.admit(cast("apsw.Connection", _Counted(said.depths)), send.operation, send.bounds)

    async def _settle(self) -> None:
        """Moves what a step of this node's clock has put in the wrong place."""
        if self._steps.is_due:
            await self._write_times(lambda _connection, _step: None)
