"""An index that is made anew has a second one beside it, which stays when that is broken off."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from support.wards import ward

from heliogram.store.cures import cure_of

pytestmark = pytest.mark.anyio
INDEXES = (
    "SELECT i.indexrelid::regclass::text, i.indisvalid FROM pg_index i"
    " WHERE i.indexrelid::regclass::text LIKE 'device_history_by_digest%' ORDER BY 1"
)


@pytest.mark.parametrize("name", ["device_history_by_digest_ccold", "device_history_by_digest_ccnew1"])
async def test_what_a_broken_off_reindex_left_is_removed(tmp_path: Path, anyio_backend: str, name: str) -> None:
    """Made anew it would stay, and every write would keep it up for nothing."""
    async with ward("postgres", tmp_path) as database:
        link = await asyncpg.connect(database.url)
        await link.execute(f"CREATE INDEX {name} ON device_history (account_id, digest)")
        await link.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass", name)
        await link.close()
        found = await database.look()
        problem = f"index {name} of device_history is not valid: left by a REINDEX that did not end: "
        assert found.problems == [f"{problem}DROP INDEX CONCURRENTLY {name}"]
        assert "nobody makes that index anew" in cure_of(found.problems[0])
        made = await database.repair(found)
        assert made.done == [f"the index {name} of device_history, left by a REINDEX that did not end, was removed"]
        assert await database.ask(INDEXES) == [("device_history_by_digest", True)]
        assert (await database.look()).problems == []
