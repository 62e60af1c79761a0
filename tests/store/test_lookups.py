"""One question for all that a send needs: the same answers as one by one."""

from __future__ import annotations

import pytest
from support.stores import Bench, token_of

from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.devices import NewDevice, TokenKind
from heliogram.domain.lookups import RefusedToken, Wanted

pytestmark = pytest.mark.anyio

ALERT = TokenKind.ALERT


async def registered(bench: Bench, number: int, external_id: str | None = None) -> bytes:
    """A user with a device of production; the user's id."""
    device = NewDevice(
        app_name="shop",
        provider=ProviderName.APN,
        token=token_of(number),
        environment=Environment.PRODUCTION,
        external_id=external_id,
    )
    return (await bench.store.register_device(bench.account, device, bench.clock.ms)).user_id


async def test_the_default_app_is_found_without_a_name(bench: Bench) -> None:
    """As by its name, with its default credentials; another name finds nothing."""
    await bench.app()
    store, account = bench.store, bench.account
    app = await store.default_app(account)
    assert app is not None
    for name, expected in ((None, app), ("shop", app), ("other", None)):
        assert (await store.look_up(account, Wanted(app_name=name, kind=ALERT))).app == expected


async def test_a_named_credential_stands_for_the_app(bench: Bench) -> None:
    """It is told, and no app; one that the account does not have is None."""
    credential = await bench.app()
    store, account = bench.store, bench.account
    known = await store.look_up(account, Wanted(app_name="shop", kind=ALERT, credential=credential.id))
    assert (known.app, known.credential) == (None, await store.get_credential(account, credential.id))
    known = await store.look_up(account, Wanted(app_name="shop", kind=ALERT, credential=bench.ids.new()))
    assert (known.app, known.credential) == (None, None)


async def test_users_are_found_by_id_and_by_name(bench: Bench) -> None:
    """With their devices; who is not there is missing if that is asked, and a name with a NUL is nobody's."""
    await bench.app()
    store, account = bench.store, bench.account
    alice, bob, nobody = await registered(bench, 1), await registered(bench, 2, "bob"), bench.ids.new()
    wanted = Wanted(
        app_name=None,
        kind=ALERT,
        users=frozenset({alice, nobody}),
        names=frozenset({"bob", "carol", "\0"}),
        missing=True,
    )
    known = await store.look_up(account, wanted)
    assert known.named == {"bob": bob}
    assert known.missing == {nobody}
    assert known.devices == await store.devices_of_users(account, "shop", {alice, bob}, kind=ALERT)
    assert set(known.devices) == {alice, bob}
    assert repr(known) == "Known(devices=2, environments=0, refused=0)"
    assert (await store.look_up(account, Wanted(app_name=None, kind=ALERT, names=frozenset({"\0"})))).named == {}


async def test_tokens_are_told_with_environments_and_refusals(bench: Bench) -> None:
    """For an app with credentials for both environments; refusals only if they are asked for."""
    await bench.app()
    await bench.app(type=CredentialType.APN_SANDBOX)
    store, account, at = bench.store, bench.account, bench.clock.ms
    await registered(bench, 1)
    await store.quarantine_device(
        account,
        "shop",
        ProviderName.APN,
        token_of(2),
        reason="BadDeviceToken",
        at=at,
        environment=Environment.SANDBOX,
        kind=ALERT,
        remember=b"c" * 16,
    )
    tokens = frozenset({token_of(1), token_of(2)})
    for asked in (True, False):
        known = await store.look_up(account, Wanted(app_name="shop", kind=ALERT, tokens=tokens, refused=asked))
        assert known.environments == {token_of(1): Environment.PRODUCTION}
        refusal = RefusedToken(Environment.SANDBOX, "BadDeviceToken", b"c" * 16)
        assert known.refused == ({token_of(2): [refusal]} if asked else {})


async def test_the_moment_is_of_before_the_question(bench: Bench) -> None:
    """So that what is kept of it is never taken for younger than it is."""
    await bench.app()
    known = await bench.store.look_up(bench.account, Wanted(app_name=None, kind=ALERT))
    assert known.at == bench.clock.monotonic()
