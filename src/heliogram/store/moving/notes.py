"""Triggers in the source that note the keys of what changes, and what is noted.

Whatever process writes, its changes are noted in its own transaction, so none is missed and none is noted that was
rolled back. A note is a row at the end of one table, so it costs a writer little; the same key may be there many times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw

from .errors import MoveRefused
from .tables import TABLES, Table

STATE, NOTES, PREFIX = "moving", "moving_note", "moving_"
_LETTERS = "abcde"
DELETED_AT_ONCE = 20_000
"""Notes that are removed in one transaction: a few milliseconds, in which the service waits."""

_MAKE_STATE = f"CREATE TABLE {STATE} (id BLOB NOT NULL, schema INTEGER NOT NULL) STRICT"
_MAKE_NOTES = f"CREATE TABLE {NOTES} (number INTEGER PRIMARY KEY, tab INTEGER NOT NULL, a, b, c, d, e)"


def letters(table: Table) -> str:
    """The columns of the notes that have a table's keys."""
    return _LETTERS[: len(table.key)]


def install(connection: apsw.Connection, ident: bytes) -> None:
    """From this transaction on, changes are noted."""
    connection.execute(_MAKE_STATE)
    connection.execute(_MAKE_NOTES)
    for statement in _triggers():
        connection.execute(statement)
    version: Any = connection.pragma("user_version")
    connection.execute(f"INSERT INTO {STATE} (id, schema) VALUES (?, ?)", (ident, version))  # noqa: S608 - our own


def _triggers() -> Iterator[str]:
    for number, table in enumerate(TABLES):
        for event in ("INSERT", "UPDATE", "DELETE"):
            row = "old" if event == "DELETE" else "new"
            steps = _note(number, table, row)
            if event == "UPDATE":  # under another key it is two rows that have changed
                old, new = (", ".join(f"{side}.{name}" for name in table.key) for side in ("old", "new"))
                steps += _note(number, table, "old", f" WHERE ({old}) <> ({new})")
            name = f"{PREFIX}{table.name}_{event.lower()}"
            yield f'CREATE TRIGGER {name} AFTER {event} ON "{table.name}" BEGIN {steps} END'


def _note(number: int, table: Table, row: str, where: str = "") -> str:
    columns, values = ", ".join(letters(table)), ", ".join(f"{row}.{name}" for name in table.key)
    return f"INSERT INTO {NOTES} (tab, {columns}) SELECT {number}, {values}{where};"


def installed(connection: apsw.Connection) -> bytes | None:
    """The id of the move that is under way from this database, None for none."""
    if not _names(connection).issuperset({STATE}):
        return None
    ident: Any = connection.execute(f"SELECT id FROM {STATE}").get  # noqa: S608 - our own
    return bytes(ident or b"")


def require_whole(connection: apsw.Connection) -> None:
    """Raises `MoveRefused` when not all that changed can have been noted."""
    schema: Any = connection.execute(f"SELECT schema FROM {STATE}").get  # noqa: S608 - our own
    if len(_names(connection)) != 2 + 3 * len(TABLES) or schema != connection.pragma("user_version"):
        raise MoveRefused(
            "the database was changed by another version of heliogram since the move began, and not all that changed"
            " was noted: give this move up with --abort, make the target anew, and begin again"
        )


def _names(connection: apsw.Connection) -> set[str]:
    found: Any = connection.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'moving*'").fetchall()
    return {name for (name,) in found}


def remove(connection: apsw.Connection) -> None:
    """Takes triggers and notes away, whatever there is of them."""
    found: Any = connection.execute("SELECT type, name FROM sqlite_schema WHERE name GLOB 'moving*'").fetchall()
    for kind, name in sorted(found, reverse=True):  # triggers before tables
        if kind in ("trigger", "table"):
            connection.execute(f'DROP {kind} "{name}"')


def bounds(connection: apsw.Connection) -> tuple[int, int] | None:
    """The numbers of the first and the last note, None without any."""
    low: Any = connection.execute(f"SELECT min(number) FROM {NOTES}").get  # noqa: S608 - our own
    high: Any = connection.execute(f"SELECT max(number) FROM {NOTES}").get  # noqa: S608 - our own
    return None if low is None else (low, high)


def forget(connection: apsw.Connection, top: int) -> Iterator[int]:
    """Removes the notes up to a number, some in each step. Ascending: once the table is empty numbers begin anew, and
    what is noted then must stay."""
    found = bounds(connection)
    low = top + 1 if found is None else found[0]
    while low <= top:
        high = min(low + DELETED_AT_ONCE - 1, top)
        connection.execute(f"DELETE FROM {NOTES} WHERE number BETWEEN ? AND ?", (low, high))  # noqa: S608 - our own
        low = high + 1
        yield high
