"""Users' devices, read once: as a large send is accepted, for when its chunks are planned.

Among millions of users each is on a page of its own, and to read that twice is most of what a push then costs more. So
what accepting a send has read is kept until it is planned, up to a bound, and for no longer than it is true: the
database itself says, by triggers, of which users it changed what can be sent to, and these are forgotten once that is
committed, before anybody is told of it. What is not kept is read again, as is all of it in another process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Set
from typing import Any, NamedTuple

import apsw
from msgspec import structs

from ...domain.devices import Reached
from ...domain.lookups import Known, Wanted
from ...ports import Clock
from . import statements
from .lookups import Lookups
from .registrations import reached_of
from .users import Users

_registrations, _users = statements.load("registrations"), statements.load("users")

MOST_AHEAD = 20_000
"""Users that are kept; with two devices each they take about 10 MB."""
MOST_EACH = 4
"""Devices for each user of one question, on the average, above which nothing of it is kept."""
AHEAD_SECONDS = 10.0
"""So long after it was read it is taken to have been forgotten, as when the send was cancelled."""
AHEAD_SLICE = 1_000
"""Users of one question: 5 ms of the reader's, in which it has nothing else to do."""

_TRIGGERS = """
CREATE TEMP TRIGGER ahead_came AFTER INSERT ON main.reachable BEGIN SELECT heliogram_reached(new.user_id); END;
CREATE TEMP TRIGGER ahead_went AFTER DELETE ON main.reachable BEGIN SELECT heliogram_reached(old.user_id); END;
CREATE TEMP TRIGGER ahead_changed AFTER UPDATE ON main.reachable BEGIN
  SELECT heliogram_reached(old.user_id);
  SELECT heliogram_reached(new.user_id);
END;
"""

Where = tuple[bytes, str | None, str, str | None]
"""Account, app, kind and Live Activity."""


class _Kept(NamedTuple):
    """Users that were read at a moment."""

    at: float
    where: Where
    users: Set[bytes]


class Reading:
    """A question that is being answered, and the users that changed meanwhile."""

    def __init__(self) -> None:
        self.changed: set[bytes] = set()

    def __repr__(self) -> str:
        return f"Reading(changed={len(self.changed)})"


class ReadAhead:
    """What was read of users and is true. The writer's thread says what changes; any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._devices: dict[Where, dict[bytes, list[Reached]]] = {}
        self._order: deque[_Kept] = deque()
        self._pending: set[bytes] = set()
        self._readings: set[Reading] = set()

    def __repr__(self) -> str:
        return f"ReadAhead(users={self._count()}, reading={len(self._readings)})"

    def watch(self, connection: apsw.Connection) -> None:
        """Has the connection that writes tell what it changes."""
        connection.create_scalar_function("heliogram_reached", self._changes, 1)
        connection.execute(_TRIGGERS)

    def _changes(self, *values: Any) -> None:
        self._pending.add(values[0])

    def committed(self) -> None:
        """What was changed is there for all to see: nobody may use what it was before."""
        if not self._pending:
            return
        with self._lock:
            for reading in self._readings:
                reading.changed |= self._pending
            for kept in self._devices.values():
                for user in self._pending.intersection(kept):
                    del kept[user]
        self._pending.clear()

    def begin(self) -> Reading:
        """A question is about to be asked."""
        reading = Reading()
        with self._lock:
            self._readings.add(reading)
        return reading

    def end(self, reading: Reading) -> None:
        """It was answered, or not."""
        with self._lock:
            self._readings.discard(reading)

    def has_room(self, users: int) -> bool:
        """Whether so many more may be kept."""
        with self._lock:
            self._forget_old()
            return self._count() + users <= MOST_AHEAD

    def keep(self, reading: Reading, where: Where, found: dict[bytes, list[Reached]]) -> None:
        """What a question found, but for whoever has changed since it was begun. With many devices nothing is."""
        if sum(map(len, found.values())) > MOST_EACH * len(found):
            return
        with self._lock:
            kept = self._devices.setdefault(where, {})
            kept.update(found)
            for user in reading.changed.intersection(found):
                del kept[user]
            self._order.append(_Kept(self._clock.monotonic(), where, frozenset(found)))

    def take(self, where: Where, users: Collection[bytes]) -> dict[bytes, list[Reached]]:
        """What is known of these users, and is forgotten with that: whoever is not told has to be read."""
        with self._lock:
            self._forget_old()
            kept = self._devices.get(where)
            if not kept:
                return {}
            pop = kept.pop
            return {user: pop(user) for user in users if user in kept}

    def _count(self) -> int:
        return sum(map(len, self._devices.values()))

    def _forget_old(self) -> None:
        before = self._clock.monotonic() - AHEAD_SECONDS
        while self._order and (self._order[0].at <= before or not self._devices.get(self._order[0].where)):
            _, where, users = self._order.popleft()
            kept = self._devices.get(where, {})
            for user in users & kept.keys():
                del kept[user]
            if not kept:
                self._devices.pop(where, None)


class LookAhead(Lookups, Users):
    """`Lookups` that reads a large send's users once."""

    _ahead: ReadAhead | None = None
    """None where nobody tells what changes: in a process that only reads."""

    async def look_ahead(self, account: bytes, wanted: Wanted) -> set[bytes]:
        """Which of the users the account does not have; what can be sent to of the others is read with that, and kept
        for `look_up`."""
        users, missing = sorted(wanted.users), set[bytes]()
        ahead, where = self._ahead, _where(account, wanted)
        for first in range(0, len(users), AHEAD_SLICE):
            part = users[first : first + AHEAD_SLICE]
            if ahead is None or not ahead.has_room(len(part)):
                return missing | await self.missing_users(account, users[first:])
            reading = ahead.begin()
            try:
                found, gone = await self._read(lambda c, part=part: self._reach(c, where, part))  # type: ignore[misc]
                ahead.keep(reading, where, found)
            finally:
                ahead.end(reading)
            missing |= gone
        return missing

    async def look_up(self, account: bytes, wanted: Wanted) -> Known:
        """As `Lookups.look_up`; users that were read a moment ago, and have not changed since, are not read again."""
        if self._ahead is None or not wanted.users or wanted.missing:
            return await super().look_up(account, wanted)
        kept = self._ahead.take(_where(account, wanted), wanted.users)
        if not kept:
            return await super().look_up(account, wanted)
        known = await super().look_up(account, structs.replace(wanted, users=wanted.users.difference(kept)))
        known.devices.update(kept)
        return known

    def _reach(
        self, connection: apsw.Connection, where: Where, users: list[bytes]
    ) -> tuple[dict[bytes, list[Reached]], set[bytes]]:
        """The devices of users, and which of them there are not: who has a device is there."""
        account, app_name, kind, activity = where
        of_users = {"account": account, "app": app_name, "kind": kind, "activity": activity}
        found = reached_of(
            connection.execute(_registrations.devices_of_users, {**of_users, "users": self._array(users)})
        )
        others = [user for user in users if user not in found]
        if not others:
            return found, set()
        of_others = {"account": account, "users": self._array(others)}
        rows: Any = connection.execute(_users.missing_users, of_others).fetchall()
        missing = {user for (user,) in rows}
        found.update((user, []) for user in others if user not in missing)
        return found, missing


def _where(account: bytes, wanted: Wanted) -> Where:
    return account, wanted.app_name, wanted.kind.value, wanted.activity_id
