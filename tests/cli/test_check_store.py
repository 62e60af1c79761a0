"""`heliogram check` on a PostgreSQL database."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result
from support.clock import FakeClock
from support.postgres import server

from heliogram.cli.root import cli
from heliogram.domain.ids import IdFactory
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.partitions import DAY_MS, TABLES, make_partitions, suffix_of

MISCOUNT = """
INSERT INTO queue_depth AS d (account_id, slot, waiting, ended) VALUES ('', 0, 7, 0)
    ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + 7
"""
"""The row may be there: which ones are depends on the numbers of the server's processes."""


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that a node was started on."""

    async def made() -> str:
        url, clock = await server().database_for(tmp_path), FakeClock()
        store = await PostgresStore.open(url, ids=IdFactory(lambda: clock.ms), clock=clock)
        await store.close()
        link = await asyncpg.connect(url)
        now = int(time.time() * 1000)
        for at in (now, now + DAY_MS):
            await make_partitions(link, at)
        await link.close()
        return url

    return asyncio.run(made())


def spoil(url: str) -> None:
    """An index is gone."""

    async def done() -> None:
        link = await asyncpg.connect(url)
        await link.execute("DROP INDEX chunk_held")
        await link.close()

    asyncio.run(done())


def test_a_database_that_is_well_and_one_that_is_not(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same lines and exit codes as with a file; how far it is is told in full only."""
    monkeypatch.chdir(tmp_path)
    well = run("check", "--store", url)
    assert (well.exit_code, well.stderr) == (0, "")
    assert " is well: schema " in well.stdout
    assert "looking at the schema\n" in run("check", "--store", url, "--full").stderr
    spoil(url)
    ill = run("check", "--store", url)
    assert (ill.exit_code, ill.stdout) == (1, "schema: the index chunk_held is missing\n")
    assert ill.stderr.endswith(": 1 problems; a backup can be restored: pg_restore\n")
    monkeypatch.setenv("HELIOGRAM_STORE", url)
    told = run("check", "--json")
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert (found["ok"], found["problems"]) == (False, ["schema: the index chunk_held is missing"])
    assert found["store"].startswith("postgresql://")


def miscount(url: str) -> None:
    """Seven more wait than there are, and a coming day has no partitions."""
    day = suffix_of(int(time.time() * 1000) // DAY_MS + 2)

    async def done() -> None:
        link = await asyncpg.connect(url)
        await link.execute(MISCOUNT)
        await link.execute("DROP TABLE " + ", ".join(f"{table}_{day}" for table in TABLES))
        await link.close()

    asyncio.run(done())


def test_a_repair_is_told_and_checked(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line for each change, then what is left; 0 when that is nothing."""
    monkeypatch.chdir(tmp_path)
    miscount(url)
    ill = run("check", "--store", url)
    assert ill.stderr.endswith(
        ": 2 problems; --repair puts right what can be, and a backup can be restored: pg_restore\n"
    )
    mended = run("check", "--store", url, "--repair")
    partitions, counted, last = mended.stdout.splitlines()
    assert mended.exit_code == 0
    assert partitions.startswith("repaired: partitions were made for ")
    assert counted == "repaired: all accounts: recipients that wait were counted as 7, and are 0"
    assert " is well: " in last
    assert "checking again\n" in mended.stderr
    spoil(url)
    left = run("check", "--store", url, "--repair", "--json")
    told = json.loads(left.stdout)
    assert (left.exit_code, told["repaired"]) == (1, [])
    assert told["refused"][0].startswith("the schema is not what this version of heliogram works on")
    assert told["cures"][told["problems"][0]].startswith("make it as it is in a new database of this version")
    assert "\n  not repaired: make it as it is" in run("check", "--store", url, "--repair").output


def test_what_cannot_be_reached_is_told_without_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory that is named is meant, whatever the environment says."""
    monkeypatch.chdir(tmp_path)
    away = "postgresql://me:hidden@/nobody_made_it?host=/nowhere"
    said = run("check", "--store", away)
    assert said.exit_code == 1
    assert "hidden" not in said.output
    assert "Traceback" not in said.output
    monkeypatch.setenv("HELIOGRAM_STORE", away)
    named = run("check", "--data", str(tmp_path))
    assert (named.exit_code, "there is no database in" in named.stderr) == (2, True)
