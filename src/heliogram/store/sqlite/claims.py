"""Who goes next: accounts take turns by their weights, an account's queues take turns, and nobody holds all slots.

A turn is an account's weight in chunks (deficit round robin): shares converge to the weights, and whoever waits has at
most the others' turns in front. The state is one process's own; several together are as fair as each of them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from ...domain.operations import OperationStatus
from ...domain.webhooks import EventType
from ...ports import InHand, PackedLease
from ...ports.work import ACCOUNT_BYTES, FLOWS_AT_ONCE
from . import statements
from .canceling import Where, end_operation, end_rest
from .events import emit_operation
from .packed import packed_lease
from .turns import Turn, Turns

_sql = statements.load("claims")

STEPS = 8
"""So many queues are looked at one by one, which is cheapest for few; those after them in one go."""
_BEYOND = b"\xff"
"""Behind every name of an app: no byte of UTF-8."""
_END = _BEYOND * (ACCOUNT_BYTES + 1)


class Kind(NamedTuple):
    """Chunks to choose from, by the statements that find them."""

    name: str
    step: str
    flows: str
    chunks: str


_STARTING = Kind("starting", _sql.starting_step, _sql.starting_flows, _sql.starting_chunks)
"""First chunks of scheduled operations whose time has come: half of the slots are theirs, whatever is queued."""
_DUE = Kind("due", _sql.due_step, _sql.due_flows, _sql.due_chunks)


def claim(connection: apsw.Connection, wanted: Where, turns: Turns, hand: InHand | None) -> list[PackedLease]:
    """At most `limit` chunks of one lane and shard, leased."""
    return Claim(connection, wanted, turns, hand).run()


class Claim:
    """One claim."""

    def __init__(self, connection: apsw.Connection, wanted: Where, turns: Turns, hand: InHand | None) -> None:
        self._connection = connection
        self._wanted = wanted
        self._turns = turns
        self._slots = None if hand is None else hand.slots
        self._flows = Counter({} if hand is None else hand.flows)
        self._accounts: Counter[bytes] = Counter()
        for flow, count in self._flows.items():
            self._accounts[flow[:ACCOUNT_BYTES]] += count
        self._taken = sum(self._flows.values())
        self._first: dict[bytes, bytes] = {}
        self._place = wanted["lane"], wanted["shard"]
        self._left: int = wanted["limit"]
        self._claimed: list[PackedLease] = []
        turns.look(wanted["now"])

    def run(self) -> list[PackedLease]:
        """The leased chunks, in the order in which they are to go."""
        odd = self._left % 2
        began = odd and self._place in self._turns.began
        begin = (self._left + odd) // 2 - began
        rest = self._left - begin
        starting = self._serve(_STARTING, begin)
        if odd:
            used_up = self._left == rest and not began
            (self._turns.began.add if used_up else self._turns.began.discard)(self._place)
        self._serve(_DUE, self._left)
        if starting:
            self._serve(_STARTING, self._left)
        return self._claimed

    def _serve(self, kind: Kind, limit: int) -> bool:
        """Claims at most so many of a kind; False when there is nothing of it."""
        if limit <= 0:
            return True
        stop = self._left - limit
        accounts = list(self._in_turn(kind, limit + len(self._accounts)))
        if not accounts:
            self._turns.accounts.pop((*self._place, kind.name), None)
            return False
        weights = self._weights({*accounts, *self._accounts} if len(accounts) > 1 or self._accounts else {*accounts})
        for fair in (True, False) if self._slots is not None else (False,):
            waiting = accounts.copy()
            while self._left > stop and waiting:
                for account, count in self._allot(kind, waiting, weights, self._left - stop, fair=fair):
                    most = self._most(account, weights, fair=fair)
                    if self._take(kind, account, count, most) < count:
                        waiting.remove(account)
                waiting = [account for account in waiting if self._room(account, weights, fair=fair) > 0]
        return True

    # --- whose turn it is

    def _in_turn(self, kind: Kind, most: int) -> Iterator[bytes]:
        """The accounts with something to claim, beginning with the one whose turn it is: at most so many."""
        turn = self._turns.accounts.get((*self._place, kind.name))
        start = b""
        if turn is not None:
            start = turn.account if turn.used < self._weight(turn.account) else turn.account + _BEYOND
        for begin, end in ((start, _END), (b"", start)):
            after = begin
            while most > 0 and after < end:
                found = self._find(kind, after, end, 1)
                if not found:
                    break
                account = found[0][:ACCOUNT_BYTES]
                self._first[account] = found[0]
                yield account
                most -= 1
                after = account + _BEYOND

    def _find(self, kind: Kind, after: bytes, below: bytes, limit: int) -> list[bytes]:
        """At most so many queues between two places with something to claim."""
        values, found = {**self._wanted, "below": below}, list[bytes]()
        for _ in range(STEPS):
            values["after"] = after
            row: Any = self._connection.execute(kind.step, values).fetchone()
            if row is None:
                return found
            after, is_due = row
            if is_due:
                found.append(after)
            if len(found) == limit:
                return found
        values |= {"after": after, "limit": limit - len(found)}
        rows: Any = self._connection.execute(kind.flows, values).fetchall()
        return found + [flow for (flow,) in rows]

    def _weight(self, account: bytes) -> int:
        weight = self._turns.weights.get(account)
        if weight is None:
            found: Any = self._connection.execute(_sql.weight_of, {"account": account}).get
            weight = self._turns.weights[account] = int(found or 1)
        return weight

    def _weights(self, accounts: set[bytes]) -> dict[bytes, int]:
        return {account: self._weight(account) for account in accounts}

    def _allot(
        self, kind: Kind, accounts: list[bytes], weights: dict[bytes, int], left: int, *, fair: bool
    ) -> list[tuple[bytes, int]]:
        """How many chunks each account gets, turn after turn, as if each had as many as it may take."""
        key = (*self._place, kind.name)
        turn = self._turns.accounts.get(key, Turn(b"", 0))
        room = {account: min(left, self._room(account, weights, fair=fair)) for account in accounts}
        counts = dict.fromkeys(accounts, 0)
        while left > 0 and any(room.values()):
            for account in accounts:
                used = turn.used if turn.account == account and turn.used < weights[account] else 0
                count = min(weights[account] - used, room[account], left)
                if count > 0:
                    counts[account] += count
                    room[account] -= count
                    left -= count
                    turn = Turn(account, used + count)
        self._turns.accounts[key] = turn
        return [(account, count) for account, count in counts.items() if count > 0]

    def _room(self, account: bytes, weights: dict[bytes, int], *, fair: bool) -> int:
        """How many more slots an account may take: up to its share by weight among those who wait or work, or to what
        one may ever have."""
        if self._slots is None:
            return self._left
        return max(0, self._most(account, weights, fair=fair) - self._accounts[account]) if self._has_room() else 0

    def _most(self, account: bytes, weights: dict[bytes, int], *, fair: bool) -> int:
        """How many slots an account may have."""
        if self._slots is None:
            return sys.maxsize
        if not fair:
            return self._slots.account
        return min(self._slots.account, max(1, self._slots.total * weights[account] // sum(weights.values())))

    # --- what it gets

    def _take(self, kind: Kind, account: bytes, count: int, most: int) -> int:
        """Claims for an account, of its queues in turn, until it has so many slots; how many chunks were found, some of
        them perhaps stopped."""
        flows = self._flows_in_turn(kind, account)
        found = 0
        shares = [(flow, len(flows) - place) for place, flow in enumerate(flows)]
        for flow, among in (*shares, *((flow, 1) for flow in flows)):
            share = min(-(-(count - found) // among), self._room_in(flow))
            if share <= 0:
                continue
            values = {**self._wanted, "flow": flow, "limit": share}
            rows = self._chunks(kind, values)
            if rows:
                self._turns.flows[(*self._place, account)] = flow
            for row in rows:
                if self._room_in(flow) <= 0 or self._accounts[account] >= most:
                    break
                self._lease(flow, row)
                found += 1
        return found

    def _chunks(self, kind: Kind, values: Where) -> list[Any]:
        """At most so many chunks of a queue."""
        rows: list[Any] = self._connection.execute(kind.chunks, values).fetchall()
        return rows

    def _flows_in_turn(self, kind: Kind, account: bytes) -> list[bytes]:
        """The account's queues with something to claim, beginning after the one that was served last."""
        end, last = account + _BEYOND, self._turns.flows.get((*self._place, account), account)
        first = self._first[account]
        flows = [first, *self._find(kind, first, end, FLOWS_AT_ONCE - 1)]
        if len(flows) == FLOWS_AT_ONCE:
            later = self._find(kind, last, end, FLOWS_AT_ONCE)
            flows = later + [flow for flow in flows if flow not in later][: FLOWS_AT_ONCE - len(later)]
        else:
            flows = [flow for flow in flows if flow > last] + [flow for flow in flows if flow <= last]
        return flows

    def _room_in(self, flow: bytes) -> int:
        if self._slots is None:
            return self._left
        return self._slots.flow - self._flows[flow] if self._has_room() else 0

    def _has_room(self) -> bool:
        return self._slots is None or self._taken < self._slots.total

    def _lease(self, flow: bytes, row: Any) -> None:
        """Hands out one chunk, unless its operation was stopped while a worker that is gone held it."""
        wanted = self._wanted
        account, operation, first, attempt, written, packed, spec, created, send_at, status, canceled, size = row
        where = {**wanted, "account": account, "operation": operation, "first": first, "at": wanted["now"]}
        if canceled is not None:
            end_rest(self._connection, where)
            end_operation(self._connection, where)
            return
        self._connection.execute(_sql.claim_chunk, where)
        if status == OperationStatus.SCHEDULED:
            self._connection.execute(_sql.begin_operation, where)
            emit_operation(self._connection, account, EventType.OPERATION_PROCESSING, operation, wanted["now"])
        parts: Any = self._connection.execute(_sql.parts, where).fetchall() if written else ()
        taken = 1 if self._slots is None else self._slots.taken_by(size)
        self._taken += taken
        self._flows[flow] += taken
        self._accounts[account] += taken
        self._left -= 1
        self._claimed.append(
            packed_lease(
                (account, operation, first),
                lane=wanted["lane"],
                shard=wanted["shard"],
                flow=flow,
                attempt=attempt + 1,
                row=(packed, spec, created, send_at),
                parts=[part for (part,) in parts],
                wanted=wanted,
            )
        )
