"""Which tables move, and by what their rows are told apart. Their columns are asked of both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .errors import MoveRefused

_CHUNK = ("account_id", "operation_id", "first")


@dataclass(frozen=True)
class Table:
    """A table of the embedded store. `key` tells its rows apart in both databases. Rows are read in the order in which
    they are on the disk: by `rowid`, or by the key. `joined` are columns that only the target has."""

    name: str
    key: tuple[str, ...]
    target: str = ""
    rowid: bool = False
    joined: Mapping[str, str] = field(default_factory=dict)
    join: str = ""

    @property
    def place(self) -> str:
        """Its name in the target."""
        return self.target or self.name

    @property
    def order(self) -> tuple[str, ...]:
        """What it is read in the order of."""
        return ("rowid",) if self.rowid else self.key


TABLES = (
    Table("account", ("id",)),
    Table("api_key", ("account_id", "id")),
    Table("audit", ("account_id", "id")),
    Table("app", ("account_id", "name")),
    Table("credential", ("account_id", "id"), rowid=True),
    Table("user", ("account_id", "id"), target="app_user"),
    Table("registration", ("account_id", "id")),
    Table(
        "device",
        ("account_id", "registration_id", "slot"),
        joined={"user_id": "r.user_id"},
        join="LEFT JOIN registration r ON r.account_id = t.account_id AND r.id = t.registration_id",
    ),
    Table("device_history", ("account_id", "app_name", "user_id", "slot", "id")),
    Table("refused_token", ("account_id", "app_name", "token", "kind", "environment")),
    Table("idempotency", ("account_id", "key"), rowid=True),
    Table("operation", ("account_id", "id")),
    Table("chunk", _CHUNK),
    Table("chunk_recipients", _CHUNK, rowid=True),
    Table("chunk_user", _CHUNK, rowid=True),
    Table("chunk_result", (*_CHUNK, "part"), rowid=True),
    Table("leaving", ("account_id", "operation_id")),
    Table("webhook", ("account_id", "id")),
    Table("event", ("account_id", "sequence"), rowid=True),
    Table("webhook_batch", ("account_id", "webhook_id", "id"), rowid=True),
    Table("ended_session", ("account_id", "id")),
)
"""In the order in which they are copied. Their numbers in the notes are their places here."""

LEFT_OUT = {
    "reachable": "PostgreSQL has an index of `device` in its place",
    "queue_depth": "counted anew in the target",
    "credential_answer": "whoever sends tells it anew within seconds",
    "credential_trouble": "the same",
    "sqlite_sequence": "the target numbers by transactions; `Target.finish` begins them above what was copied",
}
"""Tables of the embedded store that do not move, and why."""
OWN_OF_TARGET = {
    "heliogram_schema",
    "numbering",
    "queue_depth",
    "instance",
    "node",
    "going",
    "credential_answer",
    "credential_trouble",
    "activity_wanted",
    "activity_told",
}
"""Tables that the target has for itself."""

OIDS = {"bytea": 17, "bigint": 20, "smallint": 21, "integer": 23, "text": 25}
"""PostgreSQL's types that columns have, and their numbers."""


@dataclass(frozen=True)
class Layout:
    """A table with its columns in the target's order, and their types there."""

    table: Table
    columns: tuple[str, ...]
    types: tuple[str, ...]
    number: int

    @cached_property
    def selected(self) -> str:
        """The columns, as the source is asked for them; its table is `t`."""
        joined = self.table.joined
        return ", ".join(joined.get(name) or f't."{name}"' for name in self.columns)

    @cached_property
    def key_types(self) -> tuple[str, ...]:
        """The types of the key's columns."""
        kinds = dict(zip(self.columns, self.types, strict=True))
        return tuple(kinds[name] for name in self.table.key)

    def key_of(self, row: Sequence[object]) -> str:
        """How a row is called for people."""
        values = dict(zip(self.columns, row, strict=True))
        return ", ".join(f"{name}={shown(values[name])}" for name in self.table.key)


def shown(value: object) -> str:
    """A value of a key for people."""
    return value.hex() if isinstance(value, bytes) else repr(value)


def lay_out(table: Table, number: int, source: Sequence[str], target: Sequence[tuple[str, str]], place: str) -> Layout:
    """What a table has in both databases. Raises `MoveRefused` when that is not the same."""
    names = [name for name, _ in target]
    missing = set(source) - set(names)
    more = set(names) - set(source) - set(table.joined)
    strange = {kind for _, kind in target if kind not in OIDS}
    if missing or more or strange:
        raise MoveRefused(
            f"{table.name} has other columns in {place} ({', '.join(sorted(missing | more | strange))}): run the same"
            " version of heliogram on both sides"
        )
    return Layout(table, tuple(names), tuple(kind for _, kind in target), number)
