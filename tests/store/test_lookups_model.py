"""The one question of a send is answered as the single questions about the same are, whatever is registered."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from support.stores import Bench, known_environments, opened, refused_tokens, token_of

from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.devices import TokenKind
from heliogram.domain.errors import DomainError
from heliogram.domain.lookups import Wanted

pytestmark = pytest.mark.anyio

TOKENS = [token_of(number) for number in range(12)]
NAMES = ["ada", "ben", "cy"]
KINDS = [
    TokenKind.ALERT,
    TokenKind.ALERT,
    TokenKind.VOIP,
    TokenKind.LIVE_ACTIVITY_START,
    TokenKind.LIVE_ACTIVITY_UPDATE,
]
ENVIRONMENTS = [None, *Environment]
STEPS = 150


async def change(bench: Bench, some: random.Random, users: list[bytes]) -> None:
    """Something that happens to devices or users."""
    bench.clock.advance(1)
    token, kind, choice = some.choice(TOKENS), some.choice(KINDS), some.random()
    if choice < 0.7 or not users:
        who: dict[str, Any] = some.choice(
            [{"external_id": some.choice(NAMES)}, {"user": some.choice(users) if users else None}, {}]
        )
        activity = some.choice(["one", "two"]) if kind is TokenKind.LIVE_ACTIVITY_UPDATE else None
        with contextlib.suppress(DomainError):  # a user that is deleted
            made = await bench.device(
                token, environment=some.choice(ENVIRONMENTS), kind=kind, activity_id=activity, **who
            )
            users.append(made.user_id)
    elif choice < 0.8:
        await bench.store.delete_user(bench.account, some.choice(users), bench.clock.ms)
    elif choice < 0.9:
        await bench.store.quarantine_device(
            bench.account,
            "shop",
            ProviderName.APN,
            token,
            reason="BadDeviceToken",
            at=bench.clock.ms,
            environment=Environment.PRODUCTION,
            kind=kind,
            remember=b"c" * 16,
        )
    else:
        await bench.store.remove_device(bench.account, "shop", ProviderName.APN, token, dead_since=bench.clock.ms + 1)


async def check(bench: Bench, some: random.Random, users: list[bytes]) -> None:
    """Asks for some of it in both ways."""
    store, account, kind = bench.store, bench.account, some.choice(KINDS)
    activity = some.choice([None, "one"]) if kind is TokenKind.LIVE_ACTIVITY_UPDATE else None
    asked = frozenset([*some.sample(users, min(len(users), 3)), bytes(16)])
    names, tokens = frozenset(some.sample([*NAMES, "nobody"], 2)), frozenset(some.sample(TOKENS, 8))
    known = await store.look_up(
        account,
        Wanted(app_name="shop", kind=kind, activity_id=activity, users=asked, names=names, tokens=tokens, missing=True),
    )
    assert known.named == await store.users_by_external_id(account, names)
    everybody = asked.union(known.named.values())
    assert known.missing == await store.missing_users(account, everybody)
    assert known.devices == await store.devices_of_users(account, "shop", everybody, kind=kind, activity_id=activity)
    assert known.environments == await known_environments(store, account, "shop", tokens)
    assert known.refused == await refused_tokens(store, account, "shop", tokens, kind=kind, now=bench.clock.ms)


async def plan(bench: Bench, some: random.Random, users: list[bytes]) -> None:
    """Asks as a large send does: as it is accepted, and after something else, as a part of it is planned."""
    store, account, kind = bench.store, bench.account, some.choice(KINDS)
    activity = some.choice([None, "one"]) if kind is TokenKind.LIVE_ACTIVITY_UPDATE else None
    asked = frozenset([*some.sample(users, min(len(users), 6)), bytes(16)])
    wanted = Wanted(app_name="shop", kind=kind, activity_id=activity, users=asked)
    assert await store.look_ahead(account, wanted) == await store.missing_users(account, asked)
    for _ in range(some.choice([0, 0, 1, 3])):
        await change(bench, some, users)
    part = frozenset(some.sample(sorted(asked), len(asked) - 1))
    known = await store.look_up(account, structs.replace(wanted, users=part))
    devices = {user: found for user, found in known.devices.items() if found}
    assert devices == await store.devices_of_users(account, "shop", part, kind=kind, activity_id=activity)


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_read_ahead_is_what_planning_would_read(tmp_path: Path, seed: int) -> None:
    """Devices come, move, are quarantined and go, users are deleted between accepting and planning."""
    some, users = random.Random(seed), list[bytes]()
    async with opened(tmp_path) as bench:
        await bench.app()
        for _ in range(STEPS):
            await change(bench, some, users)
            await plan(bench, some, users)


@pytest.mark.parametrize("seed", range(4))
async def test_one_question_says_what_many_say(tmp_path: Path, seed: int) -> None:
    """Devices come, move, are quarantined and go, users are deleted: each look-up is what the store says one by one."""
    some, users = random.Random(seed), list[bytes]()
    async with opened(tmp_path) as bench:
        await bench.app()
        await bench.app(type=CredentialType.APN_SANDBOX)  # with both, every environment decides
        for _ in range(STEPS):
            await change(bench, some, users)
            await check(bench, some, users)
