"""What a large send's users have is read once, and is never used when it is not true any more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.stores import Bench, opened, token_of

from heliogram.domain.apps import ProviderName
from heliogram.domain.devices import Reached, TokenKind
from heliogram.domain.lookups import Known, Wanted
from heliogram.store.sqlite import SqliteStore, ahead
from heliogram.store.sqlite.ahead import AHEAD_SECONDS, ReadAhead

pytestmark = pytest.mark.anyio


class Asking:
    """A store that counts of how many users it reads the devices."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(bench.store, SqliteStore)
        self.bench, self.store, self.read = bench, bench.store, list[int]()
        array = self.store._array

        def counted(values: Any) -> Any:
            self.read.append(len(values))
            return array(values)

        monkeypatch.setattr(self.store, "_array", counted)

    async def user(self, number: int) -> bytes:
        """Somebody with a device."""
        made: bytes = (await self.bench.device(token_of(number))).user_id
        return made

    async def accept(self, *users: bytes, kind: TokenKind = TokenKind.ALERT) -> set[bytes]:
        """Who is missing, of a send that is accepted."""
        wanted = Wanted(app_name="shop", kind=kind, users=frozenset(users))
        return await self.store.look_ahead(self.bench.account, wanted)

    async def plan(self, *users: bytes, kind: TokenKind = TokenKind.ALERT) -> dict[bytes, list[bytes]]:
        """The tokens of users, as planning asks for them."""
        wanted = Wanted(app_name="shop", kind=kind, users=frozenset(users))
        known: Known = await self.store.look_up(self.bench.account, wanted)
        return {user: [device.token for device in devices] for user, devices in known.devices.items() if devices}


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """The embedded store: nobody else changes what it has."""
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
async def asking(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Asking:
    await bench.app()
    return Asking(bench, monkeypatch)


async def test_devices_are_read_once(asking: Asking) -> None:
    """As the send is accepted; a further try reads them anew."""
    one, two = await asking.user(1), await asking.user(2)
    assert await asking.accept(one, two, bytes(16)) == {bytes(16)}
    asking.read.clear()
    assert await asking.plan(one, two) == {one: [token_of(1)], two: [token_of(2)]}
    assert asking.read == []
    assert await asking.plan(one) == {one: [token_of(1)]}
    assert asking.read == [1]


@pytest.mark.parametrize("how", ["removed", "moved", "quarantined", "deleted", "added"])
async def test_what_changed_since_is_read_again(asking: Asking, how: str) -> None:
    """A token that is gone, or somebody else's, is not sent to; one that came is. Nobody else is read again."""
    store, bench = asking.store, asking.bench
    one, two = await asking.user(1), await asking.user(2)
    await asking.accept(one, two)
    bench.clock.advance(1)
    if how == "removed":
        assert await store.remove_device(bench.account, "shop", ProviderName.APN, token_of(1), dead_since=None)
    elif how == "moved":
        await bench.device(token_of(1), external_id="ada")
    elif how == "quarantined":
        where = (bench.account, "shop", ProviderName.APN, token_of(1))
        await store.quarantine_device(*where, reason="BadDeviceToken", at=bench.clock.ms, kind=TokenKind.ALERT)
    elif how == "deleted":
        assert await store.delete_user(bench.account, one, bench.clock.ms)
    else:
        await bench.device(token_of(3), user=one)
    asking.read.clear()
    found = await asking.plan(one, two)
    assert found == ({one: [token_of(1), token_of(3)]} if how == "added" else {}) | {two: [token_of(2)]}
    assert asking.read == [1]


async def test_a_user_without_a_device_is_known_to_have_none(asking: Asking) -> None:
    """Until one is registered."""
    user = await asking.store.ensure_user(asking.bench.account, "ada", asking.bench.clock.ms)
    assert await asking.accept(user) == set()
    asking.read.clear()
    assert await asking.plan(user) == {}
    assert asking.read == []
    await asking.accept(user)
    await asking.bench.device(token_of(1), user=user)
    assert await asking.plan(user) == {user: [token_of(1)]}


async def test_another_kind_of_token_is_another_question(asking: Asking) -> None:
    """What was read for alerts says nothing of calls."""
    user = await asking.user(1)
    await asking.accept(user)
    asking.read.clear()
    assert await asking.plan(user, kind=TokenKind.VOIP) == {}
    assert asking.read == [1]


async def test_it_is_forgotten_after_its_time(asking: Asking) -> None:
    """A send that was cancelled keeps nothing in memory for ever."""
    user = await asking.user(1)
    await asking.accept(user)
    asking.bench.clock.advance(AHEAD_SECONDS)
    assert await asking.plan(user) == {user: [token_of(1)]}
    assert repr(asking.store._ahead) == "ReadAhead(users=0, reading=0)"


async def test_what_was_taken_is_kept_nowhere(asking: Asking) -> None:
    """Of users who were planned nothing is left but that they were read, though others of the send wait still."""
    known, where = ReadAhead(asking.bench.clock), (asking.bench.account, "shop", "alert", None)
    known.keep(known.begin(), where, {bytes([number]): [] for number in range(2)})
    (devices,) = known.take(where, [bytes([1])]).values()
    assert [each for each in gc.get_referrers(devices) if isinstance(each, dict)] == []


async def test_no_more_is_kept_than_there_is_room_for(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """What found no room is read when it is planned."""
    monkeypatch.setattr(ahead, "MOST_AHEAD", 2)
    one, two, three = [await asking.user(number) for number in (1, 2, 3)]
    await asking.accept(one, two)
    assert await asking.accept(three, bytes(16)) == {bytes(16)}
    assert repr(asking.store._ahead) == "ReadAhead(users=2, reading=0)"
    asking.read.clear()
    assert len(await asking.plan(one, two, three)) == 3
    assert asking.read == [1]
    assert await asking.accept(three) == set()
    assert repr(asking.store._ahead) == "ReadAhead(users=1, reading=0)"


@pytest.mark.parametrize(("devices", "kept"), [(4, 1), (5, 0)])
async def test_users_with_many_devices_are_not_kept(asking: Asking, devices: int, kept: int) -> None:
    """They would take more memory than reading them again is worth."""
    user = await asking.user(0)
    for number in range(1, devices):
        await asking.bench.device(token_of(number), user=user)
    await asking.accept(user)
    assert repr(asking.store._ahead) == f"ReadAhead(users={kept}, reading=0)"
    assert len((await asking.plan(user))[user]) == devices


async def test_many_users_are_asked_for_in_parts(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of them others have the reader."""
    monkeypatch.setattr(ahead, "AHEAD_SLICE", 2)
    users = [await asking.user(number) for number in range(5)]
    asking.read.clear()
    assert await asking.accept(*users) == set()
    assert asking.read == [2, 2, 1]


def test_what_changes_while_it_is_read_is_not_kept(bench: Bench) -> None:
    """The answer may be of before; whether the change is committed before or after it comes."""
    kept, where = ReadAhead(bench.clock), (b"a", "shop", "alert", None)
    one: dict[bytes, list[Reached]] = {b"one": []}
    two: dict[bytes, list[Reached]] = {b"two": []}
    reading = kept.begin()
    kept._changes(b"one")
    kept.committed()
    kept.keep(reading, where, one | two)
    kept.end(reading)
    assert kept.take(where, [b"one", b"two"]) == {b"two": []}
    reading = kept.begin()
    kept.keep(reading, where, one)
    kept.end(reading)
    kept._changes(b"one")
    assert repr(kept) == "ReadAhead(users=1, reading=0)", "not committed yet"
    kept.committed()
    assert kept.take(where, [b"one"]) == {}


async def test_two_sends_at_once_each_have_the_truth(asking: Asking) -> None:
    """What one has taken the other reads."""
    user = await asking.user(1)
    await asyncio.gather(asking.accept(user), asking.accept(user))
    first, second = await asyncio.gather(asking.plan(user), asking.plan(user))
    assert first == second == {user: [token_of(1)]}
