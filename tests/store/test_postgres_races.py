"""Two nodes on one database do the same thing at the same moment: it comes out as if one had come after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path

import pytest
from support.stores import Bench, open_postgres, opened, token_of

from heliogram.domain.devices import Registered
from heliogram.domain.errors import DomainError
from heliogram.ports import KeyTaken, Reserved, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
async def nodes(anyio_backend: str, tmp_path: Path) -> AsyncIterator[tuple[Bench, Bench]]:
    """Two nodes, and an app."""
    async with opened(tmp_path, open_postgres) as one, opened(tmp_path, open_postgres) as two:
        await one.app()
        assert one.account == two.account
        yield one, two


async def test_one_token_is_one_device(nodes: tuple[Bench, Bench]) -> None:
    """Twenty registrations of a new token make one user and one device."""
    made = await asyncio.gather(*(node.device(token_of(1)) for node, _ in zip(cycle(nodes), range(20), strict=False)))
    assert len({(each.registration_id, each.user_id, each.slot) for each in made}) == 1
    assert sum(each.created_user for each in made) == 1


async def test_devices_of_a_user_have_slots_of_their_own(nodes: tuple[Bench, Bench]) -> None:
    """Twelve devices of one user registered at once: twelve slots, one registration."""
    user = (await nodes[0].device(token_of(0))).user_id
    made: list[Registered] = await asyncio.gather(
        *(node.device(token_of(n + 1), user) for node, n in zip(cycle(nodes), range(12), strict=False))
    )
    assert len({each.slot for each in made}) == 12
    assert len({each.registration_id for each in made}) == 1


async def test_two_users_who_want_one_token_leave_one_with_it(nodes: tuple[Bench, Bench]) -> None:
    """A phone that changes hands while both log in: one of them has it, the other has nothing left behind."""
    users = [(await nodes[0].device(token_of(n))).user_id for n in (1, 2)]
    for number in range(10, 15):
        await asyncio.gather(*(node.device(token_of(number), user) for node, user in zip(nodes, users, strict=True)))
        found = await nodes[0].store.devices_of_users(nodes[0].account, "shop", users)
        assert sum(device.token == token_of(number) for devices in found.values() for device in devices) == 1


async def test_a_deleted_user_has_no_device_left(nodes: tuple[Bench, Bench]) -> None:
    """A registration that meets the deletion is refused, or its device goes, too."""
    one, two = nodes
    for number in range(10):
        user = await one.store.ensure_user(one.account, f"user{number}", one.clock.ms)
        results = await asyncio.gather(
            two.device(token_of(number), user),
            one.store.delete_user(one.account, user, one.clock.ms),
            return_exceptions=True,
        )
        assert results[1] is True
        assert results[0].__class__ is Registered or isinstance(results[0], DomainError)
        assert await one.store.devices_of_users(one.account, "shop", [user]) == {}
        assert (await one.store.list_registrations(one.account, Window(), user_id=user)).items == ()


async def test_an_app_has_one_default_credential(nodes: tuple[Bench, Bench]) -> None:
    """Whoever makes the default, however many at once."""
    one, two = nodes
    made = [await one.store.create_credential(one.account, one.credential(), b"sealed") for _ in range(4)]
    jobs = [
        node.store.make_default_credential(node.account, credential.id, node.clock.ms)
        for node, credential in zip((one, two, one, two), made, strict=True)
    ]
    await asyncio.gather(*jobs)
    listed = (await one.store.list_credentials(one.account, Window())).items
    assert sum(credential.is_default for credential in listed) == 1


async def test_limits_hold_for_both_together(nodes: tuple[Bench, Bench]) -> None:
    """An app has at most ten credentials of all kinds together, made at once by whichever node."""
    one, two = nodes
    jobs = [
        node.store.create_credential(node.account, node.credential(), b"sealed")
        for node, _ in zip(cycle((one, two)), range(20), strict=False)
    ]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    listed = (await one.store.list_credentials(one.account, Window(limit=100))).items
    refused = [each for each in results if isinstance(each, DomainError)]
    assert len(listed) + len(refused) == 21
    assert len(listed) == 10


async def test_a_request_is_handled_once(nodes: tuple[Bench, Bench]) -> None:
    """Of those who come with one idempotency key at once one may go on; the rest is told that it is in use."""
    now = nodes[0].clock.ms
    got = await asyncio.gather(
        *(
            node.store.reserve_key(node.account, "key", b"print", ident=node.ids.new(), now=now, until=now + 60_000)
            for node, _ in zip(cycle(nodes), range(20), strict=False)
        )
    )
    assert sum(isinstance(each, Reserved) for each in got) == 1
    assert got.count(KeyTaken.IN_USE) == 19


async def test_an_accounts_name_is_taken_once(nodes: tuple[Bench, Bench]) -> None:
    """External ids are unique among users who are not deleted."""
    users = await asyncio.gather(
        *(
            node.store.ensure_user(node.account, "alice", node.clock.ms)
            for node, _ in zip(cycle(nodes), range(10), strict=False)
        )
    )
    assert len(set(users)) == 1
