"""What a claim costs PostgreSQL with 200,000 chunks waiting, and without anybody having told the planner of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.stores import Bench, open_postgres, opened, recipients_of

from heliogram.domain.operations import Lane, flow_of
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.catalogue import catalogue

pytestmark = pytest.mark.anyio

WAITING = 200_000
_FILL = """
INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, claimed, parts,
                   sent, failed, unaddressable, canceled, updated, flow, starts)
SELECT account_id, operation_id, n, 1, lane, shard, 0, due + n, 0, '', 0, 0, 0, 0, 0, 0, updated, flow, 0
  FROM chunk, generate_series(1, $1::integer - 1) n
"""
_FILL_RECIPIENTS = """
INSERT INTO chunk_recipients (account_id, operation_id, first, packed)
SELECT account_id, operation_id, n, packed FROM chunk_recipients, generate_series(1, 1000) n
"""


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """A store with 200,000 waiting chunks of one queue, all due."""
    async with opened(tmp_path, open_postgres) as made:
        await made.accept(recipients_of(1))
        made.clock.advance(3600)

        async def fill(link: Any) -> None:
            await link.connection.execute(_FILL, WAITING)
            await link.connection.execute(_FILL_RECIPIENTS)

        assert isinstance(made.store, PostgresStore)
        await made.store._jobs.transact(fill)
        yield made


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, the outermost first."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


async def explained(bench: Bench, key: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of the plan that a statement is run by, with what each of them did."""
    text = catalogue()[key]
    assert isinstance(bench.store, PostgresStore)

    async def run(link: Any) -> list[dict[str, Any]]:
        prepared = await link.connection.prepare(text.sql)
        names = [parameter.name for parameter in prepared.get_parameters()]
        typed = ", ".join(f"{name[:-2]}[]" if name.endswith("[]") else name for name in names)
        literals = ", ".join(literal(values[name]) for name in text.names)
        await link.connection.execute(f"PREPARE looked_at ({typed}) AS {text.sql}")
        plan = await link.connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE looked_at({literals})")
        await link.connection.execute("DEALLOCATE looked_at")
        return list(nodes_of(msgspec.json.decode(plan)[0]["Plan"]))

    found: list[dict[str, Any]] = await bench.store._jobs.transact(run)
    return found


def literal(value: bytes | int | list[int]) -> str:
    if isinstance(value, list):
        return f"'{{{','.join(map(str, value))}}}'"
    return f"'\\x{value.hex()}'" if isinstance(value, bytes) else str(value)


def rows_read(nodes: list[dict[str, Any]]) -> float:
    """How many rows all scans of a plan gave, those that a filter took out included."""
    scans = [node for node in nodes if "Scan" in node["Node Type"]]
    rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans)
    read: float = sum(each * node["Actual Loops"] for each, node in zip(rows, scans, strict=True))
    return read


async def test_a_claim_reads_what_it_takes_and_finding_the_queues_a_row_of_each(bench: Bench) -> None:
    """From the index in the order of `due`: neither by sorting the backlog nor by reading a table from end to end."""
    look = {"lane": int(Lane.TX), "shard": 0, "now": bench.clock.ms}
    flow = flow_of(bench.account, bench.operation(recipients_of(1)).spec)
    nodes = await explained(bench, "claims.due_chunks", {**look, "limit": 4, "flow": flow})
    by_due = [node for node in nodes if "_lane_shard_flow_due_" in node.get("Index Name", "")]
    assert {node["Node Type"] for node in by_due} == {"Index Scan"}
    assert sum(node["Actual Rows"] for node in by_due) <= 4 + len(by_due)
    assert any(node["Node Type"] == "LockRows" for node in nodes)
    assert all(node["Actual Rows"] <= 4 for node in nodes if node["Node Type"] == "Sort")
    assert rows_read(nodes) <= 40
    assert rows_read(await explained(bench, "queueing.flows", {**look, "limit": 64})) <= 60


async def test_looking_for_what_falls_due_reads_a_row_of_each_queue(bench: Bench) -> None:
    """Of each shard that is looked at, not of what waits there."""
    look = {"lanes": [0, 1] * 64, "shards": [n // 2 for n in range(128)], "afters": [-1] * 128}
    assert rows_read(await explained(bench, "queueing.next_of_several", look)) <= 128 + 20
