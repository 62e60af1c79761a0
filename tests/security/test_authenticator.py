"""When keys and registration tokens open, and when they no longer do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from support.stores import Bench, opened

from heliogram.domain.accounts import AccountLimits, ApiKey, AuditEvent, RegistrationGrant, Scope
from heliogram.domain.ids import API_KEY, encode
from heliogram.ports import Window
from heliogram.security import (
    KeyHasher,
    KeyRing,
    KeySource,
    MasterKey,
    RegistrationTokens,
    SecretMaker,
    StoreAuthenticator,
)
from heliogram.store.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

RING = KeyRing((MasterKey(b"m" * 32),), KeySource.FILE)
HASHER, TOKENS = KeyHasher(RING), RegistrationTokens(RING)


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as made:
        yield made


class Door:
    """A key in the store, and the authenticator in front of it."""

    def __init__(self, bench: Bench, key: ApiKey, secret: str) -> None:
        self.bench = bench
        self.key = key
        self.secret = secret
        self.authenticator = StoreAuthenticator(bench.store, HASHER, bench.clock, TOKENS)

    async def opens(self) -> bool:
        """Whether the key lets in."""
        return await self.authenticator.authenticate(encode(API_KEY, self.key.id), self.secret) is not None

    def token(self, *, seconds: int = 3600, changes: dict[str, bytes] | None = None) -> str:
        """A registration token made with the key."""
        grant = RegistrationGrant(
            account_id=self.key.account_id,
            key_id=self.key.id,
            app_name="shop",
            user_id=b"u" * 16,
            expires=int(self.bench.clock.time()) + seconds,
        )
        return TOKENS.make(msgspec.structs.replace(grant, **(changes or {})))

    async def token_opens(self, token: str) -> bool:
        """Whether a registration token lets in."""
        return await self.authenticator.authenticate("registration", token) is not None


async def door(bench: Bench, *scopes: Scope, expires: int | None = None) -> Door:
    maker = SecretMaker(bench.ids, HASHER, TOKENS)
    key, secret = maker.api_key(
        bench.account, name="k", scopes=scopes or (Scope.REGISTER,), created=bench.clock.ms, expires=expires
    )
    await bench.store.create_api_key(bench.account, key)
    return Door(bench, key, secret)


async def settle(bench: Bench) -> None:
    """Waits until what was begun before is written, and what waited for it has run."""
    await asyncio.sleep(0)  # a note that was only just begun reaches the writer
    event = AuditEvent(id=bench.ids.new(), at=0, actor="test", action="settle", subject="")
    await bench.store.record_audit(bench.account, event)
    await asyncio.sleep(0)


async def last_used(made: Door) -> int | None:
    await settle(made.bench)
    key = await made.bench.store.get_api_key(made.bench.account, made.key.id)
    assert key is not None
    return key.last_used


async def test_a_key_opens_until_its_end(bench: Bench) -> None:
    """The millisecond before it opens, at its end it does not, remembered or not."""
    made = await door(bench, expires=bench.clock.ms + 100)
    assert await made.opens()
    bench.clock.advance(0.099)
    assert await made.opens()
    bench.clock.advance(0.001)
    assert not await made.opens()


async def test_a_disabled_account_lets_nobody_in_within_a_second(bench: Bench) -> None:
    """Its keys and registration tokens are refused until it is enabled again."""
    made = await door(bench)
    token = made.token()
    assert await made.opens()
    await bench.store.disable_account(bench.account, bench.clock.ms)
    bench.clock.advance(1)
    assert not await made.opens()
    assert not await made.token_opens(token)
    await bench.store.disable_account(bench.account, None)
    bench.clock.advance(1)
    assert await made.opens()
    assert await made.token_opens(token)


async def test_the_limits_of_the_account_come_with_the_caller(bench: Bench) -> None:
    """A change of them is seen within a second."""
    made = await door(bench)
    await made.opens()
    await bench.store.limit_account(bench.account, AccountLimits(requests_per_second=5))
    bench.clock.advance(1)
    principal = await made.authenticator.authenticate(encode(API_KEY, made.key.id), made.secret)
    assert principal is not None
    assert principal.limits == AccountLimits(requests_per_second=5)
    by_token = await made.authenticator.authenticate("registration", made.token())
    assert by_token is not None
    assert by_token.limits == principal.limits


async def test_a_registration_token_gives_its_grant_and_no_scope(bench: Bench) -> None:
    """Not even those of the key that made it."""
    made = await door(bench, *Scope)
    principal = await made.authenticator.authenticate("registration", made.token())
    assert principal is not None
    assert principal.scopes == frozenset()
    assert not any(principal.may(scope) for scope in Scope)
    assert principal.registration is not None
    assert (principal.registration.app_name, principal.registration.user_id) == ("shop", b"u" * 16)
    assert principal.account_id == bench.account


async def test_a_registration_token_ends_with_the_key_that_made_it(bench: Bench) -> None:
    """Revoking the key ends its tokens within a second."""
    made = await door(bench)
    token = made.token()
    assert await made.token_opens(token)
    await bench.store.revoke_api_key(bench.account, made.key.id, bench.clock.ms)
    bench.clock.advance(1)
    assert not await made.token_opens(token)


async def test_a_registration_token_ends_when_its_key_expires(bench: Bench) -> None:
    """However long it was made for."""
    made = await door(bench, expires=bench.clock.ms + 5000)
    token = made.token(seconds=3600)
    bench.clock.advance(4.999)
    assert await made.token_opens(token)
    bench.clock.advance(0.001)
    assert not await made.token_opens(token)


@pytest.mark.parametrize("change", [{"account_id": b"x" * 16}, {"key_id": b"x" * 16}])
async def test_a_registration_token_of_no_key_is_none(bench: Bench, change: dict[str, bytes]) -> None:
    """Its key must be there, and of its account."""
    made = await door(bench)
    assert not await made.token_opens(made.token(changes=change))


async def test_a_key_without_the_scope_makes_no_registration_token(bench: Bench) -> None:
    """A token signed for a key that may not register opens nothing."""
    made = await door(bench, Scope.SEND)
    assert not await made.token_opens(made.token())


async def test_use_is_written_at_most_once_a_minute(bench: Bench) -> None:
    """However often a key is used, and with a token in its place."""
    made = await door(bench)
    start = bench.clock.ms
    for _ in range(3):
        assert await made.opens()
    assert await last_used(made) == start
    bench.clock.advance(59.9)
    await made.opens()
    assert await last_used(made) == start
    bench.clock.advance(0.1)
    assert await made.token_opens(made.token())
    assert await last_used(made) == start + 60_000


async def test_a_wrong_secret_is_no_use(bench: Bench) -> None:
    """Only who was let in has used a key."""
    made = await door(bench)
    assert await made.authenticator.authenticate(encode(API_KEY, made.key.id), made.secret + "x") is None
    assert await last_used(made) is None


@pytest.mark.parametrize("wrong", ["", "hgs_" + "x" * 43, "hgs_é"])
async def test_a_wrong_secret_opens_nothing_after_the_right_one(bench: Bench, wrong: str) -> None:
    """That the right one was given a moment ago is no reason to look less closely."""
    made = await door(bench)
    assert await made.opens()
    right, made.secret = made.secret, wrong
    assert not await made.opens()
    made.secret = right[:-1]
    assert not await made.opens()
    made.secret = right
    assert await made.opens()


async def test_what_is_believed_no_more_is_let_go(bench: Bench) -> None:
    """With the secret that was proven: when another key is asked for, at the latest."""
    first = await door(bench)
    assert await first.opens()
    bench.clock.advance(0.5)
    assert await first.authenticator.authenticate(encode(API_KEY, (await door(bench)).key.id), "hgs_") is None
    assert repr(first.authenticator) == "StoreAuthenticator(known=1, unknown=0)"


async def test_two_processes_write_use_once_a_minute_between_them(bench: Bench) -> None:
    """What the other wrote is seen when the key is looked up."""
    made = await door(bench)
    start = bench.clock.ms
    await made.opens()
    assert await last_used(made) == start
    bench.clock.advance(30)
    second = Door(bench, made.key, made.secret)
    await second.opens()
    assert await last_used(second) == start
    assert repr(second.authenticator._last_use) == "LastUse(keys=1, writing=0)"
    bench.clock.advance(30)
    await second.opens()
    assert await last_used(second) == start + 60_000


async def test_a_request_does_not_wait_for_its_note(bench: Bench) -> None:
    """A store that cannot write lets callers in all the same, and the next minute tries again."""
    made = await door(bench)
    tries = 0
    touched = asyncio.Event()

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(bench.store, name)

        async def touch_api_key(self, account: bytes, key_id: bytes, at: int) -> None:
            nonlocal tries
            tries += 1
            touched.set()
            raise StoreUnavailable("no space is left")

    made.authenticator = StoreAuthenticator(Full(), HASHER, bench.clock, TOKENS)  # type: ignore[arg-type] # __getattr__
    for turn in (1, 2):
        assert await made.opens()
        await touched.wait()
        touched.clear()
        assert tries == turn
        bench.clock.advance(60)
    assert [key.last_used for key in (await bench.store.list_api_keys(bench.account, Window())).items] == [None]
