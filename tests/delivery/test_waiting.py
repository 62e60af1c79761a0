"""When a chunk looks again after what waits for a credential, also when the clock is set meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stores import Bench, opened, recipients_of

from heliogram.delivery.breaker import Breakers
from heliogram.delivery.plan import Progress, Target
from heliogram.delivery.policy import PROBE_LADDER, Deadline, RetryPolicy
from heliogram.delivery.recorder import Recorder
from heliogram.delivery.waiting import Waiting
from heliogram.domain.apps import ProviderName
from heliogram.domain.operations import Lane

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000
REST = 30_000
FIRST, SECOND = b"c" * 16, b"d" * 16


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.app()
        yield bench


async def waiting(bench: Bench, *credentials: bytes) -> Waiting:
    """What of a chunk waits for credentials that were refused just now."""
    await bench.accept(recipients_of(1))
    now = bench.clock.ms
    (chunk,) = await bench.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 60_000, worker="w")
    progress, breakers = Progress([]), Breakers()
    recorder = Recorder(chunk, progress, bench.store, bench.clock)
    made = Waiting(chunk, progress, recorder, Deadline.of(chunk.start, None, RetryPolicy()))
    for credential in credentials:
        gate = breakers.gate(chunk.account_id, credential, "app", chunk.id)
        gate.refused(None, "InvalidProviderToken", now)
        target = Target(
            sequence=0, slot=0, token=b"t" * 32, provider=ProviderName.APN, environment=None, credential=credential
        )
        made.hold(gate, [target], now)
    await recorder.close()
    return made


@pytest.mark.parametrize("step", [0, -1, -HOUR_MS, -29 * 24 * HOUR_MS])
async def test_a_clock_set_back_makes_the_wait_no_longer(bench: Bench, step: int) -> None:
    now = bench.clock.ms
    assert (await waiting(bench, FIRST)).due(now + step, REST) == now + step + PROBE_LADDER[0]


async def test_a_clock_set_on_ends_the_wait(bench: Bench) -> None:
    now = bench.clock.ms
    assert (await waiting(bench, FIRST)).due(now + HOUR_MS, REST) == now + PROBE_LADDER[0]


async def test_what_waits_for_two_credentials_is_looked_after_soon(bench: Bench) -> None:
    now = bench.clock.ms
    made = await waiting(bench, FIRST, SECOND)
    assert (made.due(now, 1), made.due(now, HOUR_MS)) == (now + 1, now + PROBE_LADDER[0])
