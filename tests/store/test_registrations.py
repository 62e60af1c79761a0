"""Users and their devices."""

from __future__ import annotations

import asyncio

import pytest
from support.stores import Bench, known_environments, recipients_of, token_of

from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import Device, DeviceState, TokenKind
from heliogram.domain.errors import Code, NotFound
from heliogram.ports import Window

pytestmark = pytest.mark.anyio

APN, FCM = ProviderName.APN, ProviderName.FCM
PRODUCTION, SANDBOX = Environment.PRODUCTION, Environment.SANDBOX


@pytest.fixture(autouse=True)
async def shop(bench: Bench) -> None:
    """The app that devices register with."""
    await bench.app()


async def devices_of(bench: Bench, registration: bytes) -> dict[bytes, Device]:
    found = await bench.store.get_registration(bench.account, registration)
    return {} if found is None else {device.token: device for device in found.devices}


async def test_a_device_without_a_user_gets_a_new_one(bench: Bench) -> None:
    """Registering without a user makes one, with the device in slot 1."""
    made = await bench.device(token_of(1))
    assert (made.slot, made.created_user, made.displaced) == (1, True, None)
    devices = await bench.store.devices_of_users(bench.account, "shop", [made.user_id])
    assert [device.token for device in devices[made.user_id]] == [token_of(1)]


async def test_a_user_collects_devices(bench: Bench) -> None:
    """A registration holds a user's devices in an app, each in a slot of its own."""
    first = await bench.device(token_of(1))
    second = await bench.device(token_of(2), first.user_id, provider=FCM)
    assert (second.registration_id, second.slot, second.created_user) == (first.registration_id, 2, False)
    found = await bench.store.get_registration(bench.account, first.registration_id)
    assert found is not None
    assert (found.app_name, found.user_id) == ("shop", first.user_id)
    assert [(device.slot, device.provider) for device in found.devices] == [(1, APN), (2, FCM)]


async def test_an_unknown_app_or_user_is_named(bench: Bench) -> None:
    """Nothing is made, and the error says which field is wrong."""
    with pytest.raises(NotFound) as raised:
        await bench.device(token_of(1), app_name="nope")
    assert (raised.value.code, raised.value.path) == (Code.UNKNOWN_APP, "$.appName")
    with pytest.raises(NotFound) as raised:
        await bench.device(token_of(1), bench.ids.new())
    assert (raised.value.code, raised.value.path) == (Code.UNKNOWN_USER, "$.userId")


async def test_the_same_token_again_renews_it(bench: Bench) -> None:
    """LIFE-5: registering is idempotent and renews the time, with the user named or not."""
    first = await bench.device(token_of(1))
    for user in (first.user_id, None):
        bench.clock.advance(1)
        again = await bench.device(token_of(1), user)
        assert (again.registration_id, again.user_id, again.slot) == (first.registration_id, first.user_id, 1)
        assert not again.created_user
        (device,) = (await devices_of(bench, first.registration_id)).values()
        assert device.registered_at == bench.clock.ms
        assert device.created < device.registered_at


async def test_a_token_moves_to_its_latest_user(bench: Bench) -> None:
    """The registration it empties goes; the token stands in one place."""
    first, second = await bench.device(token_of(1)), await bench.device(token_of(2))
    moved = await bench.device(token_of(1), second.user_id)
    assert (moved.registration_id, moved.slot) == (second.registration_id, 2)
    assert await bench.store.get_registration(bench.account, first.registration_id) is None
    assert set(await devices_of(bench, second.registration_id)) == {token_of(1), token_of(2)}


async def test_a_moved_token_leaves_the_others_where_they_are(bench: Bench) -> None:
    """Its slot becomes free, the other devices keep theirs."""
    first = await bench.device(token_of(1))
    await bench.device(token_of(2), first.user_id)
    other = await bench.device(token_of(3))
    await bench.device(token_of(1), other.user_id)
    assert {t: d.slot for t, d in (await devices_of(bench, first.registration_id)).items()} == {token_of(2): 2}


async def test_a_freed_slot_rests_as_long_as_possible(bench: Bench) -> None:
    """Unused slots come first, then the one that was freed longest ago."""
    user = (await bench.device(token_of(0))).user_id
    slots = []
    for number in range(1, 65):
        made = await bench.device(token_of(number), user)
        slots.append(made.slot)
        await bench.store.remove_device(bench.account, "shop", APN, token_of(number), dead_since=None)
    assert slots == [*range(2, 64), 2, 3]


async def test_the_51st_device_displaces_the_least_recently_registered(bench: Bench) -> None:
    """TW-62, OWN-27: 50 devices fit; the next one makes room by the oldest registration, not the oldest device."""
    user = (await bench.device(token_of(0))).user_id
    for number in range(1, 50):
        bench.clock.advance(1)
        assert (await bench.device(token_of(number), user)).displaced is None
    bench.clock.advance(1)
    await bench.device(token_of(0), user)
    made = await bench.device(token_of(50), user)
    assert (made.slot, made.displaced) == (51, token_of(1))
    devices = await devices_of(bench, made.registration_id)
    assert len(devices) == 50
    assert token_of(0) in devices
    assert token_of(1) not in devices


async def test_a_full_registration_renews_without_displacing(bench: Bench) -> None:
    """A token that is there already needs no room."""
    user = (await bench.device(token_of(0))).user_id
    for number in range(1, 50):
        await bench.device(token_of(number), user)
    assert (await bench.device(token_of(7), user)).displaced is None


async def test_a_token_is_known_per_environment(bench: Bench) -> None:
    """The same token in production and in the sandbox is two devices."""
    first = await bench.device(token_of(1), environment=PRODUCTION)
    second = await bench.device(token_of(1), first.user_id, environment=SANDBOX)
    assert (first.slot, second.slot) == (1, 2)


async def test_a_token_whose_environment_becomes_known_is_upgraded(bench: Bench) -> None:
    """It does not become a second device."""
    first = await bench.device(token_of(1))
    again = await bench.device(token_of(1), first.user_id, environment=SANDBOX)
    assert again.slot == first.slot
    assert [d.environment for d in (await devices_of(bench, first.registration_id)).values()] == [SANDBOX]


async def test_a_token_does_not_forget_its_environment(bench: Bench) -> None:
    """Registered again, or by another user, without one, it keeps what is known."""
    first = await bench.device(token_of(1), environment=SANDBOX)
    again = await bench.device(token_of(1), first.user_id)
    assert again.slot == first.slot
    other = await bench.device(token_of(2))
    moved = await bench.device(token_of(1), other.user_id)
    assert (await devices_of(bench, moved.registration_id))[token_of(1)].environment is SANDBOX
    assert await devices_of(bench, first.registration_id) == {}


async def test_a_token_may_be_in_several_apps(bench: Bench) -> None:
    """Another app's registration of it is another one."""
    await bench.app("other")
    first = await bench.device(token_of(1))
    second = await bench.device(token_of(1), first.user_id, app_name="other")
    assert second.registration_id != first.registration_id
    assert token_of(1) in await devices_of(bench, first.registration_id)


async def test_a_quarantined_token_gets_nothing_until_it_registers_anew(bench: Bench) -> None:
    """It stays, with the reason, and is left out of what can be sent to."""
    made = await bench.device(token_of(1))
    bench.clock.advance(1)
    now = bench.clock.ms
    assert await bench.store.quarantine_device(bench.account, "shop", APN, token_of(1), reason="BadToken", at=now)
    device = (await devices_of(bench, made.registration_id))[token_of(1)]
    assert (device.state, device.state_reason) == (DeviceState.QUARANTINED, "BadToken")
    assert await bench.store.devices_of_users(bench.account, "shop", [made.user_id]) == {}
    await bench.device(token_of(1), made.user_id)
    device = (await devices_of(bench, made.registration_id))[token_of(1)]
    assert (device.state, device.state_reason) == (DeviceState.ACTIVE, None)


async def test_an_old_verdict_does_not_quarantine_a_renewed_token(bench: Bench) -> None:
    """A token registered after the provider spoke keeps getting notifications."""
    said = bench.clock.ms - 1
    made = await bench.device(token_of(1))
    assert not await bench.store.quarantine_device(bench.account, "shop", APN, token_of(1), reason="x", at=said)
    assert not await bench.store.quarantine_device(bench.account, "shop", APN, token_of(2), reason="x", at=said)
    assert len(await bench.store.devices_of_users(bench.account, "shop", [made.user_id])) == 1


@pytest.mark.parametrize(("later_ms", "gone"), [(-1, False), (0, False), (1, True)])
async def test_a_dead_token_goes_only_if_it_was_registered_before(bench: Bench, later_ms: int, gone: bool) -> None:
    """ERR-1: a 410 removes a token only if its time is later than the registration."""
    made = await bench.device(token_of(1))
    dead = bench.clock.ms + later_ms
    assert await bench.store.remove_device(bench.account, "shop", APN, token_of(1), dead_since=dead) is gone
    assert (await bench.store.get_registration(bench.account, made.registration_id) is None) is gone


async def test_a_dead_token_without_a_time_always_goes(bench: Bench) -> None:
    """Without a time the verdict counts from now; a token that is not there is no error."""
    await bench.device(token_of(1))
    assert await bench.store.remove_device(bench.account, "shop", APN, token_of(1), dead_since=None)
    assert not await bench.store.remove_device(bench.account, "shop", APN, token_of(1), dead_since=None)


async def test_a_providers_verdict_is_about_its_own_tokens(bench: Bench) -> None:
    """The same bytes of another provider stay."""
    made = await bench.device(token_of(1), provider=FCM)
    assert not await bench.store.remove_device(bench.account, "shop", APN, token_of(1), dead_since=None)
    assert token_of(1) in await devices_of(bench, made.registration_id)


async def test_a_deleted_registration_is_gone_with_its_devices(bench: Bench) -> None:
    """The user stays, and may register again from slot 1 on."""
    first = await bench.device(token_of(1))
    assert await bench.store.delete_registration(bench.account, first.registration_id)
    assert not await bench.store.delete_registration(bench.account, first.registration_id)
    assert await bench.store.missing_users(bench.account, [first.user_id]) == set()
    again = await bench.device(token_of(1), first.user_id)
    assert (again.slot, again.registration_id == first.registration_id) == (1, False)


async def test_a_users_registrations_are_listed_newest_first(bench: Bench) -> None:
    """One for each app, in pages, and by app."""
    user = (await bench.device(token_of(0))).user_id
    for name in ("a", "b"):
        bench.clock.advance(1)
        await bench.app(name)
        await bench.device(token_of(1), user, app_name=name)
    await bench.device(token_of(9))
    first = await bench.store.list_registrations(bench.account, Window(limit=2), user_id=user)
    rest = await bench.store.list_registrations(bench.account, Window(limit=2, after=first.next), user_id=user)
    assert [r.app_name for r in first.items + rest.items] == ["b", "a", "shop"]
    assert rest.next is None
    only = await bench.store.list_registrations(bench.account, Window(), user_id=user, app_name="a")
    assert [r.app_name for r in only.items] == ["a"]


async def test_the_registrations_of_a_token_are_found(bench: Bench) -> None:
    """In every app, newest first, in pages and by app, each with its other devices too; another account's are not."""
    user = (await bench.device(token_of(0))).user_id
    await bench.device(token_of(1), user)
    bench.clock.advance(1)
    await bench.app("b")
    other = (await bench.device(token_of(1), app_name="b")).user_id
    tokens = {(APN, token_of(1)), (FCM, b"01")}
    find = bench.store.registrations_with_token
    first = await find(bench.account, Window(limit=1), tokens=tokens)
    rest = await find(bench.account, Window(limit=1, after=first.next), tokens=tokens)
    assert [(each.app_name, each.user_id) for each in first.items + rest.items] == [("b", other), ("shop", user)]
    assert [device.token for device in rest.items[0].devices] == [token_of(0), token_of(1)]
    only = await find(bench.account, Window(), tokens=tokens, app_name="shop")
    assert [each.user_id for each in only.items] == [user]
    assert (await find(bench.ids.new(), Window(), tokens=tokens)).items == ()
    await bench.device(b"01", user, provider=FCM)
    assert len((await find(bench.account, Window(), tokens={(FCM, b"01")})).items) == 1


async def test_missing_users_are_told(bench: Bench) -> None:
    """Those the account has are not among them; asking for none is fine."""
    user, nobody = (await bench.device(token_of(1))).user_id, bench.ids.new()
    assert await bench.store.missing_users(bench.account, [user, nobody, nobody]) == {nobody}
    assert await bench.store.missing_users(bench.account, []) == set()


async def test_devices_of_many_users_come_at_once(bench: Bench) -> None:
    """Only those in the app; users without devices are left out."""
    await bench.app("other")
    made = await asyncio.gather(*(bench.device(token_of(number)) for number in range(600)))
    users = [each.user_id for each in made]
    elsewhere = (await bench.device(token_of(999), app_name="other")).user_id
    found = await bench.store.devices_of_users(bench.account, "shop", [*users, elsewhere, bench.ids.new()])
    assert {user: [d.token for d in devices] for user, devices in found.items()} == {
        user: [token_of(number)] for number, user in enumerate(users)
    }
    assert await bench.store.devices_of_users(bench.account, "shop", []) == {}


async def test_how_a_device_is_sent_to_is_found_for_all_there_are(bench: Bench) -> None:
    """Provider, environment and kind of a user's devices, each asked for by its kind."""
    for kind in TokenKind:
        activity = "game" if kind is TokenKind.LIVE_ACTIVITY_UPDATE else None
        wanted = [(provider, environment) for provider in ProviderName for environment in (None, PRODUCTION, SANDBOX)]
        made = await bench.device(token_of(0), kind=kind, activity_id=activity, environment=PRODUCTION)
        for number, (provider, environment) in enumerate(wanted):
            await bench.device(
                token_of(number), made.user_id, provider=provider, environment=environment, kind=kind,
                activity_id=activity,
            )  # fmt: skip
        found = await bench.store.devices_of_users(bench.account, "shop", [made.user_id], kind=kind)
        ways = {(d.token, d.provider, d.environment, d.kind) for d in found[made.user_id]}
        assert ways >= {(token_of(n), *each, kind) for n, each in enumerate(wanted) if n}
        others = [other for other in TokenKind if other is not kind]
        for other in others:
            assert not await bench.store.devices_of_users(bench.account, "shop", [made.user_id], kind=other)
        await bench.store.delete_registration(bench.account, made.registration_id)


async def test_known_environments_of_tokens_come_at_once(bench: Bench) -> None:
    """Tokens of unknown environment are left out; of two environments the later registered counts."""
    await bench.device(token_of(1), environment=PRODUCTION)
    await bench.device(token_of(2))
    await bench.device(token_of(3), environment=SANDBOX)
    bench.clock.advance(1)
    await bench.device(token_of(3), environment=PRODUCTION)
    tokens = [recipient.token for recipient in recipients_of(9)]
    found = await known_environments(bench.store, bench.account, "shop", tokens)
    assert found == {token_of(1): PRODUCTION, token_of(3): PRODUCTION}
    assert await known_environments(bench.store, bench.account, "shop", []) == {}


async def test_another_account_sees_and_changes_nothing(bench: Bench) -> None:
    """Every call with another account finds nothing."""
    made, stranger = await bench.device(token_of(1), environment=PRODUCTION), bench.ids.new()
    store = bench.store
    assert await store.get_registration(stranger, made.registration_id) is None
    assert (await store.list_registrations(stranger, Window(), user_id=made.user_id)).items == ()
    assert not await store.delete_registration(stranger, made.registration_id)
    assert await store.missing_users(stranger, [made.user_id]) == {made.user_id}
    assert await store.devices_of_users(stranger, "shop", [made.user_id]) == {}
    assert await known_environments(store, stranger, "shop", [token_of(1)]) == {}
    assert not await store.remove_device(stranger, "shop", APN, token_of(1), dead_since=None)
    assert not await store.quarantine_device(stranger, "shop", APN, token_of(1), reason="x", at=bench.clock.ms)


@pytest.mark.parametrize("environment", [None, PRODUCTION, SANDBOX])
async def test_a_token_leaves_another_user_in_both_environments(bench: Bench, environment: Environment | None) -> None:
    """An app that named first one environment, then the other; then somebody else logs in on the phone."""
    first = await bench.device(token_of(1), environment=PRODUCTION)
    await bench.device(token_of(1), first.user_id, environment=SANDBOX)
    second = await bench.device(token_of(1), external_id="bob", environment=environment)
    assert second.user_id != first.user_id
    devices = await bench.store.devices_of_users(bench.account, "shop", [first.user_id, second.user_id])
    assert {user: len(owned) for user, owned in devices.items()} == {second.user_id: 1}
    assert await bench.store.get_registration(bench.account, first.registration_id) is None
