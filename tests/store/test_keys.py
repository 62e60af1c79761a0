"""Accounts and API keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.stores import FACTORIES, Bench, opened

from heliogram.domain.accounts import ALL_SCOPES, MAX_KEYS, ApiKey, AuditEvent, Scope
from heliogram.domain.errors import Code, Conflict, LimitReached
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


async def test_a_scope_of_a_later_version_grants_nothing(bench: Bench) -> None:
    """Beside nodes that know more scopes a key still opens what it may here."""
    store: Any = bench.store
    key = key_of(bench)
    await store.create_api_key(bench.account, key)
    values = {"account": bench.account, "id": key.id}
    change = "UPDATE api_key SET scopes = 'send fly read' WHERE account_id = :account AND id = :id"
    await store._write(lambda c: c.execute(change, values))
    assert (await store.get_api_key(bench.account, key.id)).scopes == (Scope.SEND, Scope.READ)


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


async def fill(bench: Bench, count: int) -> None:
    """So many active keys."""
    await asyncio.gather(*(bench.store.create_api_key(bench.account, key_of(bench)) for _ in range(count)))


def event_of(bench: Bench, action: str = "apiKey.created") -> AuditEvent:
    return AuditEvent(id=bench.ids.new(), at=bench.clock.ms, actor="cli", action=action, subject="key_x")


async def actions(bench: Bench) -> list[str]:
    return [event.action for event in (await bench.store.list_audit(bench.account, Window())).items]


async def test_a_hundred_keys_may_be_active(bench: Bench) -> None:
    """The 101st is refused and leaves no trace; a revoked or expired one makes room."""
    await fill(bench, MAX_KEYS - 1)
    hundredth = key_of(bench)
    await bench.store.create_api_key(bench.account, hundredth)
    with pytest.raises(LimitReached) as refused:
        await bench.store.create_api_key(bench.account, key_of(bench), audit=event_of(bench))
    assert refused.value.code is Code.TOO_MANY_KEYS
    assert await actions(bench) == []
    await bench.store.revoke_api_key(bench.account, hundredth.id, bench.clock.ms)
    await bench.store.create_api_key(bench.account, msgspec.structs.replace(key_of(bench), expires=bench.clock.ms + 1))
    with pytest.raises(LimitReached):
        await bench.store.create_api_key(bench.account, key_of(bench))
    bench.clock.advance(0.001)
    await bench.store.create_api_key(bench.account, key_of(bench))


async def test_a_change_and_its_audit_event_are_one(bench: Bench) -> None:
    """Each change is recorded with it, and what changed nothing is not."""
    key = key_of(bench)
    await bench.store.create_api_key(bench.account, key, audit=event_of(bench))
    assert await bench.store.revoke_api_key(bench.account, key.id, 1, audit=event_of(bench, "apiKey.revoked"))
    assert not await bench.store.revoke_api_key(bench.account, key.id, 1, audit=event_of(bench, "apiKey.revoked"))
    rotated = event_of(bench, "apiKey.rotated")
    assert not await bench.store.rotate_api_key(bench.account, key.id, key_of(bench), 5, audit=rotated)
    assert sorted(await actions(bench)) == ["apiKey.created", "apiKey.revoked"]


async def test_a_rotated_key_ends_after_its_grace(bench: Bench) -> None:
    """The successor is kept, the old key ends when it is told to, and never later than it would have."""
    old = key_of(bench)
    await bench.store.create_api_key(bench.account, old)
    successors = [key_of(bench), key_of(bench)]
    for successor, ends in zip(successors, (bench.clock.ms + 500, bench.clock.ms + 900), strict=True):
        assert await bench.store.rotate_api_key(bench.account, old.id, successor, ends)
    found = await bench.store.get_api_key(bench.account, old.id)
    assert found is not None
    assert (found.expires, found.lifetime) == (bench.clock.ms + 500, None)
    assert found.good_at(bench.clock.ms + 499)
    assert not found.good_at(bench.clock.ms + 500)
    assert await bench.store.get_api_key(bench.account, successors[1].id) == successors[1]


async def test_at_the_limit_a_key_rotates_without_grace_alone(bench: Bench) -> None:
    """With 100 active keys a successor beside its old key would be the 101st."""
    await fill(bench, MAX_KEYS - 1)
    old = key_of(bench)
    await bench.store.create_api_key(bench.account, old)
    with pytest.raises(LimitReached):
        await bench.store.rotate_api_key(bench.account, old.id, key_of(bench), bench.clock.ms + 1)
    found = await bench.store.get_api_key(bench.account, old.id)
    assert found == old
    assert await bench.store.rotate_api_key(bench.account, old.id, key_of(bench), bench.clock.ms)


async def test_a_key_gets_another_secret_in_the_place_of_one_alone(bench: Bench) -> None:
    """Of two that would, one does; another account's key stays as it is, and nothing else of a key changes."""
    key = key_of(bench)
    await bench.store.create_api_key(bench.account, key)
    renewed = msgspec.structs.replace(key, hash=b"n" * 36)
    assert not await bench.store.renew_api_key(bench.ids.new(), renewed, key.hash)
    assert await bench.store.renew_api_key(bench.account, renewed, key.hash)
    late = msgspec.structs.replace(key, hash=b"l" * 36, name="late")
    assert not await bench.store.renew_api_key(bench.account, late, key.hash)
    assert await bench.store.get_api_key(bench.account, key.id) == renewed


async def test_an_ended_or_foreign_key_is_not_rotated(bench: Bench) -> None:
    """Nothing is kept for it."""
    ended, good = msgspec.structs.replace(key_of(bench), expires=bench.clock.ms), key_of(bench)
    for key in (ended, good):
        await bench.store.create_api_key(bench.account, key)
    assert not await bench.store.rotate_api_key(bench.account, ended.id, key_of(bench), bench.clock.ms + 9)
    stranger = msgspec.structs.replace(key_of(bench), account_id=bench.ids.new())
    assert not await bench.store.rotate_api_key(stranger.account_id, good.id, stranger, bench.clock.ms + 9)
    assert await bench.store.find_caller(stranger.id) is None


async def test_the_last_admin_key_is_spared_when_asked(bench: Bench) -> None:
    """While another good key has the scope admin it can be revoked; without one only without `keep_admin`."""
    admins = [msgspec.structs.replace(key_of(bench), scopes=(Scope.ADMIN,)) for _ in range(2)]
    for key in (*admins, key_of(bench)):
        await bench.store.create_api_key(bench.account, key)
    assert await bench.store.revoke_api_key(bench.account, admins[0].id, 1, keep_admin=True)
    with pytest.raises(Conflict) as refused:
        await bench.store.revoke_api_key(bench.account, admins[1].id, 1, keep_admin=True)
    assert refused.value.code is Code.LAST_ADMIN_KEY
    assert await bench.store.revoke_api_key(bench.account, admins[1].id, 1)


async def test_an_expired_admin_key_does_not_count(bench: Bench) -> None:
    """It lets nobody in, so the other one is the last."""
    now = bench.clock.ms
    last, expired = (msgspec.structs.replace(key_of(bench), scopes=ALL_SCOPES, expires=end) for end in (None, now))
    for key in (last, expired):
        await bench.store.create_api_key(bench.account, key)
    with pytest.raises(Conflict):
        await bench.store.revoke_api_key(bench.account, last.id, now, keep_admin=True)
    assert await bench.store.revoke_api_key(bench.account, expired.id, now, keep_admin=True)


async def test_last_use_is_noted_once_a_minute(bench: Bench) -> None:
    """A note less than a minute after the last changes nothing, from whichever process it comes."""
    key = key_of(bench)
    await bench.store.create_api_key(bench.account, key)
    for at, kept in ((1000, 1000), (60_999, 1000), (61_000, 61_000)):
        await bench.store.touch_api_key(bench.account, key.id, at)
        found = await bench.store.get_api_key(bench.account, key.id)
        assert found is not None
        assert found.last_used == kept


async def test_keys_that_ended_long_ago_are_forgotten_in_slices(bench: Bench) -> None:
    """Only keys that were revoked or expired before the moment go, as many as were asked for."""
    now = bench.clock.ms
    ends: list[dict[str, int]] = [{"revoked": now - 1}, {"expires": now - 1}, {"revoked": now}, {"expires": now}, {}]
    keys = [msgspec.structs.replace(key_of(bench), **end) for end in ends]
    for key in keys:
        await bench.store.create_api_key(bench.account, key)
    assert await bench.store.prune_api_keys(bench.ids.new(), now, limit=9) == 0
    assert [await bench.store.prune_api_keys(bench.account, now, limit=1) for _ in range(3)] == [1, 1, 0]
    left = (await bench.store.list_api_keys(bench.account, Window())).items
    assert {key.id for key in left} == {key.id for key in keys[2:]}


async def test_keys_are_paged(bench: Bench) -> None:
    """Every key is on one page, none on two."""
    await fill(bench, 5)
    seen, after = [], None
    while True:
        page = await bench.store.list_api_keys(bench.account, Window(limit=2, after=after))
        seen += [key.id for key in page.items]
        after = page.next
        if after is None:
            break
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 5
