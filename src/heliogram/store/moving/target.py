"""The PostgreSQL database that an instance is moved into."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from ..errors import StoreError
from ..postgres.connecting import connect, require_sessions
from ..postgres.errors import as_store_error, is_of_database, place_of
from ..postgres.halves import DONE, TABLE
from ..postgres.migrate import LOCK, migrate, require_server
from ..postgres.nodes import SILENCE_MS
from ..postgres.office import KEEPALIVE, close_quietly
from ..postgres.partitions import make_day, make_partitions
from . import schema
from .canonical import Sum, sum_in_target
from .errors import MoveRefused
from .snapshot import Row
from .tables import TABLES, Layout, Table

COPYING, FOLLOWING, GIVEN_UP = "copying", "following", "given up"
_SETTINGS = {
    "application_name": "heliogram migrate-store",
    "jit": "off",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "maintenance_work_mem": "256MB",
    "statement_timeout": "0",  # whatever the server has by default: an index of millions takes its time
    "idle_in_transaction_session_timeout": "0",
    **KEEPALIVE,
}
_MAKE = f"""
CREATE TABLE {TABLE} (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id bytea NOT NULL,                 -- stands in the source, too
  origin text NOT NULL,              -- the source, for people
  state text NOT NULL,
  progress text NOT NULL,            -- JSON: how far it is
  removed text NOT NULL              -- JSON: indexes and references that are to be made again
)
"""


@dataclass
class Progress:
    """How far a move is; kept in the target, in the transaction of whatever it tells of. `tables` are those that are
    copied whole, `place` is where the next one is to go on, `compared` those of which all rows are the same."""

    tables: list[str] = field(default_factory=list)
    place: list[Any] | None = None
    rounds: int = 0
    compared: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As it is kept."""
        place = None if self.place is None else [{"x": v.hex()} if isinstance(v, bytes) else v for v in self.place]
        return json.dumps({**vars(self), "place": place})

    @classmethod
    def read(cls, text: str) -> Progress:
        """As it was kept."""
        made = cls(**json.loads(text))
        if made.place is not None:
            made.place = [bytes.fromhex(v["x"]) if isinstance(v, dict) else v for v in made.place]
        return made


@dataclass(frozen=True)
class Known:
    """What the target knows of a move."""

    id: bytes
    origin: str
    state: str
    progress: Progress


class Target:
    """One connection that copies."""

    def __init__(self, connection: Any, place: str) -> None:
        self.connection: asyncpg.Connection = connection
        self.place = place

    def __repr__(self) -> str:
        return f"Target({self.place!r})"

    @classmethod
    async def connect(cls, url: str) -> Target:
        """Raises `StoreError`, saying what to do."""
        place = place_of(url)
        try:
            await require_sessions(url, place)
            connection = await connect(url, _SETTINGS)
        except Exception as error:
            raise explained(error, place) from error
        try:
            await require_server(connection, place)
        except BaseException:
            await connection.close()
            raise
        return cls(connection, place)

    async def close(self) -> None:
        """Lets go of it, in whatever state it is."""
        await close_quietly(self.connection)

    # --- whose it is

    async def known(self) -> Known | None:
        """The move that this database is, or was, the target of."""
        if await self.connection.fetchval("SELECT to_regclass($1) IS NULL", TABLE):
            return None
        row = await self.connection.fetchrow(f"SELECT id, origin, state, progress FROM {TABLE}")  # noqa: S608
        return None if row is None else Known(row[0], row[1], row[2], Progress.read(row[3]))

    async def claim(self, ident: bytes, origin: str, now: int) -> None:
        """Makes the schema in a database that holds nothing, and takes it for a move, all or nothing. Indexes but those
        of the keys, and references, go until the rows are there. Raises `MoveRefused` when it holds something."""
        async with self.connection.transaction():
            await self.connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            await migrate(self.connection, self.place)
            await self._require_empty()
            await self.connection.execute("DELETE FROM account")
            await self.connection.execute("DELETE FROM node")
            await self.connection.execute("DELETE FROM instance")
            await self.connection.execute(_MAKE)
            removed = await schema.take_down(self.connection)
            await self.connection.execute(
                f"INSERT INTO {TABLE} (id, origin, state, progress, removed) VALUES ($1, $2, $3, $4, $5)",  # noqa: S608
                *(ident, origin, COPYING, Progress().text(), json.dumps(removed)),
            )
        await make_partitions(self.connection, now)

    async def _require_empty(self) -> None:
        """Nothing but the account that the first start of a service makes."""
        await self.require_no_nodes()
        for table in TABLES:
            most = 1 if table.name == "account" else 0
            some = f"SELECT count(*) FROM (SELECT 1 FROM {table.place} LIMIT {most + 1}) t"  # noqa: S608 - our own
            if await self.connection.fetchval(some) > most:
                raise MoveRefused(
                    f"{self.place} holds another instance's data ({table.place} is not empty): give --to a database of"
                    " its own, such as a new one (CREATE DATABASE …)"
                )

    async def require_no_nodes(self) -> None:
        """Raises `MoveRefused` while a service works on the target."""
        names = await self.connection.fetch(
            f"SELECT name FROM node WHERE seen > now_ms() - {SILENCE_MS} ORDER BY name"  # noqa: S608 - a number
        )
        if names:
            raise MoveRefused(
                f"services run on {self.place} ({', '.join(row[0] for row in names)}): stop them first; one that was"
                " killed is forgotten after a minute"
            )

    async def give_up(self) -> None:
        """No node will work on this database."""
        await self.connection.execute(f"UPDATE {TABLE} SET state = $1", GIVEN_UP)  # noqa: S608 - our own

    # --- rows

    async def columns(self, table: Table) -> list[tuple[str, str]]:
        """The columns of a table with their types."""
        rows = await self.connection.fetch(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table.place,
        )
        return [(row[0], row[1]) for row in rows]

    async def make_days(self, days: Sequence[int]) -> None:
        """Partitions for the days of what is copied."""
        for day in days:
            await make_day(self.connection, day)

    async def add(self, layout: Layout, rows: Sequence[Row]) -> None:
        """Puts rows in that are not there."""
        await self.connection.copy_records_to_table(layout.table.place, records=rows, columns=layout.columns)

    async def remove(self, layout: Layout, keys: Sequence[Row]) -> None:
        """Takes rows away."""
        sql = f"DELETE FROM {layout.table.place} t USING {_keys(layout)}"  # noqa: S608 - our own names
        await self.connection.execute(sql, *_columns(layout, keys))

    async def sum(self, layout: Layout) -> Sum:
        """All rows of a table."""
        found = f"SELECT {sum_in_target(layout)} FROM {layout.table.place} t"  # noqa: S608 - our own
        return Sum(*map(int, await self.connection.fetchrow(found)))

    async def sum_of(self, layout: Layout, keys: Sequence[Row]) -> Sum:
        """The rows with these keys."""
        sql = f"SELECT {sum_in_target(layout)} FROM {layout.table.place} t, {_keys(layout)}"  # noqa: S608 - our own
        return Sum(*map(int, await self.connection.fetchrow(sql, *_columns(layout, keys))))

    async def count(self, layout: Layout) -> int:
        """How many rows a table has."""
        return int(await self.connection.fetchval(f"SELECT count(*) FROM {layout.table.place}"))  # noqa: S608

    # --- how far it is

    async def keep(self, progress: Progress, state: str | None = None) -> None:
        """Keeps how far it is."""
        sql = f"UPDATE {TABLE} SET progress = $1, state = coalesce($2, state)"  # noqa: S608 - our own name
        await self.connection.execute(sql, progress.text(), state)

    async def complete_schema(self) -> None:
        """Makes the indexes and references again, one after another, each once."""
        text = await self.connection.fetchval(f"SELECT removed FROM {TABLE}")  # noqa: S608 - our own
        left: list[list[str]] = json.loads(text)
        while left:
            async with self.connection.transaction():
                await self.connection.execute(schema.loosely(left[0]))
                left = left[1:]
                await self.connection.execute(f"UPDATE {TABLE} SET removed = $1", json.dumps(left))  # noqa: S608
        await self.connection.execute("VACUUM (ANALYZE)")

    async def finish(self, key: bytes, depths: Sequence[Row], sequence: int, progress: Progress) -> None:
        """In the last transaction: what is counted and numbered here, and whose it is."""
        link = self.connection
        await link.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await schema.tighten(link)
        await link.execute("DELETE FROM queue_depth")
        await link.executemany(
            "INSERT INTO queue_depth (account_id, slot, waiting, ended) VALUES ($1, 0, $2, $3)", depths
        )
        # Numbers of results and events begin above all that were copied.
        await link.execute("UPDATE numbering SET base = greatest(base, $1::bigint)", (sequence >> 20) + 1)
        await link.execute("INSERT INTO instance (master_key) VALUES ($1)", key)
        await self.keep(progress, DONE)


def _keys(layout: Layout) -> str:
    """The keys given, joined with the table `t`."""
    names = [f"k{n}" for n in range(len(layout.table.key))]
    arrays = ", ".join(f"${n + 1}::{kind}[]" for n, kind in enumerate(layout.key_types))
    on = " AND ".join(f"t.{name} = k.{own}" for name, own in zip(layout.table.key, names, strict=True))
    return f"unnest({arrays}) k ({', '.join(names)}) WHERE {on}"


def _columns(layout: Layout, keys: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*keys, strict=True)] or [[] for _ in layout.table.key]


def explained(error: Exception, place: str) -> Exception:
    """What an error of the database means."""
    if isinstance(error, StoreError) or not (is_of_database(error) or isinstance(error, TimeoutError)):
        return error
    return as_store_error(error, place)
