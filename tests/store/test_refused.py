"""Refused tokens: what the store remembers for whoever sends to a token directly."""

from __future__ import annotations

import pytest
from support.stores import Bench, refused_tokens, token_of

from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import TokenKind
from heliogram.domain.lookups import RefusedToken
from heliogram.store.sqlite.refused import REMEMBERED_MS

pytestmark = pytest.mark.anyio

BAD, CREDENTIAL = "BadDeviceToken", b"c" * 16
PRODUCTION = Environment.PRODUCTION


async def refuse(bench: Bench, number: int) -> bool:
    """The provider said that this token is none of production's; whether a registered one was quarantined."""
    return await bench.store.quarantine_device(
        bench.account,
        "shop",
        ProviderName.APN,
        token_of(number),
        reason=BAD,
        at=bench.clock.ms,
        environment=PRODUCTION,
        kind=TokenKind.ALERT,
        remember=CREDENTIAL,
    )


async def refused(bench: Bench, *numbers: int, app: str = "shop") -> dict[bytes, list[RefusedToken]]:
    return await refused_tokens(
        bench.store, bench.account, app, [token_of(n) for n in numbers], kind=TokenKind.ALERT, now=bench.clock.ms
    )


async def test_a_refusal_of_an_unknown_token_is_remembered(bench: Bench) -> None:
    """With the environment, APNs' word and the credential; of this app alone, and only of what is asked for."""
    await bench.app()
    assert not await refuse(bench, 1)
    assert await refused(bench, 1, 2) == {token_of(1): [RefusedToken(PRODUCTION, BAD, CREDENTIAL)]}
    assert await refused(bench, 2) == await refused(bench, 1, app="other") == await refused(bench) == {}


async def test_it_is_remembered_for_a_day(bench: Bench) -> None:
    """LIFE-9: to the millisecond; then it can be removed."""
    await bench.app()
    await refuse(bench, 1)
    bench.clock.advance((REMEMBERED_MS - 1) / 1000)
    assert token_of(1) in await refused(bench, 1)
    assert await bench.store.forget_refused(bench.clock.ms) == 0
    bench.clock.advance(0.001)
    assert await refused(bench, 1) == {}
    assert await bench.store.forget_refused(bench.clock.ms) == 1


async def test_a_registration_ends_it(bench: Bench) -> None:
    """The app says that the token is good."""
    await bench.app()
    await refuse(bench, 1)
    await bench.device(token_of(1))
    assert await refused(bench, 1) == {}


async def test_a_quarantined_device_counts_for_as_long_as_it_is(bench: Bench) -> None:
    """It says so itself, past the day; registered anew, it is good again."""
    await bench.app()
    await bench.device(token_of(1), environment=PRODUCTION)
    bench.clock.advance(1)
    assert await refuse(bench, 1)
    bench.clock.advance(30 * 86_400)
    assert await refused(bench, 1) == {token_of(1): [RefusedToken(PRODUCTION, BAD, None)]}
    await bench.device(token_of(1), environment=PRODUCTION)
    assert await refused(bench, 1) == {}
