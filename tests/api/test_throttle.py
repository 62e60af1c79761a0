"""How fast an account may call."""

from __future__ import annotations

import pytest
from support.clock import FakeClock
from support.service import Service

from heliogram.api.throttle import Throttle
from heliogram.domain.accounts import AccountLimits

pytestmark = pytest.mark.anyio

A, B = b"a" * 16, b"b" * 16


def counted(throttle: Throttle, limits: AccountLimits, tries: int, account: bytes = A) -> int:
    """How many of so many requests at once are let through."""
    return sum(throttle.wait(account, limits) == 0 for _ in range(tries))


def test_without_a_limit_everything_passes() -> None:
    """And nothing is remembered."""
    throttle = Throttle(FakeClock())
    assert counted(throttle, AccountLimits(), 1000) == 1000
    assert repr(throttle) == "Throttle(accounts=0)"


@pytest.mark.parametrize(
    ("limits", "at_once"),
    [
        (AccountLimits(requests_per_second=5), 5),
        (AccountLimits(requests_per_second=5, burst=20), 20),
        (AccountLimits(requests_per_second=5, burst=1), 1),
        (AccountLimits(requests_per_second=0.5), 1),
    ],
)
def test_a_burst_is_a_seconds_worth_unless_it_is_set(limits: AccountLimits, at_once: int) -> None:
    """So many at once and not one more."""
    assert counted(Throttle(FakeClock()), limits, 50) == at_once


def test_the_bucket_fills_with_time() -> None:
    """Ten a second are one in every tenth of a second, and never more than the burst."""
    clock = FakeClock()
    throttle, limits = Throttle(clock), AccountLimits(requests_per_second=10)
    assert counted(throttle, limits, 50) == 10
    clock.advance(0.1)
    assert counted(throttle, limits, 50) == 1
    clock.advance(3600)
    assert counted(throttle, limits, 50) == 10


@pytest.mark.parametrize("rate", [0.3, 3, 7, 1000])
def test_who_waits_as_long_as_was_said_is_let_through(rate: float) -> None:
    """And a little earlier is not."""
    clock = FakeClock()
    throttle, limits = Throttle(clock), AccountLimits(requests_per_second=rate, burst=1)
    assert throttle.wait(A, limits) == 0
    wait = throttle.wait(A, limits)
    assert wait == pytest.approx(1 / rate)
    clock.advance(wait * 0.9)
    assert throttle.wait(A, limits) > 0
    clock.advance(wait * 0.1)
    assert throttle.wait(A, limits) == 0


def test_accounts_do_not_share() -> None:
    """One that calls too fast keeps no other waiting."""
    throttle, limits = Throttle(FakeClock()), AccountLimits(requests_per_second=2)
    assert counted(throttle, limits, 9, A) == 2
    assert counted(throttle, limits, 9, B) == 2


def test_a_lower_limit_acts_on_a_full_bucket() -> None:
    """What was saved up under the old limit is gone."""
    clock = FakeClock()
    throttle = Throttle(clock)
    assert counted(throttle, AccountLimits(requests_per_second=100), 1) == 1
    assert counted(throttle, AccountLimits(requests_per_second=2), 50) == 2


def test_buckets_are_bounded() -> None:
    """The account seen longest ago is forgotten."""
    throttle, limits = Throttle(FakeClock(), size=2), AccountLimits(requests_per_second=1)
    for account in (A, B, A, b"c" * 16):
        throttle.wait(account, limits)
    assert repr(throttle) == "Throttle(accounts=2)"
    assert throttle.wait(A, limits) > 0


async def test_too_many_requests_are_told_when_to_come_again(service: Service) -> None:
    """OWN-11, TW-21: 429 with whole seconds in Retry-After; after them it goes on. Strangers are 401 whatever the
    limit.
    """
    await service.store.limit_account(service.account, AccountLimits(requests_per_second=0.4, burst=2))
    for _ in range(2):
        assert (await service.get("/Apps")).status_code == 200
    refused = await service.get("/Apps")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, 20429, "3")
    assert "0.4 requests a second" in refused.json()["detail"]
    assert (await service.client.get("/v1/Nothing")).status_code == 429
    async with service.client_of({}) as stranger:
        assert (await stranger.get("/v1/Account")).status_code == 401
    service.clock.advance(2.5)
    assert (await service.get("/Apps")).status_code == 200


async def test_retry_after_is_never_less_than_a_second(service: Service) -> None:
    """Zero would be no wait at all."""
    await service.store.limit_account(service.account, AccountLimits(requests_per_second=50_000, burst=1))
    await service.get("/Apps")
    assert (await service.get("/Apps")).headers["retry-after"] == "1"


async def test_another_account_is_not_kept_waiting(service: Service) -> None:
    """The limit is of one account."""
    other = await service.tenant()
    await service.store.limit_account(service.account, AccountLimits(requests_per_second=1))
    await service.get("/Apps")
    assert (await service.get("/Apps")).status_code == 429
    async with other.client:
        assert (await other.get("/Apps")).status_code == 200


async def test_the_document_says_429_everywhere_a_key_is_asked_for(service: Service) -> None:
    """With the header that says how long."""
    document = (await service.client.get("/openapi.json")).json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "servers" and operation.get("security") != []:
                assert "Retry-After" in operation["responses"]["429"]["headers"], path
