"""Databases of either store to spoil, to look at and to put right."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import asyncpg
from support.postgres import server
from support.stores import FACTORIES, Bench, opened, recipients_of, token_of

from heliogram.domain.notifications import DeliveryRecord, Outcome, Recipient
from heliogram.domain.operations import Counts, Lane
from heliogram.store.postgres.check import look
from heliogram.store.postgres.partitions import DAY_MS, make_partitions
from heliogram.store.postgres.repair import put_right
from heliogram.store.sqlite.check import Findings, examine
from heliogram.store.sqlite.repair import Repair, repair_file

AT = 1_790_000_000_000
"""When a repair is done (ms)."""


async def fill(bench: Bench, *, worker: str = "w", scheduled: bool = True, gone: bool = False) -> None:
    """Devices of two users, or of one and what the other left when it was deleted; operations of 4 that ended, of 700
    that was canceled, of 1,200 that `worker` sends, and of 2 that waits for its time, if that is `scheduled`."""
    clock, store = bench.clock, bench.store
    await bench.app()
    user = (await bench.device(token_of(1))).user_id
    await bench.device(token_of(2), user)
    other = (await bench.device(token_of(3))).user_id
    if gone:
        await store.delete_user(bench.account, other, clock.ms)
    await bench.accept([Recipient(user=user), *recipients_of(3)])
    (chunk,) = await store.claim(Lane.TX, 0, limit=1, now=clock.ms, until=clock.ms + 1000, worker="w")
    outcomes = [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNADDRESSABLE, Outcome.ACCEPTED]
    records = [
        DeliveryRecord(sequence=n, slot=0, outcome=outcome, final=True, at=clock.ms)
        for n, outcome in enumerate(outcomes)
    ]
    await store.append_records(chunk, records[:1], Counts(sent=1))
    await store.append_records(chunk, records[1:], Counts(sent=2, failed=1, unaddressable=1))
    await store.finish(chunk, clock.ms)
    canceled = await bench.accept(recipients_of(700))
    await store.cancel_operation(bench.account, canceled.id, clock.ms)
    await bench.accept(recipients_of(1200))
    await store.claim(Lane.BULK, 0, limit=1, now=clock.ms, until=clock.ms + 1000, worker=worker)
    if scheduled:
        await bench.accept(recipients_of(2), send_at=clock.ms + 9_000_000)


class Ward:
    """A database that nobody has open."""

    def __init__(self, kind: str, directory: Path, link: asyncpg.Connection | None, url: str) -> None:
        self.kind = kind
        self._directory = directory
        self._link = link
        self.url = url
        self.heard: list[str] = []

    def __repr__(self) -> str:
        return f"Ward({self.kind})"

    @property
    def file(self) -> Path:
        """The embedded store's."""
        return self._directory / "heliogram.db"

    async def spoil(self, sql: str) -> None:
        """Does to it what no program of ours does, references and triggers notwithstanding."""
        if self._link is not None:
            await self._link.execute(f"SET session_replication_role = replica; {sql}; RESET session_replication_role")
            return
        connection = apsw.Connection(str(self.file))
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        connection.execute(sql).fetchall()
        connection.close()

    async def ask(self, sql: str) -> Any:
        """The rows of a query."""
        if self._link is not None:
            return [tuple(row) for row in await self._link.fetch(sql)]
        connection = apsw.Connection(str(self.file))
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    async def look(self) -> Findings:
        """What is wrong with all of it."""
        if self._link is not None:
            return await look(self.url, full=True)
        return examine(self.file, full=True)

    async def repair(self, findings: Findings) -> Repair:
        """What was put right, and what was not."""
        if self._link is not None:
            return await put_right(self.url, findings, AT, self.heard.append)
        return repair_file(self.file, findings, AT, self.heard.append)

    async def store(self) -> Any:
        """A context in which a node has it open."""
        return opened(self._directory, FACTORIES[self.kind])


@asynccontextmanager
async def ward(kind: str, directory: Path) -> AsyncIterator[Ward]:
    """A database of that store with something of every kind in it."""
    async with opened(directory, FACTORIES[kind]) as bench:
        await fill(bench)
    if kind == "sqlite":
        yield Ward(kind, directory, None, "")
        return
    url = await server().database_for(directory)
    link = await asyncpg.connect(url)
    now = int(time.time() * 1000)  # partitions are looked at by the database's clock
    for at in (now, now + DAY_MS):  # should a day begin meanwhile
        await make_partitions(link, at)
    yield Ward(kind, directory, link, url)
    await link.close()
