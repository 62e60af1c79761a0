"""What a store tells of what happened to devices."""

from __future__ import annotations

from typing import Any

import pytest
from support.stores import Bench, token_of

from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import MAX_DEVICES
from heliogram.domain.history import KEPT, DeviceEvent, HistoryEntry, TokenRefusal, ends_of
from heliogram.ports import Window
from heliogram.store.sqlite import apps, history, users

pytestmark = pytest.mark.anyio

APN = ProviderName.APN
GONE = TokenRefusal(410, 1_700_000_000_000)
BAD = TokenRefusal(400)


@pytest.fixture(autouse=True)
async def app(bench: Bench) -> None:
    """An app to register devices in."""
    await bench.app()


async def entries(bench: Bench, user: bytes | None = None, token: int | None = None, **more: Any) -> list[HistoryEntry]:
    """All that is told of a user's devices, or of a token, newest first."""
    tokens = set() if token is None else {(APN, token_of(token))}
    window = more.pop("window", Window(limit=1000))
    listed = await bench.store.device_history(bench.account, window, user_id=user, tokens=tokens, **more)
    return list(listed.items)


async def told(bench: Bench, user: bytes | None = None, token: int | None = None, **more: Any) -> list[str]:
    """What happened, newest first."""
    return [str(each.event) for each in await entries(bench, user, token, **more)]


async def remove(bench: Bench, number: int, **more: Any) -> bool:
    """The provider calls a token dead."""
    bench.clock.advance(1)
    given = {"dead_since": bench.clock.ms, "reason": "Unregistered", "refusal": GONE, **more}
    return await bench.store.remove_device(bench.account, "shop", APN, token_of(number), **given)


async def quarantine(bench: Bench, number: int, reason: str = "BadDeviceToken") -> bool:
    """The provider says that a token is none of its own."""
    bench.clock.advance(1)
    where = bench.account, "shop", APN, token_of(number)
    return await bench.store.quarantine_device(*where, reason=reason, at=bench.clock.ms, refusal=BAD)


async def again(bench: Bench, number: int, user: bytes | None = None, **more: Any) -> bytes:
    """A device is registered, a moment later; its user."""
    bench.clock.advance(1)
    return (await bench.device(token_of(number), user, **more)).user_id


async def test_a_device_that_is_there_tells_when_it_was_first_registered(bench: Bench) -> None:
    """By itself: nothing is written for it, nor when it is registered again."""
    at = bench.clock.ms + 1_000
    user = await again(bench, 1, environment=Environment.SANDBOX)
    for _ in range(3):
        await again(bench, 1, user)
    (only,) = await entries(bench, user)
    assert (only.event, only.at, only.user_id, only.app_name) == (DeviceEvent.REGISTERED, at, user, "shop")
    assert (only.token, only.environment) == ("0000…0001", Environment.SANDBOX)
    assert await entries(bench, token=1) == [only]
    assert await bench.store.forget_history(bench.clock.ms + 1_000) == 0


async def test_a_token_that_died_is_told_after_its_registration_has_gone(bench: Bench) -> None:
    """With the provider's word, status and time, and when the app had handed the token over (ERR-1)."""
    user = await again(bench, 1)
    first = bench.clock.ms
    await again(bench, 1, user)
    assert await remove(bench, 1)
    (entry,) = await entries(bench, user)
    assert (entry.event, entry.reason, entry.status) == (DeviceEvent.REMOVED, "Unregistered", 410)
    assert (entry.invalid_since, entry.at) == (GONE.since, bench.clock.ms)
    assert (entry.first_registered, entry.last_registered) == (first, first + 1_000)
    assert await entries(bench, token=1) == [entry]


async def test_a_death_that_was_before_the_last_registration_is_told_once(bench: Bench) -> None:
    """The token is kept, and each push to it would say the same (ERR-1)."""
    user = await again(bench, 1)
    for _ in range(3):
        assert not await remove(bench, 1, dead_since=bench.clock.ms - 10_000)
    assert await told(bench, user) == ["REFUSED", "REGISTERED"]
    assert not await remove(bench, 2, dead_since=1)
    assert await told(bench, token=2) == []


async def test_a_quarantine_is_told_once_with_its_reason_and_its_end(bench: Bench) -> None:
    """Until the app registers the token anew, whoever says it again."""
    user = await again(bench, 1)
    await quarantine(bench, 1)
    await quarantine(bench, 1)
    await quarantine(bench, 1, "DeviceTokenNotForTopic")
    await again(bench, 1, user)
    await again(bench, 1, user)
    await quarantine(bench, 1, "DeviceTokenNotForTopic")
    found = await entries(bench, user)
    assert [(str(each.event), each.reason, each.status) for each in found] == [
        ("QUARANTINED", "DeviceTokenNotForTopic", 400),
        ("REVIVED", None, None),
        ("QUARANTINED", "DeviceTokenNotForTopic", 400),
        ("QUARANTINED", "BadDeviceToken", 400),
        ("REGISTERED", None, None),
    ]


async def test_the_same_death_twice_is_two_entries_when_it_was_registered_between(bench: Bench) -> None:
    """It is another one."""
    user = await again(bench, 1)
    await remove(bench, 1)
    await again(bench, 1, user)
    await remove(bench, 1)
    await again(bench, 1, user)
    assert await told(bench, user) == ["REGISTERED", "REMOVED", "REMOVED"]


async def test_a_new_token_of_an_installation_says_what_came_in_its_place(bench: Bench) -> None:
    """In the same timeline: it is the same device."""
    user = await again(bench, 1, installation_id="phone")
    await again(bench, 2, user, installation_id="phone")
    new, old = await entries(bench, user)
    assert (new.event, new.token) == (DeviceEvent.REGISTERED, "0000…0002")
    assert (old.event, old.token, old.successor) == (DeviceEvent.TOKEN_CHANGED, "0000…0001", "0000…0002")
    assert old.slot == new.slot
    assert await told(bench, token=1) == ["TOKEN_CHANGED"]
    await again(bench, 3, user, installation_id="other")
    await again(bench, 3, user, installation_id="phone")
    assert (await told(bench, token=2)) == ["TOKEN_CHANGED"]


async def test_a_token_that_moves_is_told_to_both_users_without_naming_the_other(bench: Bench) -> None:
    """The new one is not told when the other registered it."""
    first = await again(bench, 1)
    second = await again(bench, 2)
    await again(bench, 1, second)
    assert await told(bench, first) == ["MOVED_AWAY"]
    assert await told(bench, second) == ["MOVED_HERE", "REGISTERED"]
    moved = await entries(bench, token=1)
    assert {(str(each.event), each.user_id) for each in moved} == {("MOVED_HERE", second), ("MOVED_AWAY", first)}


async def test_when_another_user_registered_a_token_is_nobody_elses_to_know(bench: Bench) -> None:
    """Neither when the move has been forgotten, nor in what is told when the token moves on."""
    await again(bench, 1)
    second = await again(bench, 2)
    await again(bench, 1, second)
    came = bench.clock.ms
    bench.clock.advance(1)
    assert await bench.store.forget_history(bench.clock.ms) == 2
    assert {(each.event, each.at) for each in await entries(bench, token=1)} == {(DeviceEvent.REGISTERED, came)}
    await again(bench, 1, await again(bench, 3))
    left = next(each for each in await entries(bench, second) if each.event is DeviceEvent.MOVED_AWAY)
    assert left.first_registered == left.last_registered == came


async def test_an_installation_that_signs_in_as_another_user_leaves_the_first(bench: Bench) -> None:
    """With a token of its own, too."""
    first = await again(bench, 1, installation_id="phone")
    second = await again(bench, 9)
    await again(bench, 2, second, installation_id="phone")
    assert await told(bench, first) == ["MOVED_AWAY"]
    assert await told(bench, second) == ["REGISTERED", "REGISTERED"]


async def test_a_learned_environment_is_told_once(bench: Bench) -> None:
    """And the registration did not know it."""
    user = await again(bench, 1)
    for _ in range(2):
        bench.clock.advance(1)
        await bench.store.learn_environments(bench.account, "shop", {token_of(1): Environment.SANDBOX})
    learned, registered = await entries(bench, user)
    assert (learned.event, learned.environment) == (DeviceEvent.ENVIRONMENT_LEARNED, Environment.SANDBOX)
    assert (registered.event, registered.environment) == (DeviceEvent.REGISTERED, None)


async def test_the_device_that_made_room_is_told(bench: Bench) -> None:
    """The 51st takes the place of the one registered longest ago."""
    user = await again(bench, 0)
    for number in range(1, MAX_DEVICES + 1):
        await again(bench, number, user)
    assert await told(bench, token=0) == ["DISPLACED"]
    assert len(await told(bench, user)) == MAX_DEVICES + 1


async def test_a_device_deleted_by_request_leaves_only_that_it_was(bench: Bench) -> None:
    """What happened to it before is forgotten; the entry tells why the phone gets nothing."""
    made = await bench.device(token_of(1))
    await quarantine(bench, 1)
    await quarantine(bench, 1, "Other")
    await bench.store.delete_devices(bench.account, made.registration_id, {(APN, token_of(1))})
    assert await told(bench, made.user_id) == ["DELETED"]
    made = await bench.device(token_of(1), made.user_id)
    await quarantine(bench, 1)
    assert await bench.store.delete_registration(bench.account, made.registration_id)
    assert await told(bench, token=1) == ["DELETED"]


async def test_of_a_deleted_user_nothing_is_left(bench: Bench) -> None:
    """Neither by user nor by token; others keep theirs."""
    user, other = await again(bench, 1), await again(bench, 2)
    await quarantine(bench, 1)
    await quarantine(bench, 2)
    await remove(bench, 1)
    await again(bench, 3, user)
    await bench.store.delete_user(bench.account, user, bench.clock.ms)
    assert await told(bench, user) == await told(bench, token=1) == await told(bench, token=3) == []
    assert await told(bench, other) == ["QUARANTINED", "REGISTERED"]


async def test_what_an_earlier_node_left_of_a_deleted_user_goes_with_the_user(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nodes are replaced one may delete users that knows of no history."""
    user = await again(bench, 1)
    assert await remove(bench, 1)
    with monkeypatch.context() as earlier:
        earlier.setattr(users, "forget_user", lambda *_: None)
        assert await bench.store.delete_user(bench.account, user, bench.clock.ms)
    assert await told(bench, user) == ["REMOVED"]
    assert await bench.store.remove_deleted_users(bench.clock.ms) == 1
    assert await told(bench, user) == await told(bench, token=1) == []


async def test_of_an_app_that_went_nothing_is_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice at a time, before the app's name is free again; other apps keep theirs."""
    monkeypatch.setattr(apps, "SLICE", 3)
    other = await bench.app("other")
    user = await again(bench, 0, app_name="other")
    assert other.app_name == "other"
    for number in range(1, 6):
        await again(bench, number, user)
        await remove(bench, number)
    (shop,) = (await bench.store.list_credentials(bench.account, Window(limit=9), app_name="shop")).items
    await bench.store.delete_credential(bench.account, shop.id, bench.clock.ms)
    assert await told(bench, user) == ["REGISTERED"]
    while await bench.store.remove_leaving_apps():
        pass
    await bench.app()
    assert await told(bench, user) == ["REGISTERED"]
    assert await told(bench, token=1) == []


async def test_of_each_device_the_newest_entries_are_kept(bench: Bench) -> None:
    """At the bound, and one past it; another device's are not counted."""
    user = await again(bench, 1)
    await again(bench, 2, user)
    await quarantine(bench, 2)
    for _ in range(KEPT // 2):
        await quarantine(bench, 1)
        await again(bench, 1, user)
    kept = await entries(bench, token=1)
    assert len(kept) == KEPT + 1
    await quarantine(bench, 1)
    newer = await entries(bench, token=1)
    assert len(newer) == KEPT + 1
    assert newer[1:-1] == kept[:-2]
    assert await told(bench, token=2) == ["QUARANTINED", "REGISTERED"]


async def test_old_entries_are_forgotten_a_slice_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before the moment, the oldest first; a device that is there still tells of its registration."""
    monkeypatch.setattr(history, "SLICE", 2)
    user = await again(bench, 1)
    for number in range(2, 5):
        await again(bench, number, user)
        await remove(bench, number)
    limit = bench.clock.ms + 1
    bench.clock.advance(10)
    await quarantine(bench, 1)
    assert [await bench.store.forget_history(limit) for _ in range(3)] == [2, 1, 0]
    assert await told(bench, user) == ["QUARANTINED", "REGISTERED"]


async def test_it_is_told_page_by_page(bench: Bench) -> None:
    """Each entry once, in order, whether it was written or a device tells it; and of one app alone where one is
    named."""
    await bench.app("other")
    user = await again(bench, 1)
    await again(bench, 7, user, app_name="other")
    await quarantine(bench, 1)
    await again(bench, 2, user)
    await again(bench, 1, user)
    whole = await entries(bench, user)
    assert len(whole) == 5
    paged: list[HistoryEntry] = []
    after = None
    for _ in range(3):
        window = Window(limit=2, after=after)
        listed = await bench.store.device_history(bench.account, window, user_id=user)
        paged += listed.items
        after = listed.next
    assert (paged, after) == (whole, None)
    assert await told(bench, user, app_name="other") == ["REGISTERED"]
    assert await told(bench, user, app_name="none") == await told(bench, user, app_name="a\0b") == []


async def test_another_account_sees_nothing_of_it(bench: Bench) -> None:
    """Neither by user nor by token."""
    user = await again(bench, 1)
    await quarantine(bench, 1)
    listed = await bench.store.device_history(bench.ids.new(), Window(limit=9), user_id=user)
    assert listed.items == ()
    listed = await bench.store.device_history(bench.ids.new(), Window(limit=9), tokens={(APN, token_of(1))})
    assert listed.items == ()


def test_a_token_is_shown_by_its_ends() -> None:
    """Nothing of one that has no middle to hide."""
    assert ends_of(APN, bytes.fromhex("0123456789abcdef")) == "0123…cdef"
    assert ends_of(APN, bytes.fromhex("0123456789abcd")) == "…"
    assert ends_of(ProviderName.FCM, b"\0" * 20) == "…"
