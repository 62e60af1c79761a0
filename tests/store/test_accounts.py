"""Accounts: the tenants of an instance."""

from __future__ import annotations

import asyncio

import pytest
from support.stores import Bench

from heliogram.domain.accounts import MAX_ACCOUNTS, Account, AccountLimits, AuditEvent
from heliogram.domain.errors import Code, Conflict, LimitReached
from heliogram.ports import Window

pytestmark = pytest.mark.anyio


def account_of(bench: Bench, name: str = "other", limits: AccountLimits | None = None) -> Account:
    return Account(id=bench.ids.new(), name=name, created=bench.clock.ms, limits=limits or AccountLimits())


async def test_an_account_comes_back_as_it_was_kept(bench: Bench) -> None:
    """By its id, by its name, and in the list, the oldest first."""
    bench.clock.advance(1)
    limits = AccountLimits(apps=3, credentials_per_app=4, requests_per_second=0.5, burst=6)
    made = account_of(bench, limits=limits)
    await bench.store.create_account(made)
    assert await bench.store.get_account(made.id) == made
    assert await bench.store.account_named("other") == made
    assert await bench.store.list_accounts() == [await bench.store.default_account(), made]
    assert await bench.store.get_account(bench.ids.new()) is None
    assert await bench.store.account_named("nobody") is None


async def test_the_default_account_stays_the_first(bench: Bench) -> None:
    """Later accounts do not take its place."""
    bench.clock.advance(1)
    await bench.store.create_account(account_of(bench))
    assert (await bench.store.default_account()).id == bench.account


async def test_a_name_is_taken_once(bench: Bench) -> None:
    """Two accounts of one name could not be told apart on the command line."""
    with pytest.raises(Conflict, match="'default'"):
        await bench.store.create_account(account_of(bench, "default"))


async def test_an_instance_has_at_most_a_thousand_accounts(bench: Bench) -> None:
    """The 1,000th is made, the one after it refused."""
    names = [f"a{n}" for n in range(MAX_ACCOUNTS - 1)]  # the default account is one of them
    await asyncio.gather(*(bench.store.create_account(account_of(bench, name)) for name in names))
    with pytest.raises(LimitReached) as refused:
        await bench.store.create_account(account_of(bench, "more"))
    assert refused.value.code is Code.TOO_MANY_ACCOUNTS
    assert len(await bench.store.list_accounts()) == MAX_ACCOUNTS


async def test_limits_and_disabling_are_kept_with_their_event(bench: Bench) -> None:
    """Each change is recorded in the account it is about; one of an account that is not there changes nothing."""
    other = account_of(bench)
    await bench.store.create_account(other, audit=event_of(bench, "account.created"))
    limits = AccountLimits(apps=1)
    assert await bench.store.limit_account(other.id, limits, audit=event_of(bench, "account.limited"))
    assert await bench.store.disable_account(other.id, 5, audit=event_of(bench, "account.disabled"))
    found = await bench.store.get_account(other.id)
    assert found is not None
    assert (found.limits, found.disabled) == (limits, 5)
    assert await bench.store.disable_account(other.id, None)
    actions = {event.action for event in (await bench.store.list_audit(other.id, Window())).items}
    assert actions == {"account.created", "account.limited", "account.disabled"}
    stranger = bench.ids.new()
    assert not await bench.store.limit_account(stranger, limits, audit=event_of(bench, "account.limited"))
    assert not await bench.store.disable_account(stranger, 5)
    assert (await bench.store.list_audit(stranger, Window())).items == ()


def event_of(bench: Bench, action: str) -> AuditEvent:
    return AuditEvent(id=bench.ids.new(), at=bench.clock.ms, actor="cli", action=action, subject="account_x")


async def test_the_limits_of_an_account_are_its_own(bench: Bench) -> None:
    """With a limit of 1 app and 2 credentials, the second app and the third credential are refused, here alone."""
    other = account_of(bench, limits=AccountLimits(apps=1, credentials_per_app=2))
    await bench.store.create_account(other)
    for _ in range(2):
        await bench.store.create_credential(other.id, bench.credential("shop"), b"sealed")
    for name, code in (("shop", Code.TOO_MANY_CREDENTIALS), ("news", Code.TOO_MANY_APPS)):
        with pytest.raises(LimitReached) as refused:
            await bench.store.create_credential(other.id, bench.credential(name), b"sealed")
        assert refused.value.code is code
    await bench.app("shop")
    await bench.app("news")


async def test_what_an_account_has_is_counted(bench: Bench) -> None:
    """Apps and credentials of this account alone."""
    await bench.app("shop")
    await bench.app("shop")
    counts = await bench.store.count_account(bench.account, bench.clock.ms)
    assert (counts.apps, counts.credentials, counts.api_keys, counts.webhooks) == (1, 2, 0, 0)
    counts = await bench.store.count_account(bench.ids.new(), bench.clock.ms)
    assert (counts.apps, counts.credentials, counts.api_keys, counts.webhooks) == (0, 0, 0, 0)


async def test_a_user_is_made_for_an_external_id_once(bench: Bench) -> None:
    """The same external id finds the same user again; another account has its own."""
    user = await bench.store.ensure_user(bench.account, "u-1", bench.clock.ms)
    assert await bench.store.ensure_user(bench.account, "u-1", bench.clock.ms) == user
    assert await bench.store.ensure_user(bench.account, "u-2", bench.clock.ms) != user
    other = account_of(bench)
    await bench.store.create_account(other)
    assert await bench.store.ensure_user(other.id, "u-1", bench.clock.ms) != user
