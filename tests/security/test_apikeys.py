"""API keys and who holds them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from support.clock import FakeClock
from support.stores import Bench, opened

from heliogram.domain.accounts import ALL_SCOPES, ApiKey, Caller, Scope
from heliogram.domain.ids import API_KEY, decode, encode
from heliogram.ports import KeyStore
from heliogram.security import (
    KeyHasher,
    KeyRing,
    KeySource,
    MasterKey,
    NewKey,
    RegistrationTokens,
    StoreAuthenticator,
    new_api_key,
)

pytestmark = pytest.mark.anyio


def ring_of(*numbers: int) -> KeyRing:
    return KeyRing(tuple(MasterKey(bytes([n]) * 32) for n in numbers), KeySource.FILE)


def hasher_of(*numbers: int) -> KeyHasher:
    return KeyHasher(ring_of(*numbers))


TOKENS = RegistrationTokens(ring_of(1))


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as made:
        yield made


async def kept_key(bench: Bench, scopes: tuple[Scope, ...] = ALL_SCOPES) -> NewKey:
    """A new key in the store."""
    made = new_api_key(
        bench.ids, hasher_of(1), account=bench.account, name="app", created=bench.clock.ms, scopes=scopes
    )
    await bench.store.create_api_key(bench.account, made.key)
    return made


class CountingStore:
    """Counts the look-ups that reach the store."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.found = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def find_caller(self, key_id: bytes) -> Caller | None:
        self.found += 1
        return await self._store.find_caller(key_id)


def counting(bench: Bench, size: int = 1024) -> tuple[CountingStore, StoreAuthenticator]:
    store = CountingStore(bench.store)
    return store, StoreAuthenticator(store, hasher_of(1), bench.clock, TOKENS, size=size)  # type: ignore[arg-type] # __getattr__


async def test_a_new_key_has_an_id_and_a_secret_of_the_documented_form(bench: Bench) -> None:
    """The id is a TypeID `key_…`, the secret `hgs_` and 256 bits in base64url."""
    made = await kept_key(bench)
    assert decode(API_KEY, made.key_id) == made.key.id
    assert re.fullmatch(r"hgs_[A-Za-z0-9_-]{43}", made.secret)
    assert made.secret not in repr(made)
    assert made.secret.encode() not in msgspec.msgpack.encode(made.key)


async def test_the_right_secret_opens(bench: Bench) -> None:
    """A key and its secret give the account and the scopes."""
    made = await kept_key(bench, (Scope.SEND,))
    principal = await counting(bench)[1].authenticate(made.key_id, made.secret)
    assert principal is not None
    assert (principal.account_id, principal.key_id) == (bench.account, made.key.id)
    assert principal.may(Scope.SEND)
    assert not principal.may(Scope.READ)


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + "A", lambda s: s.swapcase(), lambda _: ""])
async def test_a_wrong_secret_does_not(bench: Bench, change: object) -> None:
    """Any other secret is refused."""
    assert callable(change)
    made = await kept_key(bench)
    assert await counting(bench)[1].authenticate(made.key_id, change(made.secret)) is None


@pytest.mark.parametrize(
    "key_id", ["", "key_", "key_zzz", "account_01h455vb4pex5vsknk084sn02q", "key_\ud800", "x" * 999]
)
async def test_a_malformed_id_does_not(bench: Bench, key_id: str) -> None:
    """What is no key id is refused without asking the store."""
    store, authenticator = counting(bench)
    assert await authenticator.authenticate(key_id, "hgs_x") is None
    assert store.found == 0


async def test_an_unknown_id_does_not(bench: Bench) -> None:
    """A well-formed id that nobody has is refused."""
    assert await counting(bench)[1].authenticate(encode(API_KEY, bench.ids.new()), "hgs_x") is None


async def test_an_odd_secret_is_just_wrong(bench: Bench) -> None:
    """Lone surrogates and secrets beyond 256 characters are refused like any other."""
    made = await kept_key(bench)
    authenticator = counting(bench)[1]
    assert await authenticator.authenticate(made.key_id, "\ud800") is None
    assert await authenticator.authenticate(made.key_id, made.secret + "x" * 10_000) is None


async def test_a_long_secret_is_not_known_by_its_beginning() -> None:
    """A secret of 256 characters is whole, one of 257 is refused even with its own hash."""
    hasher = hasher_of(1)
    for length, good in ((256, True), (257, False)):
        key = ApiKey(account_id=b"a", id=b"i" * 16, name="n", hash=hasher.hash(b"i" * 16, "x" * length))
        assert hasher.verify(key, "x" * length) is good


async def test_revocation_acts_within_a_second(bench: Bench) -> None:
    """Half a second after a key was revoked, by whomever, it no longer opens."""
    made = await kept_key(bench)
    authenticator = counting(bench)[1]
    assert await authenticator.authenticate(made.key_id, made.secret)
    await bench.store.revoke_api_key(bench.account, made.key.id, bench.clock.ms)
    bench.clock.advance(0.5)
    assert await authenticator.authenticate(made.key_id, made.secret) is None


async def test_a_revocation_while_the_key_is_looked_up_is_not_believed_longer(bench: Bench) -> None:
    """The half second counts from before the look-up."""

    class SlowStore(CountingStore):
        async def find_caller(self, key_id: bytes) -> Caller | None:
            found = await super().find_caller(key_id)
            bench.clock.advance(0.5)
            return found

    made = await kept_key(bench)
    authenticator = StoreAuthenticator(SlowStore(bench.store), hasher_of(1), bench.clock, TOKENS)  # type: ignore[arg-type]
    assert await authenticator.authenticate(made.key_id, made.secret)
    await bench.store.revoke_api_key(bench.account, made.key.id, bench.clock.ms)
    assert await authenticator.authenticate(made.key_id, made.secret) is None


async def test_a_busy_caller_costs_one_look_up_in_half_a_second(bench: Bench) -> None:
    """Known and unknown ids are remembered alike."""
    made = await kept_key(bench)
    for key_id in (made.key_id, encode(API_KEY, bench.ids.new())):
        store, authenticator = counting(bench)
        for _ in range(10):
            await authenticator.authenticate(key_id, made.secret)
        assert store.found == 1
        bench.clock.advance(0.5)
        await authenticator.authenticate(key_id, made.secret)
        assert store.found == 2


async def test_a_flood_of_unknown_ids_pushes_out_no_good_key(bench: Bench) -> None:
    """At most `size` of each are remembered, known apart from unknown."""
    made = await kept_key(bench)
    store, authenticator = counting(bench, size=4)
    await authenticator.authenticate(made.key_id, made.secret)
    for _ in range(20):
        await authenticator.authenticate(encode(API_KEY, bench.ids.new()), "hgs_x")
    assert repr(authenticator) == "StoreAuthenticator(known=1, unknown=4)"
    await authenticator.authenticate(made.key_id, made.secret)
    assert store.found == 21


async def test_another_master_key_knows_no_secret(bench: Bench) -> None:
    """The hash hangs on the master key: without it no secret can be checked."""
    made = await kept_key(bench)
    assert hasher_of(1).verify(made.key, made.secret)
    assert not hasher_of(2).verify(made.key, made.secret)


async def test_keys_outlive_a_rotation_of_the_master_key(bench: Bench) -> None:
    """With the old master key still on the ring, old API keys go on working."""
    made = await kept_key(bench)
    assert hasher_of(2, 1).verify(made.key, made.secret)


async def test_a_hash_is_of_one_key_alone(bench: Bench) -> None:
    """A hash copied to another key does not open with the first one's secret."""
    made = await kept_key(bench)
    other = msgspec.structs.replace(made.key, id=bench.ids.new())
    assert not hasher_of(1).verify(other, made.secret)


async def test_no_key_is_never_right() -> None:
    """Without a key even the secret of nobody is wrong."""
    assert not hasher_of(1).verify(None, "")


@pytest.mark.parametrize(("ttl", "good"), [(0, True), (0.9, True), (0.91, False), (-0.1, False)])
async def test_the_memory_is_shorter_than_a_second(bench: Bench, ttl: float, good: bool) -> None:
    """A ttl that would let revocation take longer than a second is refused."""
    clock = FakeClock()
    if good:
        StoreAuthenticator(bench.store, hasher_of(1), clock, TOKENS, ttl=ttl)
    else:
        with pytest.raises(ValueError, match="ttl"):
            StoreAuthenticator(bench.store, hasher_of(1), clock, TOKENS, ttl=ttl)
