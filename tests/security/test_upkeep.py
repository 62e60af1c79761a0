"""What is too old to be asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.stores import opened

from heliogram.domain.accounts import Account, ApiKey, AuditEvent
from heliogram.ports import Window
from heliogram.security import forget_old
from heliogram.security.upkeep import SLICE

pytestmark = pytest.mark.anyio

DAYS_400 = 400 * 86_400


async def test_events_and_ended_keys_are_kept_400_days(tmp_path: Path) -> None:
    """In every account, however many slices that takes; a day less and they stay."""
    async with opened(tmp_path) as bench:
        store = bench.store
        other = Account(id=bench.ids.new(), name="other", created=bench.clock.ms)
        await store.create_account(other)
        for account in (bench.account, other.id):
            events = [
                AuditEvent(id=bench.ids.new(), at=bench.clock.ms, actor="cli", action="a", subject="s")
                for _ in range(SLICE + 1)
            ]
            await asyncio.gather(*(store.record_audit(account, event) for event in events))
            key = ApiKey(account_id=account, id=bench.ids.new(), name="", hash=b"h" * 36, revoked=bench.clock.ms)
            await store.create_api_key(account, key)
        bench.clock.advance(DAYS_400)
        assert await forget_old(store, store, store, bench.clock.ms) == 0
        bench.clock.advance(0.001)
        assert await forget_old(store, store, store, bench.clock.ms) == 2 * (SLICE + 2)
        for account in (bench.account, other.id):
            assert (await store.list_audit(account, Window())).items == ()
            assert (await store.list_api_keys(account, Window())).items == ()
