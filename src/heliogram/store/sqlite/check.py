"""Is the database whole? What SQLite can tell of it, and what must be true of what we keep in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from ...domain import ids
from ...domain.endings import Endings
from ...domain.operations import OperationStatus, counts_of
from ...domain.packing import Unpackable, unpack_recipients, unpack_records
from ..errors import StoreError
from . import statements
from .connection import APPLICATION_ID, opened_read_only
from .migrate import migrations
from .slots import ALL_SLOTS
from .statements import Statement

_sql = statements.load("check")

SAMPLE_OPERATIONS = 1_000
SAMPLE_REGISTRATIONS = 20_000
"""Without `full` so many are looked at, half of them the newest, half the oldest."""
MOST_PROBLEMS = 100
PAGE = 1_000
"""Of all there is, so many are read at a time."""
DAMAGED = "the file is damaged, and writing to it may make it worse: stop the service, restore a backup"
Progress = Callable[[str], object]
_TREE = re.compile(r"Tree (\d+) page")

ASTRAY = {
    _sql.chunks_astray: "chunks belong to no operation",
    _sql.chunks_without_recipients: "chunks have no recipients",
    _sql.recipients_astray: "lists of recipients belong to no chunk",
    _sql.results_astray: "result parts belong to no chunk",
    _sql.fingerprints_astray: "lists of users belong to no chunk",
    _sql.webhooks_ahead: "webhooks were told more than there ever was",
    _sql.history_astray: "entries of devices' history are of users that are deleted, or of apps that are gone",
}
"""What must not be there, in any store."""
_ASTRAY = {
    _sql.depths_wrong: "counts of waiting recipients are not what the chunks say: a start counts anew",
    **ASTRAY,
    _sql.devices_out_of_reach: "devices can be sent to, and sending would not find them",
    _sql.reach_astray: "entries of what can be sent to are no such devices",
}
_OPERATIONS = (_sql.oldest_operations, _sql.newest_operations)
_REGISTRATIONS = (_sql.oldest_registrations, _sql.newest_registrations)


class Findings(msgspec.Struct, kw_only=True):
    """What was looked at, and what is wrong: one line each, at most 100. `notes` are no problems.

    What a repair goes by: `astray` is how much there is of what must not be there, by the statement that counted it;
    each chunk, operation and registration with which something is wrong, by its keys, the account's id first; and in
    `beyond_repair` why nothing of it may be put right here.
    """

    schema: int = 0
    operations: int = 0
    registrations: int = 0
    problems: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    astray: dict[str, int] = msgspec.field(default_factory=dict)
    wrong_chunks: list[tuple[bytes, bytes, int]] = msgspec.field(default_factory=list)
    wrong_operations: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
    wrong_registrations: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
    beyond_repair: str = ""

    def add(self, problem: str) -> None:
        """One more problem, unless there are enough."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def owner_problem(connection: apsw.Connection, path: Path) -> tuple[int, str | None, bool]:
    """The schema's version, what is wrong with whose database it is, and whether that is a schema too new."""
    version, known = int(str(connection.pragma("user_version"))), len(migrations())
    if connection.pragma("application_id") != APPLICATION_ID:
        return version, f"{path} is no database of heliogram", False
    if version > known:
        problem = f"{path} has schema {version}, this version of heliogram knows up to {known}: use the newer heliogram"
        return version, problem, True
    return version, None, False


def damage(connection: apsw.Connection) -> list[str]:
    """What SQLite finds: pages, rows and indexes, then references to rows that are not there."""
    return _damaged_pages(connection) + _dangling(connection)


def _dangling(connection: apsw.Connection) -> list[str]:
    broken: Counter[tuple[str, str]] = Counter()
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        broken[str(table), str(parent)] += 1
    return [
        f"references: {n} rows of {table} name a {parent} that is not there" for (table, parent), n in broken.items()
    ]


def _damaged_pages(connection: apsw.Connection) -> list[str]:
    rows: list[Any] = connection.execute("SELECT rootpage, type, name FROM sqlite_schema").fetchall()
    trees = {int(root): f"{kind} {name}" for root, kind, name in rows if root}

    def named(found: re.Match[str]) -> str:
        return f"{trees.get(int(found[1]), 'a table that is unknown')}, page"

    lines: list[str] = []
    for table in (None, *sorted(name for _, kind, name in rows if kind == "table")):
        what = MOST_PROBLEMS if table is None else f"'{table}'"
        try:
            texts: list[Any] = connection.execute(f"PRAGMA integrity_check({what})").fetchall()
        except apsw.CorruptError as error:  # it ends the reading of all: then one table after another
            if table is not None:
                lines.append(f"table {table}: {error}")
            continue
        lines += [_TREE.sub(named, line) for (text,) in texts for line in str(text).splitlines() if line != "ok"]
        if table is None:
            break
    return [f"integrity: {line}" for line in lines]


def examine(path: Path, *, full: bool = False, progress: Progress = lambda _: None) -> Findings:
    """Everything, in one snapshot: beside a running service, too. Damage that ends the reading is a finding. `progress`
    hears how far it is."""
    findings = Findings()
    try:
        with opened_read_only(path) as connection:
            _examine(connection, path, findings, full, progress)
    except StoreError as error:
        findings.add(str(error))
        findings.beyond_repair = DAMAGED
    return findings


def _examine(connection: apsw.Connection, path: Path, findings: Findings, full: bool, progress: Progress) -> None:
    findings.schema, problem, _ = owner_problem(connection, path)
    if problem is not None:
        findings.add(problem)
        findings.beyond_repair = "it is not a database that this version of heliogram may change"
        return
    progress("looking at every page and index")
    for line in _damaged_pages(connection):
        findings.add(line)
        findings.beyond_repair = DAMAGED
    progress("looking at references")
    for line in _dangling(connection):
        findings.add(line)
    if findings.schema < len(migrations()):
        findings.notes.append(
            f"schema {findings.schema}: the next start brings it to {len(migrations())}; what we keep in it is"
            " checked from then on"
        )
        return
    examine_rows(connection, findings, _ASTRAY, full=full, progress=progress)


def examine_rows(
    connection: apsw.Connection,
    findings: Findings,
    astray: Mapping[Statement, str],
    *,
    full: bool,
    progress: Progress = lambda _: None,
) -> None:
    """What must be true of what we keep, whatever the store: `astray` are statements that count what must not be there,
    and words for it. `progress` hears how far it is."""
    for sql, words in astray.items():
        progress(f"looking whether {words.partition(':')[0]}")
        count: Any = connection.execute(sql).get
        if count:
            findings.astray[sql.name] = count
            findings.add(f"{count} {words}")
    for row in _sample(connection, _OPERATIONS, None if full else SAMPLE_OPERATIONS):
        findings.operations += 1
        if findings.operations % PAGE == 0:
            progress(f"{findings.operations:,} operations looked at")
        problems = list(_operation_problems(connection, _Operation(*row), findings))
        if problems:
            findings.wrong_operations.append((row[0], row[1]))
        for problem in problems:
            findings.add(f"{ids.encode(ids.OPERATION, row[1])}: {problem}")
    for account, ident, free, taken in _sample(connection, _REGISTRATIONS, None if full else SAMPLE_REGISTRATIONS):
        findings.registrations += 1
        if findings.registrations % (10 * PAGE) == 0:
            progress(f"{findings.registrations:,} registrations looked at")
        slots = [int(slot) for slot in str(taken or "").split(",") if slot]
        whole = sorted([*free, *slots]) == list(ALL_SLOTS)
        if not slots or not whole:
            findings.wrong_registrations.append((account, ident))
        if not slots:
            findings.add(f"{ids.encode(ids.DEVICE_REGISTRATION, ident)}: it has no device")
        if not whole:
            findings.add(f"{ids.encode(ids.DEVICE_REGISTRATION, ident)}: free slots and devices do not make up its 63")


def _sample(connection: apsw.Connection, orders: tuple[str, str], most: int | None) -> Iterator[Any]:
    """All of them, or the newest half and the oldest half of a sample, each once."""
    start: dict[str, Any] = {"account": b"", "id": b""}
    if most is None:
        rows: list[Any] = connection.execute(orders[0], {**start, "limit": PAGE}).fetchall()
        while rows:
            yield from rows
            after = {"account": rows[-1][0], "id": rows[-1][1]}
            rows = connection.execute(orders[0], {**after, "limit": PAGE}).fetchall()
        return
    oldest: list[Any] = connection.execute(orders[0], {**start, "limit": most // 2}).fetchall()
    seen = {(row[0], row[1]) for row in oldest}
    yield from oldest
    newest: list[Any] = connection.execute(orders[1], {"limit": most // 2}).fetchall()
    yield from (row for row in newest if (row[0], row[1]) not in seen)


class _Operation(NamedTuple):
    account: bytes
    id: bytes
    recipients: int
    status: str
    finished: int | None


class _Chunk(NamedTuple):
    first: int
    size: int
    state: int
    parts: int
    sent: int
    failed: int
    unaddressable: int
    canceled: int
    packed: bytes | None

    @property
    def counters(self) -> tuple[int, int, int, int]:
        return self.sent, self.failed, self.unaddressable, self.canceled


def _operation_problems(connection: apsw.Connection, operation: _Operation, findings: Findings) -> Iterator[str]:
    where = {"account": operation.account, "operation": operation.id}
    chunks = [_Chunk(*row) for row in connection.execute(_sql.chunks_of, where)]
    expected = 0
    for chunk in chunks:
        if chunk.first != expected:
            yield f"a chunk begins at recipient {chunk.first}, expected {expected}"
        expected = chunk.first + chunk.size
        problems = list(_chunk_problems(connection, {**where, "first": chunk.first}, chunk))
        if problems:
            findings.wrong_chunks.append((operation.account, operation.id, chunk.first))
        yield from problems
    if expected != operation.recipients:
        yield f"its chunks hold {expected} recipients, it says {operation.recipients}"
    over = operation.status in (OperationStatus.COMPLETED, OperationStatus.CANCELED)
    if over != (operation.finished is not None):
        yield f"it is {operation.status}, and its end is {operation.finished}"
    if over and any(chunk.state != 2 for chunk in chunks):
        yield f"it is {operation.status}, and a chunk is not done"
    if not over and all(chunk.state == 2 for chunk in chunks):
        yield f"it is {operation.status}, and every chunk is done"
    ended = sum(sum(chunk.counters) for chunk in chunks)
    if over and ended != operation.recipients:
        yield f"it is {operation.status}, and {ended} of {operation.recipients} recipients have ended"


def _chunk_problems(connection: apsw.Connection, where: dict[str, Any], chunk: _Chunk) -> Iterator[str]:
    name = f"chunk {chunk.first}"
    rows: list[Any] = connection.execute(_sql.parts_of, where).fetchall()
    if [part for part, _ in rows] != list(range(1, chunk.parts + 1)):
        yield f"{name}: it has {len(rows)} result parts, it says {chunk.parts}"
    try:
        if chunk.packed is not None and len(unpack_recipients(chunk.packed)) != chunk.size:
            yield f"{name}: it holds other recipients than the {chunk.size} it says"
        endings = Endings()
        ended = [ending for _, packed in rows for ending in endings.take(unpack_records(packed))]
    except Unpackable as error:
        yield f"{name}: {error}"
        return
    counts = counts_of((ending.status, ending.unaddressable) for ending in ended)
    found = (counts.sent, counts.failed, counts.unaddressable, counts.canceled)
    if found != chunk.counters:
        names = "sent, failed, unaddressable, canceled"
        yield f"{name}: its results make ({names}) {found}, its counters say {chunk.counters}"
