"""The nodes that share the database: what must be the same of all of them, who is there, and what one has at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import msgspec

from ... import __version__
from ...domain.operations import Lane
from ..errors import StoreReadOnly, UnsupportedDatabase
from ..sqlite import statements
from .base import PostgresBase
from .errors import as_store_error, is_of_database
from .facade import Job
from .link import Link
from .migrate import finish, migrations, too_new
from .office import PostgresOffice

_sql = statements.load("nodes", __package__)

SILENCE_MS = 60_000
"""A node that has not been heard of for so long is gone."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the others know it. `schema` is the newest it knows; `silent_ms` is how long it has not been heard
    of."""

    id: bytes
    name: str
    version: str
    schema: int
    roles: str
    started: int
    silent_ms: int


class Nodes(PostgresBase):
    """Nodes of one database."""

    _connect: Callable[[], Awaitable[Link]]
    _ping_link: Link | None = None

    def office(self, number: int = 1) -> PostgresOffice:
        """What at most one node has at a time, by its number; on a connection beside the pool's."""

        async def connect() -> asyncpg.Connection:
            return (await self._connect()).connection

        return PostgresOffice(connect, self._clock, self._place, number=number)

    async def ping(self) -> None:
        """Asks whether the database can be written to, on a connection of its own: a node with much to do is no node
        without a database. One question at a time. Raises `StoreError`."""
        link, self._ping_link = self._ping_link, None
        try:
            if link is None or link.closed:
                link = await self._connect()
            (row,) = await link.execute("SELECT current_setting('transaction_read_only') = 'on'", {})
        except BaseException as error:
            if link is not None:
                link.cut()
            if isinstance(error, Exception) and is_of_database(error):
                raise as_store_error(error, self._place) from error
            raise
        self._ping_link = link
        if row[0]:
            raise StoreReadOnly(f"{self._place} is read-only: name the primary, or see default_transaction_read_only")

    async def require_key(self, keys: Sequence[bytes]) -> None:
        """Compares the ids of a node's master keys, the one that seals first, with the one that seals what is in the
        database. Raises `UnsupportedDatabase` for a node that could not open it."""
        key, known = keys[0], set(keys)

        def job(connection: Any) -> None:
            connection.execute(_sql.begin_master_key, {"key": key})
            before = bytes(connection.execute(_sql.master_key, {}).fetchone()[0])
            if before not in known:
                raise UnsupportedDatabase(
                    f"the secrets in {self._place} are sealed with the master key {before.hex()}, and this node has"
                    f" {', '.join(each.hex() for each in keys)}: give every node the same with --master-key; to rotate,"
                    " first add the new key behind the old one on all nodes, then put it in front"
                )
            if before != key:
                connection.execute(_sql.turn_master_key, {"key": key, "before": before})

        await self._jobs.write(job)

    async def seen(self, ident: bytes, name: str, roles: str) -> None:
        """Tells the others that this node is there. Raises `SchemaTooNew` when it may not be any more: the last nodes
        but this one were replaced by a later version."""
        known = len(migrations())
        values = {"id": ident, "name": name, "version": __version__, "schema": known, "roles": roles}

        def job(connection: Any) -> int:
            return int(connection.execute(_sql.seen, values).fetchone()[0])

        least = await self._jobs.write(job)
        if least > known:
            raise too_new(self._place, least, known)

    async def finish_upgrade(self) -> int:
        """Does to the schema what nodes of earlier versions would not survive, once there are none; how many steps
        that took."""
        await self._jobs.write(_run(_sql.forget, {"silence": SILENCE_MS}))
        oldest: int | None = await self._jobs.read(lambda connection: connection.execute(_sql.oldest, {}).get)
        if oldest is None:
            return 0

        return await self._jobs.look(lambda link: finish(link.connection, self._place, oldest))

    async def gather(self) -> int:
        """Brings what has not ended on other shards to the first, in slices; how many chunks that were. For nodes
        without a broker: they look at no other shard."""

        def job(connection: Any) -> int:
            total = 0
            for lane in Lane:
                connection.execute(_sql.gather, {"lane": int(lane)})
                total += connection.changes()
            return total

        return await self._jobs.write(job)

    async def gone(self, ident: bytes) -> None:
        """Tells them that it was stopped."""
        await self._jobs.write(_run(_sql.gone, {"id": ident}))

    async def nodes(self) -> list[Node]:
        """Who has been heard of in the last minute, the longest there first."""
        await self._jobs.write(_run(_sql.forget, {"silence": SILENCE_MS}))
        rows: list[Any] = await self._jobs.read(lambda connection: list(connection.execute(_sql.nodes, {}).fetchall()))
        return [
            Node(
                id=bytes(ident),
                name=name,
                version=version,
                schema=schema,
                roles=roles,
                started=started,
                silent_ms=max(0, now - seen),
            )
            for ident, name, version, schema, roles, started, seen, now in rows
        ]


def _run(statement: str, values: dict[str, Any]) -> Job[None]:
    def job(connection: Any) -> None:
        connection.execute(statement, values)

    return job
