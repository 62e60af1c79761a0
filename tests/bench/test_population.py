"""What the scale benchmark builds is what the store itself writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from support.clock import FakeClock
from support.stores import Bench, open_sqlite

from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import NewDevice
from heliogram.domain.ids import IdFactory
from heliogram.domain.operations import Counts, Lane, cut
from heliogram.ports import Store
from heliogram.store.sqlite import SqliteStore
from heliogram.store.sqlite.check import examine

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_790_000_000_000

pytestmark = pytest.mark.anyio


class Given(IdFactory):
    """Gives ids that were chosen before."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.next: list[bytes] = []

    def new(self) -> bytes:
        return self.next.pop(0) if self.next else super().new()


def folder(place: Path, name: str) -> Path:
    """A new folder."""
    (place / name).mkdir()
    return place / name


async def opened(directory: Path) -> tuple[Store, Given, bytes]:
    """A store with the benchmark's app."""
    ids, clock = Given(), FakeClock(NOW / 1000)
    store = await open_sqlite(directory, ids, clock)
    account = (await store.default_account()).id
    await Bench(store, clock, ids, account).app("bench")
    return store, ids, account


def rows(directory: Path, account: bytes, table: str) -> list[tuple[Any, ...]]:
    """All of a table, but for whose it is and the columns that count as they come."""
    connection = apsw.Connection(str(directory / "heliogram.db"))
    try:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()  # noqa: S608 - ours
        assert found or table == "chunk_user"
        return [
            tuple(value.replace(account, b"ours") if isinstance(value, bytes) else value for value in row)
            for row in found
        ]
    finally:
        connection.close()


@pytest.fixture
def population(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module under test, found as the benchmarks find each other."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import population

    return population


async def test_generated_devices_are_those_that_registering_makes(population: Any, tmp_path: Path) -> None:
    """Users, registrations and devices in bulk are row for row what registering each of them leaves."""
    written, ids, account = await opened(folder(tmp_path, "written"))
    people = population.Population(account, 30, NOW)
    for number in range(people.users):
        for device in people.devices_of(number):
            ids.next = [people.user(number), people.registration(number)]
            new = NewDevice(
                app_name="bench",
                token=population.token(device),
                provider=ProviderName.APN,
                environment=Environment.PRODUCTION,
                external_id=population.external_id(number),
                installation_id=population.installation(device),
                app_version="3.4.1",
                locale="de-AT",
                time_zone="Europe/Vienna",
            )
            await written.register_device(account, new, people.joined(number))
    await written.close()
    filled, _, other = await opened(folder(tmp_path, "filled"))
    await filled.close()
    bulk(tmp_path / "filled", lambda c: population.fill_devices(c, people._replace(account=other)))
    for table in ("user", "registration", "device", "reachable"):
        assert rows(tmp_path / "filled", other, table) == rows(tmp_path / "written", account, table), table
    assert examine(tmp_path / "filled" / "heliogram.db", full=True).problems == []


@pytest.mark.parametrize(("number", "size"), [(1, 700), (2, 700), (3, 1), (4, 1)])
async def test_a_generated_send_is_what_delivering_it_leaves(
    population: Any, tmp_path: Path, number: int, size: int
) -> None:
    """A send in bulk, to users or to tokens, is row for row what accepting, claiming and recording it leaves."""
    written, _, account = await opened(folder(tmp_path, "written"))
    people = population.Population(account, 1_500, NOW)
    send = population.a_send(people, number, NOW - 1000, size, b"c" * 16)
    await deliver(written, population, send)
    await written.close()
    filled, _, other = await opened(folder(tmp_path, "filled"))
    await filled.close()
    same = population.a_send(people._replace(account=other), number, NOW - 1000, size, b"c" * 16)
    bulk(tmp_path / "filled", lambda c: population.insert_send(c, same))
    for table in ("operation", "chunk", "chunk_recipients", "chunk_user", "chunk_result"):
        assert rows(tmp_path / "filled", other, table) == rows(tmp_path / "written", account, table), table
    assert examine(tmp_path / "filled" / "heliogram.db", full=True).problems == []


async def deliver(store: Store, population: Any, send: Any) -> None:
    """What the service does with a send, each chunk after the one before."""
    operation = send.operation
    assert isinstance(store, SqliteStore)
    await store.accept(operation.account_id, operation, cut(operation.id, send.recipients))
    at = operation.created
    while chunks := await store.claim(Lane(operation.lane), 0, limit=1, now=at, until=at + 60_000, worker=send.worker):
        (chunk,) = chunks
        recorded: set[int] = set()
        for part in population.records_of(send, chunk.first, len(chunk.recipients)):
            recorded |= {record.sequence for record in part}
            await store.append_records(chunk, part, Counts(sent=len(recorded)))
        await store.finish(chunk, part[-1].at)


def bulk(directory: Path, fill: Any) -> None:
    """Fills a store that nobody has open."""
    connection = apsw.Connection(str(directory / "heliogram.db"))
    try:
        connection.execute("BEGIN")
        fill(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()
