"""Apps and credentials."""

from __future__ import annotations

import asyncio

import pytest
from support.stores import Bench, token_of

from heliogram.domain.apps import App, Credential, CredentialType, DefaultCredential
from heliogram.domain.errors import Code, Conflict, Invalid, LimitReached, NotFound
from heliogram.ports import Window
from heliogram.store.sqlite.apps import SLICE

pytestmark = pytest.mark.anyio

APN, SANDBOX, FCM = CredentialType.APN, CredentialType.APN_SANDBOX, CredentialType.FCM


async def app_of(bench: Bench, name: str = "shop") -> App:
    found = await bench.store.get_app(bench.account, name)
    assert found is not None
    return found


async def keep(bench: Bench, kind: CredentialType = APN, *, default: bool = False) -> Credential:
    """A credential of the app `shop`, a second later than the one before."""
    bench.clock.advance(1)
    return await bench.store.create_credential(
        bench.account, bench.credential("shop", kind, is_default=default), b"sealed"
    )


async def test_an_app_is_born_with_its_first_credential(bench: Bench) -> None:
    """The first app is the default app, the first credential of a type the default of it."""
    credential = await bench.app()
    assert credential.is_default
    app = await app_of(bench)
    assert (app.is_default, app.default_credentials) == (True, (DefaultCredential(APN, credential.id),))
    assert await bench.store.default_app(bench.account) == app


async def test_a_credential_comes_back_with_its_sealed_secret(bench: Bench) -> None:
    """The credential is kept whole; the sealed secret only comes when asked for."""
    made = await bench.app()
    assert await bench.store.get_credential(bench.account, made.id) == made
    assert await bench.store.sealed_credential(bench.account, made.id) == (made, b"sealed")
    assert await bench.store.sealed_credential(bench.account, bench.ids.new()) is None


async def test_each_type_has_a_default_of_its_own(bench: Bench) -> None:
    """A later credential of the same type is not the default unless it says so; then the earlier is not any more."""
    first, sandbox = await bench.app(), await keep(bench, SANDBOX)
    assert (await keep(bench)).is_default is False
    assert (await app_of(bench)).default_credentials == (
        DefaultCredential(APN, first.id),
        DefaultCredential(SANDBOX, sandbox.id),
    )
    third = await keep(bench, default=True)
    assert (await app_of(bench)).default_credentials[0] == DefaultCredential(APN, third.id)
    former = await bench.store.get_credential(bench.account, first.id)
    assert former is not None
    assert not former.is_default


async def test_when_a_default_goes_the_oldest_of_its_type_follows(bench: Bench) -> None:
    """The default passes to the oldest credential left of the type."""
    first, _, second, _ = await bench.app(), await keep(bench, SANDBOX), await keep(bench), await keep(bench)
    assert await bench.store.delete_credential(bench.account, first.id, bench.clock.ms)
    assert (await app_of(bench)).default_credentials[0] == DefaultCredential(APN, second.id)


async def test_an_app_dies_with_its_last_credential(bench: Bench) -> None:
    """With it go its registrations; users stay."""
    credential = await bench.app()
    made = await bench.device(token_of(1))
    assert await bench.store.delete_credential(bench.account, credential.id, bench.clock.ms)
    assert await bench.store.get_app(bench.account, "shop") is None
    assert await bench.store.default_app(bench.account) is None
    assert await bench.store.get_registration(bench.account, made.registration_id) is None
    assert await bench.store.missing_users(bench.account, [made.user_id]) == set()
    assert not await bench.store.delete_credential(bench.account, credential.id, bench.clock.ms)


async def test_nobody_waits_for_the_end_of_a_large_app(bench: Bench) -> None:
    """It and its devices are seen by nobody at once; they go in slices, and then an app may have its name again."""
    credential = await bench.app("large")
    await bench.app("shop")
    many = range(3 * SLICE)
    made = await asyncio.gather(*(bench.device(token_of(number), app_name="large") for number in many))
    assert await bench.store.delete_credential(bench.account, credential.id, bench.clock.ms)
    assert await bench.store.get_app(bench.account, "large") is None
    assert [app.name for app in (await bench.store.list_apps(bench.account, Window())).items] == ["shop"]
    assert (await app_of(bench)).is_default
    for each in made[:: SLICE - 1]:
        assert await bench.store.get_registration(bench.account, each.registration_id) is None
        assert (await bench.store.list_registrations(bench.account, Window(), user_id=each.user_id)).items == ()
    for number in many[:: SLICE - 1]:  # some were removed by now, and some were not
        with pytest.raises(NotFound):
            await bench.device(token_of(number), app_name="large")
    with pytest.raises(Conflict) as refused:
        await bench.app("large")
    assert refused.value.code is Code.APP_LEAVING
    removed = []
    while rows := await bench.store.remove_leaving_apps():
        removed.append(rows)
    assert (sum(removed), max(removed)) == (2 * SLICE + 1, SLICE)
    await bench.app("large")
    users = [each.user_id for each in made]
    assert await bench.store.devices_of_users(bench.account, "large", users) == {}


async def test_a_device_of_an_app_that_is_being_removed_may_go_to_another(bench: Bench) -> None:
    """What is left of a removed app claims no token."""
    credential = await bench.app("large", bundleId="com.example.large")
    await bench.app("shop", bundleId="com.example.shop")
    await asyncio.gather(*(bench.device(token_of(number), app_name="large") for number in range(2 * SLICE)))
    await bench.store.delete_credential(bench.account, credential.id, bench.clock.ms)
    for number in (0, 2 * SLICE - 1):
        await bench.device(token_of(number))


async def test_another_apps_devices_stay(bench: Bench) -> None:
    """Only the dying app's registrations go."""
    gone = await bench.app("gone")
    await bench.app("shop")
    await bench.device(token_of(1), app_name="gone")
    kept = await bench.device(token_of(1))
    await bench.store.delete_credential(bench.account, gone.id, bench.clock.ms)
    assert await bench.store.get_registration(bench.account, kept.registration_id) is not None


async def test_when_the_default_app_goes_the_oldest_follows(bench: Bench) -> None:
    """The account keeps a default app as long as it has any."""
    first = await bench.app("zebra")
    for name in ("yak", "ape"):
        bench.clock.advance(1)
        await bench.app(name)
    await bench.store.delete_credential(bench.account, first.id, bench.clock.ms)
    default = await bench.store.default_app(bench.account)
    assert default is not None
    assert default.name == "yak"


async def test_ten_apps_fit_and_the_eleventh_is_refused(bench: Bench) -> None:
    """At most 10 apps an account; nothing of the refused one stays."""
    for number in range(10):
        await bench.app(f"app{number}")
    with pytest.raises(LimitReached) as raised:
        await bench.app("app10")
    assert raised.value.code is Code.TOO_MANY_APPS
    assert len((await bench.store.list_apps(bench.account, Window())).items) == 10
    assert len((await bench.store.list_credentials(bench.account, Window())).items) == 10


async def test_ten_credentials_fit_and_the_eleventh_is_refused(bench: Bench) -> None:
    """At most 10 credentials an app, of whatever types; the defaults stay as they were."""
    for number in range(10):
        await keep(bench, (APN, SANDBOX, FCM)[number % 3])
    before = await app_of(bench)
    with pytest.raises(LimitReached) as raised:
        await keep(bench, default=True)
    assert raised.value.code is Code.TOO_MANY_CREDENTIALS
    assert await app_of(bench) == before


async def test_credentials_are_listed_newest_first_in_pages(bench: Bench) -> None:
    """A cursor goes on where the page ended, and the last page has none."""
    made = [(await keep(bench)).id for _ in range(5)]
    seen: list[bytes] = []
    after: bytes | None = None
    for size in (2, 2, 1):
        page = await bench.store.list_credentials(bench.account, Window(limit=2, after=after))
        assert len(page.items) == size
        seen += [credential.id for credential in page.items]
        after = page.next
    assert (seen, after) == (made[::-1], None)


async def test_credentials_are_filtered(bench: Bench) -> None:
    """By app, by type, by being a default, and by all at once."""
    await bench.app("other")
    first, second, sandbox = await keep(bench), await keep(bench), await keep(bench, SANDBOX)

    async def ids(**wanted: object) -> list[bytes]:
        listed = await bench.store.list_credentials(bench.account, Window(), **wanted)  # type: ignore[arg-type]
        return [credential.id for credential in listed.items]

    assert await ids(app_name="shop") == [sandbox.id, second.id, first.id]
    assert await ids(type=SANDBOX) == [sandbox.id]
    assert await ids(app_name="shop", is_default=True) == [sandbox.id, first.id]
    assert await ids(app_name="shop", type=APN, is_default=False) == [second.id]
    assert await ids(app_name="nobody") == []


async def test_apps_are_listed_newest_first_in_pages(bench: Bench) -> None:
    """Apps of one moment are told apart by name."""
    for name in ("a", "b", "c"):
        await bench.app(name)
    bench.clock.advance(1)
    await bench.app("d")
    seen: list[str] = []
    after: bytes | None = None
    for _ in range(2):
        page = await bench.store.list_apps(bench.account, Window(limit=2, after=after))
        seen += [app.name for app in page.items]
        after = page.next
    assert (seen, after) == (["d", "c", "b", "a"], None)


async def test_apps_are_filtered(bench: Bench) -> None:
    """By being the default, and by the time they were made: start inclusive, end exclusive."""
    times = []
    for name in ("a", "b", "c"):
        times.append(bench.clock.ms)
        await bench.app(name)
        bench.clock.advance(1)

    async def names(window: Window, *, is_default: bool | None = None) -> list[str]:
        return [app.name for app in (await bench.store.list_apps(bench.account, window, is_default=is_default)).items]

    assert await names(Window(), is_default=True) == ["a"]
    assert await names(Window(), is_default=False) == ["c", "b"]
    assert await names(Window(start=times[1], end=times[2])) == ["b"]


async def test_a_cursor_of_something_else_is_refused(bench: Bench) -> None:
    """Cursors that no page gave are an error of the caller."""
    with pytest.raises(Invalid, match="pageToken"):
        await bench.store.list_apps(bench.account, Window(after=b"x"))
    with pytest.raises(Invalid, match="pageToken"):
        await bench.store.list_credentials(bench.account, Window(after=b"x"))


async def test_another_account_sees_and_deletes_nothing(bench: Bench) -> None:
    """Apps and credentials belong to their account."""
    credential, stranger = await bench.app(), bench.ids.new()
    assert await bench.store.get_credential(stranger, credential.id) is None
    assert await bench.store.get_app(stranger, "shop") is None
    assert (await bench.store.list_apps(stranger, Window())).items == ()
    assert (await bench.store.list_credentials(stranger, Window())).items == ()
    assert not await bench.store.delete_credential(stranger, credential.id, 1)


async def test_an_apps_users_are_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with devices in it, so far as is counted; none where there is no such app."""
    await bench.app()
    for number in range(3):
        user = (await bench.device(token_of(number))).user_id
    await bench.device(token_of(9), user)
    await bench.app("other")
    await bench.device(token_of(8), app_name="other")
    assert await bench.store.count_users(bench.account, "shop") == 3
    assert await bench.store.count_users(bench.account, "nobody") == 0
    assert await bench.store.count_users(bench.ids.new(), "shop") == 0
    monkeypatch.setattr("heliogram.store.sqlite.apps.MOST_USERS", 2)
    assert await bench.store.count_users(bench.account, "shop") == 2
