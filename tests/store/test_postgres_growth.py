"""A connection lets go of plans that were made when there was less in a table."""

from __future__ import annotations

import pytest
from support.many_rows import fill, values_at

from heliogram.store.postgres.catalogue import catalogue
from heliogram.store.postgres.growth import EVERY, FACTOR, LEAST, MOST, SIZES, Growth
from heliogram.store.postgres.link import Link
from heliogram.store.sqlite.statements import Statement

pytestmark = pytest.mark.anyio


def test_a_look_is_due_after_so_many_statements() -> None:
    """Not before, and counted anew from each look on."""
    growth = Growth()
    assert [growth.is_due(done) for done in (0, EVERY - 1, EVERY, 2 * EVERY - 1, 2 * EVERY)] == [
        *(False, False, True, False, True)
    ]


def test_a_table_has_grown_when_it_has_four_times_as_many_rows() -> None:
    """As many as when it had grown last, not as at the last look; one that became smaller is what it once was."""
    growth = Growth()
    assert growth.has_grown([(1, LEAST)])
    assert not growth.has_grown([(1, FACTOR * LEAST - 1)])
    assert growth.has_grown([(1, FACTOR * LEAST), (2, LEAST)])
    assert not growth.has_grown([(1, LEAST)])
    assert not growth.has_grown([(1, FACTOR * LEAST)])
    assert repr(growth) == "Growth(tables=2, times=2)"


async def test_only_tables_that_a_plan_may_be_wrong_for_are_looked_at(links: tuple[Link, Link]) -> None:
    """Of very few rows, or very many, all plans are good; partitions count together."""
    link, filling = links
    await fill(filling.connection, 0, 200)
    rows = dict(await link.connection.fetch(SIZES))
    tables = "SELECT relname::text, oid FROM pg_class WHERE relkind IN ('r', 'p')"
    named = dict(await link.connection.fetch(tables))
    assert rows[named["chunk"]] == rows[named["device"]] == 200
    assert named["account"] not in rows
    assert all(LEAST <= count <= MOST for count in rows.values())


async def test_a_plan_from_a_small_table_is_made_anew_once_there_is_more_in_it(links: tuple[Link, Link]) -> None:
    """An account's devices are not all read for one of them, as the first plan would."""
    link, filling = links
    await fill(filling.connection, 0, 300, even=False)
    await link.execute(_oldest(), values_at(15, even=False))
    await fill(filling.connection, 300, 3_000, even=False)
    assert await _rows_read(link) > 500
    for _ in range(EVERY):
        await link.execute(_oldest(), values_at(15, even=False))
    await link.refresh()
    assert await _rows_read(link) <= 2


def _oldest() -> Statement:
    return Statement.of(catalogue()["registrations.oldest_device"].sql, "registrations", "oldest_device")


async def _rows_read(link: Link) -> int:
    """How many rows of the indexes of `device` one look-up reads."""
    count = (
        "SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid))::bigint FROM pg_index"
        " WHERE indrelid = 'device'::regclass"
    )
    await link.command("BEGIN")
    before: int = await link.connection.fetchval(count)
    await link.execute(_oldest(), values_at(1_015, even=False))
    after: int = await link.connection.fetchval(count)
    await link.command("COMMIT")
    return after - before
