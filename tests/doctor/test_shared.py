"""A database that nodes share, looked at without changing it: a real PostgreSQL."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import asyncpg
import pytest
from support.postgres import server
from support.waiting import HANG_SECONDS

from heliogram.doctor import Finding, Patient, examine
from heliogram.doctor.network import Net
from heliogram.doctor.shared import database
from heliogram.settings import STORE_SCHEMES, Address, ServeSettings, Url

pytestmark = pytest.mark.anyio


def named(text: str) -> Url:
    return Url.parse(text, option="--store", schemes=STORE_SCHEMES)


async def looked(url: str, milliseconds: float = 1.0) -> Finding:
    """What is found; a round trip takes so long on this timer."""
    ticks = cycle([0.0, milliseconds / 100])
    (found,) = [each async for each in database(named(url), HANG_SECONDS, lambda: next(ticks))]
    return found


async def test_a_database_that_nodes_use(tmp_path: Path) -> None:
    """Its version, its schema, and how far away it is."""
    found = await looked(await server().database_for(tmp_path))
    assert (found.check, found.state) == ("database", "ok")
    assert "PostgreSQL 1" in found.text
    assert "a round trip takes 1.0 ms; schema " in found.text


async def test_a_database_without_a_schema_keeps_having_none(tmp_path: Path) -> None:
    """The next start makes one; a look does not."""
    url = await server().empty()
    found = await looked(url)
    assert found.state == "warning"
    assert "the next start brings it to schema" in found.cure
    link = await asyncpg.connect(url)
    assert await link.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE 'heliogram%'") == 0
    await link.close()


async def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    """Nobody listens, or there is none of that name."""
    found = await looked("postgresql://me:hidden@127.0.0.1:1/push")
    assert found.state == "failed"
    assert "postgresql://127.0.0.1:1/push" in found.text
    assert "hidden" not in f"{found}"
    found = await looked(server().url("nowhere").replace("heliogram@", "heliogram:hidden@"))
    assert 'database "nowhere" does not exist' in found.text
    assert "hidden" not in f"{found}"


@pytest.mark.parametrize(("milliseconds", "check"), [(20.0, "database"), (20.5, "round trip")])
async def test_a_database_that_is_far_away_is_told(tmp_path: Path, milliseconds: float, check: str) -> None:
    """Above 20 ms for a round trip, every request takes long."""
    ticks = cycle([0.0, milliseconds / 100])
    url = named(await server().database_for(tmp_path))
    found = [each async for each in database(url, HANG_SECONDS, lambda: next(ticks))]
    assert found[0].check == check


async def test_a_node_of_several_is_looked_at_whole(tmp_path: Path) -> None:
    """Nothing is said of a data directory; the key that all nodes share is asked for; credentials need it."""
    store = named(await server().database_for(tmp_path))
    settings = ServeSettings(data=tmp_path / "none", store=store, listen=Address("127.0.0.1", 0))
    patient = Patient(settings=settings, net=Net(time=lambda: 0.0, seconds=HANG_SECONDS), offline=True)
    found = {each.check: each async for each in examine(patient)}
    assert "data directory" not in found
    assert found["master key"].state == "failed"
    key = tmp_path / "key"
    key.write_text("A" * 43 + "=\n")
    settings = ServeSettings(data=tmp_path / "none", store=store, master_key=key, listen=Address("127.0.0.1", 0))
    patient = Patient(settings=settings, net=Net(time=lambda: 0.0, seconds=HANG_SECONDS), offline=True)
    found = {each.check: each async for each in examine(patient)}
    assert found["master key"].state == "ok"
    assert found["credentials"].state == "warning"
