"""What one node of several has at a time, by PostgreSQL's advisory locks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.clock import FakeClock
from support.postgres import server

from heliogram.store.errors import StoreGone
from heliogram.store.postgres.office import LOOK_SECONDS, PostgresOffice

pytestmark = pytest.mark.anyio


class Offices:
    """Nodes that ask for one office of one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = FakeClock()
        self.made: list[PostgresOffice] = []

    def node(self, url: str | None = None, *, number: int = 1) -> PostgresOffice:
        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(url or self.url)

        self.made.append(PostgresOffice(connect, self.clock, "postgresql://here/db", number=number))
        return self.made[-1]

    async def end_others(self) -> None:
        """As an administrator would, or a server that restarts."""
        admin = await asyncpg.connect(self.url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await admin.close()


@pytest.fixture
async def offices(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Offices]:
    made = Offices(await server().database_for(tmp_path))
    yield made
    for office in made.made:
        await office.close()


async def test_one_node_has_it_at_a_time(offices: Offices) -> None:
    """The next one gets it when it is given back."""
    one, two = offices.node(), offices.node()
    term = await one.claim()
    assert term is not None
    assert await two.claim() is None
    await term.end()
    taken = await two.claim()
    assert taken is not None
    assert not term.lost.is_set()
    await taken.end()


async def test_offices_are_apart(offices: Offices) -> None:
    """Each number is one of its own."""
    terms = [await offices.node(number=number).claim() for number in (1, 2)]
    assert None not in terms
    for term in terms:
        assert term is not None
        await term.end()


async def test_who_has_it_hears_that_its_connection_is_gone(offices: Offices) -> None:
    """And another node may have it at once."""
    term = await offices.node().claim()
    assert term is not None
    await offices.end_others()
    async with asyncio.timeout(90):
        await term.lost.wait()
    other = await offices.node().claim()
    assert other is not None
    await other.end()
    await term.end()


async def test_who_has_it_looks_again_and_again(offices: Offices) -> None:
    """A look that is answered changes nothing."""
    term = await offices.node().claim()
    assert term is not None
    for _ in range(3):
        await offices.clock.timer_set()
        offices.clock.advance(LOOK_SECONDS)
    await offices.clock.timer_set()
    assert not term.lost.is_set()
    await term.end()
    assert offices.clock.timers == []


async def test_a_connection_that_was_lost_while_waiting_is_made_anew(offices: Offices) -> None:
    """A server that restarts costs no node its turn."""
    one, two = offices.node(), offices.node()
    term = await one.claim()
    assert term is not None
    assert await two.claim() is None
    await offices.end_others()
    async with asyncio.timeout(90):
        await term.lost.wait()
    await term.end()
    taken = None
    async with asyncio.timeout(90):
        while taken is None:
            try:
                taken = await two.claim()
            except Exception:  # noqa: S112 - the connection it had is told to be gone at its next use
                continue
    await taken.end()


async def test_a_server_that_cannot_be_asked_is_said(offices: Offices) -> None:
    """As an error of the store, which names the database and what to do."""
    with pytest.raises(StoreGone, match="make it first"):
        await offices.node(server().url("gone")).claim()
