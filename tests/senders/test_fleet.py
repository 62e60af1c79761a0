"""Senders are started, and started again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.senders import Pair
from support.stores import opened

from heliogram.delivery.providers.apns import ApnsEndpoints
from heliogram.domain.operations import Lane
from heliogram.observe.clock import SystemClock
from heliogram.senders.fleet import Fleet, Plan, SenderFailed
from heliogram.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def plan(directory: Path, database: str = "heliogram.db") -> Plan:
    return Plan(
        senders=1,
        database=str(directory / database),
        keys=lambda: [b"k" * 32],
        endpoints=ApnsEndpoints(),
        slots={Lane.BULK: 1},
        log_level="error",
    )


async def test_a_sender_that_is_killed_is_followed_by_another(tmp_path: Path) -> None:
    """And the fleet drains whoever sits there then."""
    async with opened(tmp_path) as bench:
        pair = Pair(bench)
        pair.switchboard.desks.clear()
        fleet = Fleet(plan(tmp_path), pair.store, pair.switchboard, SystemClock())
        try:
            async with asyncio.timeout(90):
                await fleet.start()
                (first,) = pair.switchboard.desks
                with capture_logs() as logs:
                    fleet._seats[0].kill()
                    while not (pair.switchboard.desks - {first}):
                        await asyncio.to_thread(lambda: None)
                    (second,) = pair.switchboard.desks
                    await second.ready.wait()
        finally:
            await fleet.drain(1)
    (died,) = [line for line in logs if line["event"] == "sender.died"]
    assert (died["sender"], died["code"], died["again_in"]) == (1, -9, 0.1)
    assert pair.switchboard.desks == set()


async def test_a_sender_that_cannot_begin_stops_the_start(tmp_path: Path) -> None:
    """Without it large sends would be taken and never leave."""
    async with opened(tmp_path) as bench:
        assert isinstance(bench.store, SqliteStore)
        pair = Pair(bench)
        fleet = Fleet(plan(tmp_path, "elsewhere/heliogram.db"), bench.store, pair.switchboard, SystemClock())
        async with asyncio.timeout(90):
            with pytest.raises(SenderFailed, match="sender 1 ended with code 1"):
                await fleet.start()


async def test_a_machine_without_room_for_a_process_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no reason for the seat to stay empty: the log says why, and it is tried again."""
    async with opened(tmp_path) as bench:
        pair = Pair(bench)
        fleet = Fleet(plan(tmp_path), pair.store, pair.switchboard, SystemClock())
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
        with capture_logs() as logs, pytest.raises(SenderFailed):
            async with asyncio.timeout(90):
                await fleet.start()
    assert [line["event"] for line in logs] == ["sender.not_started"]
