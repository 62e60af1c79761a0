"""Puts right what `check` found, where what is right follows from what is there. What does not is left as it is, and
why is said.

A repair is a sequence of small jobs, each in a transaction of its own, so that it can be done beside a running service,
on both stores; each looks again at what it changes, and locks it, since it may have changed since it was found. Every
change is told, and written into the audit log of its account.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from ...domain import ids
from ...domain.accounts import AuditEvent
from . import statements
from .audit import write_audit
from .check import Findings
from .connection import BUSY_TIMEOUT_MS, connect, explained
from .depth import EVERYBODY, recount
from .mending import mend_chunk, mend_operation, mend_registration

_sql = statements.load("repair")
_reach = statements.load("reach")

Job = Callable[[apsw.Connection], Any]
Progress = Callable[[str], object]


class Step(NamedTuple):
    """A job, and whether it writes: one that only looks, which may take long, keeps nobody from writing."""

    job: Job
    writes: bool = True


Steps = Generator[Step, Any, None]

ACTOR = "cli"
ACTION = "store.repaired"
SLICE = 200
"""So many stray rows are removed in one transaction."""
MOST_KEYS = 50_000
"""So many stray rows are looked up at once."""

_STRAY = (
    ("chunks_astray", _sql.chunks_astray, _sql.delete_chunk, "chunks of no operation were removed"),
    (
        "recipients_astray",
        _sql.recipients_astray,
        _sql.delete_recipients,
        "lists of recipients of no chunk were removed",
    ),
    ("results_astray", _sql.results_astray, _sql.delete_results, "result parts of no chunk were removed"),
    (
        "fingerprints_astray",
        _sql.fingerprints_astray,
        _sql.delete_fingerprints,
        "lists of users of no chunk were removed",
    ),
)
_REACH = ("devices_out_of_reach", "reach_astray")
_NOBODYS = "entries of devices' history that were nobody's were removed"
_LEFT_BEHIND = (
    (_sql.delete_answers, "answers to credentials that are not there were removed"),
    (_sql.delete_troubles, "troubles of credentials that are not there were removed"),
    (_sql.delete_batches, "batches for webhooks that are not there were removed"),
)


class Repair(msgspec.Struct, kw_only=True):
    """What was put right, one line each, and what could not be, with the reason."""

    at: int
    done: list[str] = msgspec.field(default_factory=list)
    refused: list[str] = msgspec.field(default_factory=list)

    def audit(self, connection: apsw.Connection, account: bytes, subject: str, detail: dict[str, Any]) -> None:
        """Notes a change in the account's audit log, in the transaction of the change; not where there is no such
        account."""
        if connection.execute(_sql.is_account, {"account": account}).fetchone() is None:
            return
        ident = ids.make(self.at, secrets.randbits(12), secrets.randbits(42))
        event = AuditEvent(id=ident, at=self.at, actor=ACTOR, action=ACTION, subject=subject, detail=detail)
        write_audit(connection, account, event)


def steps(repair: Repair, findings: Findings, progress: Progress, *, reach: bool) -> Steps:
    """The jobs of a repair, each sent the answer of the one before; what was done comes into `repair`. `reach` is for a
    store that has the table `reachable`."""
    gone = False
    for name, listing, removing, words in _STRAY:
        if gone or name in findings.astray:  # with a chunk goes what it had
            gone = gone or name == "chunks_astray"
            progress(f"removing what is astray: {name.partition('_')[0]}")
            yield from _remove_stray(repair, listing, removing, words)
    if any(problem.startswith("references: ") for problem in findings.problems):
        for statement, words in _LEFT_BEHIND:
            count = yield Step(partial(_changed, statement=statement))
            repair.done += [f"{count} {words}"] * (count > 0)
    if "webhooks_ahead" in findings.astray:
        for account, webhook in (yield Step(partial(_put_webhooks_back, repair=repair))):
            whose = ids.encode(ids.ACCOUNT, account)
            repair.done.append(
                f"{whose}: webhook {webhook.hex()} goes on with what comes now; it may have missed events"
            )
    if "history_astray" in findings.astray:
        count = yield Step(partial(_forget_history, repair=repair))
        repair.done += [f"{count} {_NOBODYS}"] * (count > 0)
    if reach and not findings.astray.keys().isdisjoint(_REACH):
        progress("looking for devices that sending does not find")
        yield from _put_reach(repair)
    yield from _mend(repair, findings, progress)
    progress("counting what waits")
    repair.done += yield Step(partial(_recount, repair=repair))


def _mend(repair: Repair, findings: Findings, progress: Progress) -> Steps:
    work: list[tuple[str, tuple[Any, ...], Callable[..., Any]]] = [
        *(("chunks", key, mend_chunk) for key in findings.wrong_chunks),
        *(("operations", key, mend_operation) for key in findings.wrong_operations),
        *(("registrations", key, mend_registration) for key in findings.wrong_registrations),
    ]
    for number, (kind, key, mend) in enumerate(work, 1):

        def job(connection: apsw.Connection, mend: Callable[..., Any] = mend, key: tuple[Any, ...] = key) -> Any:
            done, refused = mend(connection, key, repair.at)
            if done:
                account, ident = key[0], key[1]
                prefix = ids.DEVICE_REGISTRATION if mend is mend_registration else ids.OPERATION
                repair.audit(connection, account, ids.encode(prefix, ident), {"repairs": done})
            return done, refused

        done, refused = yield Step(job)
        prefix = ids.DEVICE_REGISTRATION if mend is mend_registration else ids.OPERATION
        name = ids.encode(prefix, key[1])
        repair.done += [f"{name}: {line}" for line in done]
        repair.refused += [f"{name}: {line}" for line in refused]
        if number % 1_000 == 0:
            progress(f"{number:,} of {len(work):,} {kind} and others gone through")


def _remove_stray(repair: Repair, listing: str, removing: str, words: str) -> Steps:
    total = unsent = 0
    while True:
        keys = yield Step(partial(_listed, statement=listing), writes=False)
        before = total
        for start in range(0, len(keys), SLICE):
            some = keys[start : start + SLICE]
            removed, waited = yield Step(partial(_remove, repair=repair, keys=some, removing=removing, words=words))
            total, unsent = total + removed, unsent + waited
        if len(keys) < MOST_KEYS or total == before:
            break
    if total:
        more = f", with {unsent} recipients who were not sent to and cannot be: what to send is gone" if unsent else ""
        repair.done.append(f"{total} {words}{more}")


def _listed(connection: apsw.Connection, statement: str) -> list[Any]:
    return connection.execute(statement, {"limit": MOST_KEYS}).fetchall()


def _remove(connection: apsw.Connection, repair: Repair, keys: list[Any], removing: str, words: str) -> tuple[int, int]:
    """Removes rows of these keys that are astray still; how many, and how many recipients of theirs had not ended."""
    removed: Counter[bytes] = Counter()
    unsent = 0
    for account, operation, first, waiting in keys:
        count = _changed(connection, removing, {"account": account, "operation": operation, "first": first})
        removed[account] += count
        unsent += waiting if count else 0
    for account, count in removed.items():
        if count:
            repair.audit(connection, account, "", {"repairs": [f"{count} {words}"]})
    return removed.total(), unsent


def _changed(connection: apsw.Connection, statement: str, values: Any = ()) -> int:
    connection.execute(statement, values)
    return connection.changes()


def _forget_history(connection: apsw.Connection, repair: Repair) -> int:
    rows: list[Any] = connection.execute(_sql.delete_history, {}).fetchall()
    removed = Counter(account for (account,) in rows)
    for account, count in removed.items():
        repair.audit(connection, account, "", {"repairs": [f"{count} {_NOBODYS}"]})
    return removed.total()


def _put_webhooks_back(connection: apsw.Connection, repair: Repair) -> list[Any]:
    rows: list[Any] = connection.execute(_sql.put_webhooks_back, {}).fetchall()
    for account, webhook in rows:
        repair.audit(connection, account, webhook.hex(), {"repairs": ["a webhook goes on with what comes now"]})
    return rows


def _put_reach(repair: Repair) -> Steps:
    for listing, putting, words in (
        (
            _reach.entries_astray,
            _reach.delete_entry,
            "entries of what can be sent to were no such devices, and removed",
        ),
        (_reach.devices_missed, _reach.put_entry, "devices that can be sent to are found again"),
    ):
        total, before, keys = 0, -1, [()] * MOST_KEYS
        while len(keys) == MOST_KEYS and total > before:
            keys, before = (yield Step(partial(_listed, statement=listing), writes=False)), total
            for start in range(0, len(keys), SLICE):
                total += yield Step(partial(_changed_all, statement=putting, keys=keys[start : start + SLICE]))
        repair.done += [f"{total} {words}"] * (total > 0)


def _changed_all(connection: apsw.Connection, statement: str, keys: list[Any]) -> int:
    return sum(_changed(connection, statement, key) for key in keys)


def _recount(connection: apsw.Connection, repair: Repair) -> list[str]:
    wrong: list[Any] = connection.execute(_sql.depths_wrong, {}).fetchall()
    removed = _changed(connection, _sql.delete_depths)
    if not wrong and not removed:
        return []
    recount(connection)
    lines = [f"{removed} counts of accounts that are not there were removed"] * (removed > 0)
    for account, told, counted in wrong:
        line = f"recipients that wait were counted as {told}, and are {counted}"
        if account == EVERYBODY:
            lines.append(f"all accounts: {line}")
            continue
        name = ids.encode(ids.ACCOUNT, account)
        lines.append(f"{name}: {line}")
        repair.audit(connection, account, name, {"repairs": [line]})
    return lines


def repair_file(path: Path, findings: Findings, at: int, progress: Progress = lambda _: None) -> Repair:
    """Puts right what was found in an embedded store's file, at `at` (ms). Raises `StoreError`."""
    made = Repair(at=at)
    if findings.beyond_repair:
        made.refused.append(findings.beyond_repair)
        return made
    with explained(path):
        connection = connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS)
        try:
            _drive(connection, steps(made, findings, progress, reach=True))
        finally:
            connection.close()
    return made


def _drive(connection: apsw.Connection, todo: Steps) -> None:
    answer = None
    with contextlib.suppress(StopIteration):
        while True:
            step = todo.send(answer)
            connection.execute("BEGIN IMMEDIATE" if step.writes else "BEGIN")
            try:
                answer = step.job(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
