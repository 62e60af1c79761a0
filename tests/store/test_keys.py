"""Accounts and API keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stores import FACTORIES, Bench, opened

from heliogram.domain.accounts import ApiKey, Scope
from heliogram.ports import Window

pytestmark = pytest.mark.anyio


def key_of(bench: Bench, name: str = "app") -> ApiKey:
    return ApiKey(
        account_id=bench.account,
        id=bench.ids.new(),
        name=name,
        hash=b"h" * 36,
        scopes=(Scope.SEND, Scope.READ),
        created=bench.clock.ms,
    )


@pytest.mark.parametrize("kind", sorted(FACTORIES))
async def test_the_first_start_makes_the_account(tmp_path: Path, kind: str) -> None:
    """A later start finds the same default account."""
    async with opened(tmp_path, FACTORIES[kind]) as first:
        made = await first.store.default_account()
    async with opened(tmp_path, FACTORIES[kind]) as second:
        assert await second.store.default_account() == made
    assert made.name == "default"


async def test_a_key_is_found_by_its_id(bench: Bench) -> None:
    """A key comes back as it was kept, account and scopes with it."""
    key = key_of(bench)
    await bench.store.create_api_key(bench.account, key)
    found = await bench.store.find_caller(key.id)
    assert found is not None
    assert found.key == key
    assert found.account == await bench.store.default_account()
    assert await bench.store.find_caller(bench.ids.new()) is None


async def test_keys_are_listed_newest_first(bench: Bench) -> None:
    """Revoked keys stay in the list."""
    keys = []
    for name in ("a", "b", "c"):
        keys.append(key_of(bench, name))
        await bench.store.create_api_key(bench.account, keys[-1])
        bench.clock.advance(1)
    await bench.store.revoke_api_key(bench.account, keys[1].id, bench.clock.ms)
    assert [key.name for key in (await bench.store.list_api_keys(bench.account, Window())).items] == ["c", "b", "a"]


async def test_a_key_is_revoked_once(bench: Bench) -> None:
    """Revoking again, or a key that is not there, says False and changes nothing."""
    key = key_of(bench)
    await bench.store.create_api_key(bench.account, key)
    assert await bench.store.revoke_api_key(bench.account, key.id, 7)
    assert not await bench.store.revoke_api_key(bench.account, key.id, 8)
    assert not await bench.store.revoke_api_key(bench.account, bench.ids.new(), 8)
    found = await bench.store.get_api_key(bench.account, key.id)
    assert found is not None
    assert found.revoked == 7


async def test_another_account_sees_and_ends_no_key(bench: Bench) -> None:
    """Keys belong to their account."""
    key, stranger = key_of(bench), bench.ids.new()
    await bench.store.create_api_key(bench.account, key)
    assert (await bench.store.list_api_keys(stranger, Window())).items == ()
    assert not await bench.store.revoke_api_key(stranger, key.id, 1)
