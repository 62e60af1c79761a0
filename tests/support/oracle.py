"""What devices got, by `apns-id`, against what the API says became of each recipient.

`Received` collects what the simulator answered, `judge` compares it with operations as the API tells of them. Without
crashes and cut connections a push is received exactly once, and only if the API calls it SENT. What may differ is to be
named: ids whose answer was not on disk when the service was killed (`unrecorded`, see `Disk`).
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from heliogram.domain import ids
from heliogram.domain.notifications import Outcome
from heliogram.simulator import Simulator
from heliogram.store.sqlite.packed import open_records

PUSH = "/v1/PushNotifications"
DEVICE_PATH = "/3/device/"
PAGE = 100_000
LISTED = 1_000
ENDED = ("sent", "failed", "canceled", "unaddressable")
PARTS = ("scheduled", "queued", *ENDED)

Ask = Callable[[str], Any]
"""`GET` of a path of the REST API, below its root; the decoded answer."""


class Received:
    """Every push that the simulator took, by `apns-id`; read on from where it was read last."""

    def __init__(self) -> None:
        self.last = 0
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tokens: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Received(pushes={self.accepted.total()}, ids={len(self.accepted)}, refused={self.refused.total()})"

    def read(self, control: httpx2.Client) -> Received:
        """Reads what has come since, from the control API of a simulator in another process."""
        while True:
            answer = control.get("/answers", params={"after": self.last, "limit": PAGE}, timeout=60)
            assert answer.status_code == 200, answer.text
            rows = answer.json()["answers"]
            for row in rows:
                self._take(row["number"], row["apnsId"], row["path"], row["status"])
            if len(rows) < PAGE:
                return self

    def look(self, simulator: Simulator) -> Received:
        """Reads what has come since, from a simulator in this process."""
        for row in simulator.apns.journal.answers(self.last, 10_000_000):
            self._take(row.number, row.apns_id, row.path, row.status)
        return self

    @property
    def duplicates(self) -> dict[str, int]:
        """How often more than once a push was taken."""
        return {apns_id: times - 1 for apns_id, times in self.accepted.items() if times > 1}

    def _take(self, number: int, apns_id: str, path: str, status: int) -> None:
        assert number == self.last + 1, f"answers {self.last + 1} to {number - 1} are forgotten: --set journal=…"
        self.last = number
        apns_id = apns_id.lower()
        if status == 200:
            self.accepted[apns_id] += 1
            self.tokens[apns_id] = path.removeprefix(DEVICE_PATH).lower()
        else:
            self.refused[apns_id] += 1


@dataclass
class Verdict:
    """`duplicates`: pushes taken again; `unsaid`: taken, though the API does not say SENT; both without those that
    may be. `problems`: all that is wrong, a sentence each."""

    operations: int = 0
    recipients: int = 0
    sent: int = 0
    allowed_duplicates: int = 0
    allowed_unsaid: int = 0
    problems: list[str] = field(default_factory=list)

    def check(self) -> Verdict:
        """Fails the test if anything is wrong."""
        shown = "\n".join(self.problems[:20])
        assert not self.problems, f"{len(self.problems)} problems:\n{shown}"
        return self

    def says(self, wrong: bool, problem: str) -> None:
        """Notes a problem, if it is one."""
        if wrong:
            self.problems.append(problem)


def operation_of(ask: Ask, operation_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An operation and all its notifications with their deliveries, page by page."""
    operation: dict[str, Any] = ask(f"{PUSH}/Operations/{operation_id}")
    return operation, _listed(
        ask, f"{PUSH}?operationId={operation_id}&include=deliveries&pageSize={LISTED}", "pushNotifications"
    )


def operations_of(ask: Ask) -> list[dict[str, Any]]:
    """Every operation that the API lists."""
    return _listed(ask, f"{PUSH}/Operations?pageSize={LISTED}", "operations")


Told = tuple[dict[str, Any], list[dict[str, Any]]]
"""An operation, and its notifications."""


def everything(ask: Ask) -> list[Told]:
    """All operations, each with all its notifications and their deliveries."""
    found: dict[str, Told] = {each["id"]: (each, []) for each in operations_of(ask)}
    for each in _listed(ask, f"{PUSH}?include=deliveries&pageSize={LISTED}", "pushNotifications"):
        found[each["operationId"]][1].append(each)
    return list(found.values())


def _listed(ask: Ask, path: str, key: str) -> list[dict[str, Any]]:
    page = ask(path)
    found: list[dict[str, Any]] = list(page[key])
    while page["pagination"]["next"] is not None:
        page = ask(f"{path}&pageToken={page['pagination']['next']}")
        found += page[key]
    return found


def judge(
    told: Iterable[tuple[dict[str, Any], list[dict[str, Any]]]],
    received: Received,
    *,
    unrecorded: Mapping[str, int] | None = None,
    whole: bool = True,
) -> Verdict:
    """Compares. `told`: operations that have ended, as `operation_of` gives them. `unrecorded`: of `apns-id`s, at how
    many kills they had been taken and nothing on disk said so: as often they may come again, and their recipients may
    have ended otherwise. `whole`: nothing but these operations was to be sent.
    """
    verdict, known = Verdict(), set[str]()
    allowed = unrecorded or {}
    for operation, notifications in told:
        _judge_operation(verdict, operation, notifications)
        for each in notifications:
            _judge_notification(verdict, each, received, allowed, known)
    for apns_id, times in received.duplicates.items():
        if apns_id in known or whole:
            verdict.allowed_duplicates += min(times, allowed.get(apns_id, 0))
            may = allowed.get(apns_id, 0)
            verdict.says(times > may, f"{apns_id} was taken {times + 1} times, once and {may} more are explained")
    if whole:
        for apns_id in received.accepted.keys() - known:
            base = _base(apns_id)
            if apns_id in allowed and base in known:
                verdict.allowed_unsaid += 1
            else:
                verdict.problems.append(f"{apns_id} was taken, and the API does not say that it was sent")
    return verdict


def _judge_operation(verdict: Verdict, operation: dict[str, Any], notifications: list[dict[str, Any]]) -> None:
    stats, name = operation["stats"], operation["id"]
    verdict.operations += 1
    verdict.recipients += stats["recipients"]
    verdict.sent += stats["sent"]
    added = sum(stats[part] for part in PARTS)
    verdict.says(not added == stats["total"] == stats["recipients"], f"{name}: the counters do not add up: {stats}")
    verdict.says(stats["scheduled"] + stats["queued"] > 0, f"{name}: not all of it has ended: {stats}")
    listed = Counter("unaddressable" if n["unaddressable"] else n["status"].lower() for n in notifications)
    counted = {part: stats[part] for part in PARTS if stats[part]}
    verdict.says(dict(listed) != counted, f"{name}: the list has {dict(listed)}, the counters say {counted}")
    twice = len(notifications) - len({each["id"] for each in notifications})
    verdict.says(twice != 0, f"{name}: {twice} notifications are listed twice")


def _judge_notification(
    verdict: Verdict, told: dict[str, Any], received: Received, allowed: Mapping[str, int], known: set[str]
) -> None:
    """Adds to `known` its own id, and those of its deliveries that the API says were taken."""
    name, taken = told["id"], 0
    known.add(ids.uuid_text(ids.decode(ids.NOTIFICATION, name)))
    for delivery in told["deliveries"]:
        apns_id, outcome = delivery["apnsId"], delivery["outcome"]
        times = received.accepted.get(apns_id, 0)
        if outcome == "ACCEPTED":
            taken += 1
            known.add(apns_id)
            verdict.says(times == 0, f"{name}: {apns_id} is ACCEPTED, and no device got it")
            if times:
                verdict.says(received.tokens[apns_id] != delivery["token"], f"{name}: {apns_id} went to another token")
        elif outcome == "UNKNOWN":
            known.add(apns_id)
        elif times:
            known.add(apns_id)
            verdict.allowed_unsaid += apns_id in allowed
            verdict.says(apns_id not in allowed, f"{name}: {apns_id} is {outcome}, and the device got it")
    verdict.says((told["status"] == "SENT") != (taken > 0), f"{name}: {told['status']} with {taken} deliveries taken")
    own = ids.uuid_text(ids.decode(ids.NOTIFICATION, name))
    if taken == 0 and own in received.accepted and not told["deliveries"]:
        verdict.allowed_unsaid += own in allowed
        verdict.says(own not in allowed, f"{name}: {told['status']} and never tried, and the device got {own}")


def _base(apns_id: str) -> str:
    """The notification's own id of a delivery's."""
    operation, sequence, _ = ids.split_notification_id(bytes.fromhex(apns_id.replace("-", "")))
    return ids.uuid_text(ids.notification_id(operation, sequence))


class Disk:
    """What a database says of pushes, read from a copy: the next start finds what the crash left."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._last = 0
        self._counted: dict[str, int] = {}
        self.recorded: set[str] = set()
        self.unrecorded: Counter[str] = Counter()
        self.leased = 0

    def __repr__(self) -> str:
        return f"Disk(recorded={len(self.recorded)}, unrecorded={len(self.unrecorded)}, leased={self.leased})"

    def read(self) -> Disk:
        """`recorded`: the `apns-id`s that were taken, or of which nobody can know; those of the latter that are to be
        tried again may come again (`unrecorded`). `leased`: for how many recipients a worker held a chunk and had not
        said how they ended."""
        with tempfile.TemporaryDirectory() as directory:
            for file in self.database.parent.glob(f"{self.database.name}*"):
                if not file.name.endswith("-shm"):
                    shutil.copy(file, directory)
            connection = sqlite3.connect(Path(directory) / self.database.name)
            try:
                self._read(connection)
            finally:
                connection.close()
        return self

    def killed(self, received: Received) -> int:
        """After a kill: how many pushes were taken while nothing on disk says so. Those may be taken once more."""
        self.read()
        found = 0
        for apns_id, times in received.accepted.items():
            if apns_id not in self.recorded and times > self._counted.get(apns_id, 0):
                self._counted[apns_id] = times
                self.unrecorded[apns_id] += 1
                found += 1
        return found

    def _read(self, connection: sqlite3.Connection) -> None:
        asked = "SELECT sequence, operation_id, packed FROM chunk_result WHERE sequence > ? ORDER BY sequence"
        for number, operation, packed in connection.execute(asked, (self._last,)):
            self._last = number
            for record in open_records([packed]):
                if record.outcome not in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                    continue
                apns_id = ids.uuid_text(ids.notification_id(operation, record.sequence, record.slot))
                self.recorded.add(apns_id)
                if record.outcome is Outcome.UNKNOWN and not record.final:
                    self.unrecorded[apns_id] += 1
        open_ = "SELECT coalesce(sum(size - sent - failed - unaddressable - canceled), 0) FROM chunk WHERE state = 1"
        (self.leased,) = connection.execute(open_).fetchone()
