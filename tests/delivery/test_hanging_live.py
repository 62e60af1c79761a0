"""One credential whose pushes get no answer, and everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.live import Live, living
from support.service import Service

from heliogram.delivery.worker import Worker
from heliogram.domain.operations import Lane

pytestmark = pytest.mark.anyio

SLOTS = 6
"""Of these a queue may have 4, and an account 5."""
STUCK, WELL = "TEAMSTUCK1", "TEAMWELL01"


@pytest.fixture
async def live(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Live]:
    async with living(tmp_path) as made:
        yield made


@asynccontextmanager
async def working(live: Live) -> AsyncIterator[Worker]:
    """A worker for small sends. At the end credentials are revoked, which cuts their connections: what hangs ends."""
    worker = Worker(live.tools, [Lane.TX], slots=SLOTS)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.drain()
        await live.service.queue.close()
        for credential in (await live.get("/Credentials"))["credentials"]:
            await live.post(f"/Credentials/{credential['id']}/revoke")
        await task


async def app(live: Live, service: Service, name: str, team: str) -> None:
    """An app whose pushes go out with a key of that team."""
    await service.app_named(name, content=live.key(team=team))


async def send(service: Service, name: str, token: str) -> None:
    """One push of that app."""
    body = {"to": [{"token": token, "provider": "APN"}], "from": {"appName": name}, "content": {"body": "Hello"}}
    assert (await service.post("", body)).status_code == 202


async def get_stuck(live: Live, service: Service, name: str, running: int, worker: Worker) -> None:
    """Ten pushes to a phone that nothing answers for, until so many chunks are in hand."""
    phone, token = live.phone()
    live.simulator.faults.add(kind="silence", device=phone)
    await app(live, service, name, STUCK)
    for _ in range(10):
        await send(service, name, token)
    await live.until(lambda: f"running={running}/{SLOTS}" in repr(worker))


async def test_a_credential_that_hangs_leaves_slots_to_the_account_s_other_apps(live: Live) -> None:
    """Its chunks hold two thirds of the slots and no more: a push of another team goes out beside them."""
    async with working(live) as worker:
        await get_stuck(live, live.service, "stuck", 4, worker)
        await app(live, live.service, "well", WELL)
        phone, token = live.phone()
        for count in range(1, 4):
            await send(live.service, "well", token)
            await live.until(lambda wanted=count: len(live.simulator.notifications(phone)) == wanted)  # type: ignore[misc] # a lambda with a default
        assert "running=4/6" in repr(worker) or "running=5/6" in repr(worker)
        assert f"held={repr(worker).split('running=')[1][0]}" in repr(live.service.queue)


async def test_an_account_all_of_whose_credentials_hang_leaves_slots_to_others(live: Live) -> None:
    """Five of six are the most that one account has; another account's push goes out at once."""
    async with working(live) as worker:
        await get_stuck(live, live.service, "stuck", 4, worker)
        await get_stuck(live, live.service, "stuck_too", 5, worker)
        other = await live.service.tenant()
        await app(live, other, "well", WELL)
        phone, token = live.phone()
        for count in range(1, 4):
            await send(other, "well", token)
            await live.until(lambda wanted=count: len(live.simulator.notifications(phone)) == wanted)  # type: ignore[misc] # a lambda with a default


async def test_what_was_passed_over_goes_on_when_a_slot_comes_free(live: Live) -> None:
    """At once, without a timer: an answer that comes after all lets the next chunk of the queue go."""
    async with working(live) as worker:
        await app(live, live.service, "slow", STUCK)
        phone, token = live.phone()
        live.simulator.faults.add(kind="delay", delay_ms=50.0, device=phone)
        for _ in range(10):
            await send(live.service, "slow", token)
        await live.until(lambda: len(live.simulator.notifications(phone)) == 10)
        await live.until(lambda: worker.delivered == 10)
    assert "held=0" in repr(live.service.queue)
