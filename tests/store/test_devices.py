"""Devices as apps live them: kinds, installations, other apps, learned environments, single removal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.stores import Bench, known_environments, token_of

from heliogram.domain.apps import CredentialForm, CredentialType, Environment, ProviderName
from heliogram.domain.devices import Device, DeviceState, Registered, TokenKind
from heliogram.domain.errors import Code, Conflict
from heliogram.ports import Window

pytestmark = pytest.mark.anyio

APN, FCM = ProviderName.APN, ProviderName.FCM
PRODUCTION, SANDBOX = Environment.PRODUCTION, Environment.SANDBOX
ALERT, VOIP, UPDATE = TokenKind.ALERT, TokenKind.VOIP, TokenKind.LIVE_ACTIVITY_UPDATE


@pytest.fixture(autouse=True)
async def shop(bench: Bench) -> None:
    """The app that devices register with."""
    await bench.app()


async def devices_of(bench: Bench, made: Registered) -> list[Device]:
    found = await bench.store.get_registration(bench.account, made.registration_id)
    return [] if found is None else list(found.devices)


async def tokens_of(bench: Bench, made: Registered) -> dict[int, bytes]:
    return {device.slot: device.token for device in await devices_of(bench, made)}


async def test_a_device_keeps_what_its_app_said(bench: Bench) -> None:
    """All of it is read back, and what a later registration leaves out stays."""
    said: dict[str, Any] = {
        "kind": UPDATE, "activity_id": "match-1", "installation_id": "i-1", "app_version": "2.1 (7)",
        "locale": "en-GB", "time_zone": "Europe/Berlin", "environment": SANDBOX,
    }  # fmt: skip
    made = await bench.device(token_of(1), **said)
    again = await bench.device(token_of(1), kind=UPDATE, activity_id="match-1")
    assert again.slot == made.slot
    (device,) = await devices_of(bench, made)
    assert {name: getattr(device, name) for name in said} == said
    assert not device.environment_learned
    await bench.device(token_of(1), made.user_id, kind=UPDATE, activity_id="match-1", app_version="2.2")
    assert (await devices_of(bench, made))[0].app_version == "2.2"


async def test_each_kind_is_a_device_of_its_own(bench: Bench) -> None:
    """LIFE-3: the same bytes as two kinds are two devices; sending picks by kind and by activity."""
    made = await bench.device(token_of(1))
    user = made.user_id
    await bench.device(token_of(1), user, kind=VOIP)
    await bench.device(token_of(2), user, kind=UPDATE, activity_id="a")
    await bench.device(token_of(3), user, kind=UPDATE, activity_id="b")

    async def found(**wanted: Any) -> list[int]:
        listed = await bench.store.devices_of_users(bench.account, "shop", [user], **wanted)
        return [device.slot for device in listed.get(user, [])]

    assert await found() == [1, 2, 3, 4]
    assert await found(kind=ALERT) == [1]
    assert await found(kind=VOIP) == [2]
    assert await found(kind=UPDATE) == [3, 4]
    assert await found(kind=UPDATE, activity_id="b") == [4]
    assert await found(kind=TokenKind.WIDGETS) == []


# --- installations


async def test_a_new_token_of_an_installation_takes_the_slot_of_the_old_one(bench: Bench) -> None:
    """LIFE-2: re-installed or restored, the app has another token; both never stay."""
    first = await bench.device(token_of(1), installation_id="i")
    await bench.device(token_of(2), first.user_id)
    again = await bench.device(token_of(3), first.user_id, installation_id="i")
    assert (again.slot, again.replaced) == (first.slot, token_of(1))
    assert await tokens_of(bench, first) == {1: token_of(3), 2: token_of(2)}


async def test_an_installation_stays_with_its_user_when_none_is_named(bench: Bench) -> None:
    """A new token alone makes no new user."""
    first = await bench.device(token_of(1), installation_id="i")
    again = await bench.device(token_of(2), installation_id="i")
    assert (again.user_id, again.created_user, again.slot) == (first.user_id, False, 1)


async def test_an_installation_moves_to_its_latest_user(bench: Bench) -> None:
    """With a new token for another user, the old token leaves the user who had it."""
    first = await bench.device(token_of(1), installation_id="i")
    other = await bench.device(token_of(2))
    moved = await bench.device(token_of(3), other.user_id, installation_id="i")
    assert (moved.registration_id, moved.slot, moved.replaced) == (other.registration_id, 2, token_of(1))
    assert await bench.store.get_registration(bench.account, first.registration_id) is None


async def test_a_known_token_that_joins_an_installation_replaces_its_old_one(bench: Bench) -> None:
    """The token stays in its own slot; the installation's older one leaves."""
    first = await bench.device(token_of(1), installation_id="i")
    second = await bench.device(token_of(2), first.user_id)
    joined = await bench.device(token_of(2), first.user_id, installation_id="i")
    assert (joined.slot, joined.replaced) == (second.slot, token_of(1))
    assert await tokens_of(bench, first) == {2: token_of(2)}


async def test_another_users_token_that_joins_an_installation_takes_its_slot(bench: Bench) -> None:
    """Moved and replaced in one step."""
    stranger = await bench.device(token_of(1))
    first = await bench.device(token_of(2), installation_id="i")
    moved = await bench.device(token_of(1), first.user_id, installation_id="i")
    assert (moved.registration_id, moved.slot, moved.replaced) == (first.registration_id, 1, token_of(2))
    assert await bench.store.get_registration(bench.account, stranger.registration_id) is None


async def test_an_installation_has_a_token_of_each_kind_and_activity(bench: Bench) -> None:
    """Only the same kind, and the same Live Activity, is replaced; and only in the same app."""
    await bench.app("news")
    made = await bench.device(token_of(1), installation_id="i")
    user = made.user_id
    await bench.device(token_of(2), user, kind=VOIP, installation_id="i")
    await bench.device(token_of(3), user, kind=UPDATE, activity_id="a", installation_id="i")
    await bench.device(token_of(4), user, kind=UPDATE, activity_id="b", installation_id="i")
    assert (await bench.device(token_of(5), user, app_name="news", installation_id="i")).replaced is None
    assert set(await tokens_of(bench, made)) == {1, 2, 3, 4}
    again = await bench.device(token_of(6), user, kind=UPDATE, activity_id="a", installation_id="i")
    assert (again.slot, again.replaced) == (3, token_of(3))


async def test_an_update_token_that_changes_its_activity_leaves_no_second(bench: Bench) -> None:
    """The token that had this activity leaves, though the installation is not named again."""
    made = await bench.device(token_of(1), kind=UPDATE, activity_id="a", installation_id="i")
    await bench.device(token_of(2), made.user_id, kind=UPDATE, activity_id="b", installation_id="i")
    again = await bench.device(token_of(1), made.user_id, kind=UPDATE, activity_id="b")
    assert (again.slot, again.replaced) == (1, token_of(2))
    assert [device.activity_id for device in await devices_of(bench, made)] == ["b"]


async def test_an_installation_may_change_providers(bench: Bench) -> None:
    """From FCM to APNs: the phone must not get everything twice."""
    made = await bench.device(b"fcm-token", provider=FCM, installation_id="i")
    again = await bench.device(token_of(1), made.user_id, installation_id="i")
    assert (again.slot, again.replaced) == (1, b"fcm-token")


async def test_a_full_registration_takes_a_replacement_without_displacing(bench: Bench) -> None:
    """The installation's slot is its own."""
    made = await bench.device(token_of(0), installation_id="i")
    for number in range(1, 50):
        await bench.device(token_of(number), made.user_id)
    again = await bench.device(token_of(99), made.user_id, installation_id="i")
    assert (again.displaced, again.replaced, again.slot) == (None, token_of(0), 1)


# --- one token, one app


async def refused(bench: Bench, token: bytes, app_name: str, **more: Any) -> Conflict:
    with pytest.raises(Conflict) as raised:
        await bench.device(token, app_name=app_name, **more)
    assert (raised.value.code, raised.value.path) == (Code.TOKEN_OF_OTHER_APP, "$.token")
    return raised.value


async def test_a_token_of_an_app_with_another_bundle_id_is_refused(bench: Bench) -> None:
    """The message says where it is and why it cannot be both; nothing changes."""
    await bench.app("bank", bundleId="com.example.bank")
    made = await bench.device(token_of(1))
    error = await refused(bench, token_of(1), "bank")
    for part in ("'shop'", "com.example.shop", "'bank'", "com.example.bank", "Apple"):
        assert part in str(error)
    await refused(bench, token_of(1), "bank", kind=VOIP, environment=SANDBOX)
    assert [device.token for device in await devices_of(bench, made)] == [token_of(1)]
    assert (await bench.store.list_registrations(bench.account, Window(), user_id=made.user_id)).next is None


async def test_apps_with_one_bundle_id_share_tokens(bench: Bench) -> None:
    """The same, among several, by a certificate's topics, or not known at all."""
    await bench.device(token_of(1))
    await bench.app("same")
    await bench.app("several", bundleId="com.example.beta")
    await bench.app("several", CredentialType.APN_SANDBOX)
    await bench.app("unknown", bundleId="")
    for name in ("same", "several", "unknown"):
        assert (await bench.device(token_of(1), app_name=name)).slot == 1


@pytest.mark.parametrize(("form", "shared"), [(CredentialForm.CERTIFICATE, True), (CredentialForm.TOKEN, False)])
async def test_topics_count_for_certificates(bench: Bench, form: CredentialForm, shared: bool) -> None:
    """A certificate's topics are all of one app; a key's are what it may send for."""
    public = {"bundleId": "com.example.shop.voip", "topics": ["com.example.shop.voip", "com.example.shop"]}
    credential = replace(bench.credential("voip"), form=form, public=public)
    await bench.store.create_credential(bench.account, credential, b"sealed")
    await bench.device(token_of(1))
    if shared:
        await bench.device(token_of(1), app_name="voip")
    else:
        await refused(bench, token_of(1), "voip")


async def test_a_token_that_apns_refused_elsewhere_is_no_claim(bench: Bench) -> None:
    """Registered under the wrong app by mistake and quarantined there, the right app may have it; the wrong one may
    not revive it then."""
    await bench.app("bank", bundleId="com.example.bank")
    await bench.device(token_of(1))
    store, now = bench.store, bench.clock.ms
    await store.quarantine_device(bench.account, "shop", APN, token_of(1), reason="DeviceTokenNotForTopic", at=now)
    await bench.device(token_of(1), app_name="bank")
    await refused(bench, token_of(1), "shop")


async def test_other_providers_tokens_are_not_compared(bench: Bench) -> None:
    """Bundle ids are Apple's: an FCM token may be under any apps."""
    await bench.app("bank", bundleId="com.example.bank")
    await bench.device(b"fcm", provider=FCM)
    await bench.device(b"fcm", provider=FCM, app_name="bank")
    await bench.device(b"fcm", app_name="bank")


async def test_a_token_removed_there_may_come_here(bench: Bench) -> None:
    """What the message advises works."""
    await bench.app("bank", bundleId="com.example.bank")
    made = await bench.device(token_of(1))
    await bench.store.delete_devices(bench.account, made.registration_id, [(APN, token_of(1))])
    await bench.device(token_of(1), app_name="bank")


# --- environments


async def test_an_environment_is_learned_once(bench: Bench) -> None:
    """Only where nobody said it; it shows, and a second answer does not change it."""
    made = await bench.device(token_of(1))
    said = await bench.device(token_of(2), environment=PRODUCTION)
    learn = bench.store.learn_environments
    bench.clock.advance(1)
    assert await learn(bench.account, "shop", {token_of(n): SANDBOX for n in (1, 2, 3)}) == 1
    (device,) = await devices_of(bench, made)
    assert (device.environment, device.environment_learned) == (SANDBOX, True)
    found = await bench.store.get_registration(bench.account, made.registration_id)
    assert found is not None
    assert found.updated == bench.clock.ms
    assert await learn(bench.account, "shop", {token_of(1): PRODUCTION}) == 0
    assert (await devices_of(bench, said))[0].environment is PRODUCTION
    assert await learn(bench.account, "shop", {}) == 0
    assert await learn(bench.ids.new(), "shop", {token_of(1): PRODUCTION}) == 0
    assert await known_environments(bench.store, bench.account, "shop", [token_of(1)]) == {token_of(1): SANDBOX}


async def test_a_learned_environment_outlives_launches_and_moves(bench: Bench) -> None:
    """The app still does not say it, and APNs need not be asked again."""
    first = await bench.device(token_of(1))
    await bench.store.learn_environments(bench.account, "shop", {token_of(1): SANDBOX})
    other = await bench.device(token_of(2))
    for user in (first.user_id, other.user_id):
        made = await bench.device(token_of(1), user)
        device = next(d for d in await devices_of(bench, made) if d.token == token_of(1))
        assert (device.environment, device.environment_learned) == (SANDBOX, True)


@pytest.mark.parametrize("environment", [PRODUCTION, SANDBOX])
async def test_the_apps_word_goes_before_what_was_learned(bench: Bench, environment: Environment) -> None:
    """It stays one device."""
    made = await bench.device(token_of(1))
    await bench.store.learn_environments(bench.account, "shop", {token_of(1): SANDBOX})
    await bench.device(token_of(1), made.user_id, environment=environment)
    (device,) = await devices_of(bench, made)
    assert (device.environment, device.environment_learned) == (environment, False)


async def test_a_verdict_in_one_environment_leaves_the_other(bench: Bench) -> None:
    """Quarantine and removal name the environment they are about; unknown ones are meant too."""
    made = await bench.device(token_of(1), environment=PRODUCTION)
    await bench.device(token_of(1), made.user_id, environment=SANDBOX)
    await bench.device(token_of(2), made.user_id)
    store, account, at = bench.store, bench.account, bench.clock.ms
    for token in (token_of(1), token_of(2)):
        assert await store.quarantine_device(account, "shop", APN, token, reason="x", at=at, environment=SANDBOX)
    states = {device.slot: device.state for device in await devices_of(bench, made)}
    assert states == {1: DeviceState.ACTIVE, 2: DeviceState.QUARANTINED, 3: DeviceState.QUARANTINED}
    for token in (token_of(1), token_of(2)):
        assert await store.remove_device(account, "shop", APN, token, dead_since=None, environment=PRODUCTION)
    assert await tokens_of(bench, made) == {2: token_of(1)}


# --- single removal


async def test_one_device_is_removed(bench: Bench) -> None:
    """All environments and kinds of the token, or one kind; the others stay where they are."""
    made = await bench.device(token_of(1), environment=PRODUCTION)
    user, account = made.user_id, bench.account
    await bench.device(token_of(1), user, environment=SANDBOX)
    await bench.device(token_of(1), user, kind=VOIP)
    await bench.device(token_of(2), user)
    store, tokens = bench.store, {(APN, token_of(1)), (FCM, b"x")}
    assert await store.delete_devices(account, made.registration_id, tokens, kind=VOIP) == 1
    assert await store.delete_devices(account, made.registration_id, tokens, kind=VOIP) == 0
    assert await store.delete_devices(account, made.registration_id, tokens) == 2
    assert await tokens_of(bench, made) == {4: token_of(2)}


async def test_the_last_devices_removal_removes_the_registration(bench: Bench) -> None:
    """A registration has at least one device; the user stays."""
    made = await bench.device(token_of(1))
    assert await bench.store.delete_devices(bench.account, made.registration_id, {(APN, token_of(1))}) == 1
    assert await bench.store.get_registration(bench.account, made.registration_id) is None
    assert await bench.store.missing_users(bench.account, [made.user_id]) == set()


async def test_a_device_is_removed_where_it_is_only(bench: Bench) -> None:
    """Neither another registration's, nor another provider's, nor for another account."""
    made, other = await bench.device(token_of(1)), await bench.device(token_of(2))
    delete = bench.store.delete_devices
    assert await delete(bench.account, other.registration_id, {(APN, token_of(1))}) == 0
    assert await delete(bench.account, made.registration_id, {(FCM, token_of(1))}) == 0
    assert await delete(bench.ids.new(), made.registration_id, {(APN, token_of(1))}) == 0
    assert await tokens_of(bench, made) == {1: token_of(1)}
