"""What sending asks of a user's devices stands in narrow entries of its own; how databases of before get them."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from support.stores import opened, token_of

from heliogram.domain.apps import Environment
from heliogram.store.sqlite.check import examine
from heliogram.store.sqlite.connection import APPLICATION_ID
from heliogram.store.sqlite.migrate import migrations

pytestmark = pytest.mark.anyio

FILE = "heliogram.db"
PRODUCTION, SANDBOX = Environment.PRODUCTION, Environment.SANDBOX


async def test_the_migration_to_narrow_entries_keeps_who_can_be_reached(tmp_path: Path) -> None:
    """A database of the schema before it: the same devices are found, and those that come and go are followed."""
    async with opened(tmp_path) as bench:
        await bench.app()
        made = [await bench.device(token_of(n), environment=env) for n, env in enumerate((None, PRODUCTION, SANDBOX))]
        users = [each.user_id for each in made]
        before = await bench.store.devices_of_users(bench.account, "shop", users)
    (tmp_path / "old").mkdir()
    old = apsw.Connection(str(tmp_path / "old" / FILE))
    scripts = list(migrations().values())[:9]
    for script in scripts:
        old.execute(script).fetchall()
    old.execute("ATTACH ? AS made", (str(tmp_path / FILE),))
    for table in ("account", "app", "credential", "user", "registration", "device"):
        columns = ", ".join(str(row[1]) for row in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM made.{table}")  # noqa: S608 - ours
    old.execute("DETACH made")
    old.pragma("user_version", len(scripts))
    old.pragma("application_id", APPLICATION_ID)
    old.close()
    async with opened(tmp_path / "old") as bench:
        assert await bench.store.devices_of_users(bench.account, "shop", users) == before
        await bench.device(token_of(7), users[0])
        await bench.store.delete_registration(bench.account, made[1].registration_id)
        after = await bench.store.devices_of_users(bench.account, "shop", users)
        assert {user: len(found) for user, found in after.items()} == {users[0]: 2, users[2]: 1}
    assert examine(tmp_path / "old" / FILE, full=True).problems == []
