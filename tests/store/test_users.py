"""Users, by id and by the caller's own name for them."""

from __future__ import annotations

import asyncio

import pytest
from support.stores import Bench, known_environments, token_of

from heliogram.domain.errors import Code, Conflict, NotFound
from heliogram.ports import Window

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def shop(bench: Bench) -> None:
    """The app that devices register with."""
    await bench.app()


async def named(bench: Bench, *names: str) -> dict[str, bytes]:
    return await bench.store.users_by_external_id(bench.account, names)


async def test_an_external_id_makes_its_user_once(bench: Bench) -> None:
    """The first registration makes the user, the next ones find it, whatever their case says."""
    first = await bench.device(token_of(1), external_id="alice")
    second = await bench.device(token_of(2), external_id="alice")
    other = await bench.device(token_of(3), external_id="Alice")
    assert (first.created_user, second.created_user, other.created_user) == (True, False, True)
    assert (second.registration_id, second.slot) == (first.registration_id, 2)
    assert await named(bench, "alice", "Alice", "bob") == {"alice": first.user_id, "Alice": other.user_id}
    assert await named(bench) == {}


async def test_a_token_moves_to_the_named_user(bench: Bench) -> None:
    """Somebody logs in on a phone that nobody, or somebody else, had."""
    nobody = await bench.device(token_of(1))
    alice = await bench.device(token_of(1), external_id="alice")
    bob = await bench.device(token_of(1), external_id="bob")
    assert len({nobody.user_id, alice.user_id, bob.user_id}) == 3
    assert await bench.store.devices_of_users(bench.account, "shop", [nobody.user_id, alice.user_id]) == {}


async def test_a_user_without_a_name_is_given_one(bench: Bench) -> None:
    """With both, the id is the user and the name is set on it; again it is the same."""
    made = await bench.device(token_of(1))
    bench.clock.advance(1)
    for _ in range(2):
        again = await bench.device(token_of(1), made.user_id, external_id="alice")
        assert (again.user_id, again.created_user) == (made.user_id, False)
    user = await bench.store.get_user(bench.account, made.user_id)
    assert user is not None
    assert (user.external_id, user.updated - user.created, user.deleted) == ("alice", 1000, None)


async def test_two_names_that_differ_are_refused(bench: Bench) -> None:
    """Another user has it, or the user has another: 409, and nothing is registered."""
    alice = await bench.device(token_of(1), external_id="alice")
    bob = await bench.device(token_of(2), external_id="bob")
    nameless = await bench.device(token_of(3))
    for user, name in ((bob.user_id, "alice"), (nameless.user_id, "alice"), (alice.user_id, "carol")):
        with pytest.raises(Conflict) as raised:
            await bench.device(token_of(4), user, external_id=name)
        assert (raised.value.code, raised.value.path) == (Code.EXTERNAL_ID_TAKEN, "$.externalId")
    with pytest.raises(NotFound):
        await bench.device(token_of(4), bench.ids.new(), external_id="dave")
    assert await named(bench, "carol", "dave") == {}
    assert await known_environments(bench.store, bench.account, "shop", [token_of(4)]) == {}


async def test_a_race_for_a_name_makes_one_user(bench: Bench) -> None:
    """Fifty launches at once with one new name."""
    made = await asyncio.gather(*(bench.device(token_of(n), external_id="alice") for n in range(50)))
    assert len({each.user_id for each in made}) == 1
    assert sum(each.created_user for each in made) == 1


async def test_a_user_is_named_renamed_and_unnamed(bench: Bench) -> None:
    """A name is free again once its user gave it up."""
    store, account = bench.store, bench.account
    alice, bob = (await bench.device(token_of(1))).user_id, (await bench.device(token_of(2))).user_id
    for name in ("alice", "alice", "al"):
        assert await store.name_user(account, alice, name, bench.clock.ms)
    assert await named(bench, "alice", "al") == {"al": alice}
    with pytest.raises(Conflict) as raised:
        await store.name_user(account, bob, "al", bench.clock.ms)
    assert raised.value.code is Code.EXTERNAL_ID_TAKEN
    assert await store.name_user(account, alice, None, bench.clock.ms)
    assert await store.name_user(account, bob, "al", bench.clock.ms)
    assert not await store.name_user(account, bench.ids.new(), "carol", bench.clock.ms)
    assert not await store.name_user(bench.ids.new(), bob, "carol", bench.clock.ms)


async def test_a_user_is_made_on_demand(bench: Bench) -> None:
    """For who has no device yet."""
    user = await bench.store.ensure_user(bench.account, "alice", bench.clock.ms)
    assert await bench.store.ensure_user(bench.account, "alice", bench.clock.ms) == user
    assert (await bench.device(token_of(1), external_id="alice")).user_id == user


async def test_a_deleted_user_has_nothing_and_can_be_read(bench: Bench) -> None:
    """Registrations and devices go in all apps; the entry stays, with the time; nothing is sent to it."""
    await bench.app("news")
    store, account = bench.store, bench.account
    made = await bench.device(token_of(1), external_id="alice")
    second = await bench.device(token_of(2), made.user_id, app_name="news")
    other = await bench.device(token_of(3), external_id="bob")
    bench.clock.advance(1)
    assert await store.delete_user(account, made.user_id, bench.clock.ms)
    assert not await store.delete_user(account, made.user_id, bench.clock.ms)
    user = await store.get_user(account, made.user_id)
    assert user is not None
    assert (user.deleted, user.updated, user.external_id) == (bench.clock.ms, bench.clock.ms, "alice")
    for registration in (made.registration_id, second.registration_id):
        assert await store.get_registration(account, registration) is None
    assert await store.missing_users(account, [made.user_id, other.user_id]) == {made.user_id}
    assert set(await named(bench, "alice", "bob")) == {"bob"}
    assert not await store.name_user(account, made.user_id, "a", bench.clock.ms)
    with pytest.raises(NotFound):
        await bench.device(token_of(1), made.user_id)


async def test_a_deleted_users_name_and_tokens_start_anew(bench: Bench) -> None:
    """The same name is another user, and a later deletion of that one is no clash."""
    first = await bench.device(token_of(1), external_id="alice")
    await bench.store.delete_user(bench.account, first.user_id, bench.clock.ms)
    second = await bench.device(token_of(1), external_id="alice")
    assert (second.created_user, second.user_id != first.user_id, second.slot) == (True, True, 1)
    assert await bench.store.delete_user(bench.account, second.user_id, bench.clock.ms)


async def test_users_are_listed_newest_first(bench: Bench) -> None:
    """In pages, deleted ones too; by name only the one that has it."""
    made = []
    for number in range(3):
        bench.clock.advance(1)
        made.append((await bench.device(token_of(number), external_id=f"u{number}")).user_id)
    store, account = bench.store, bench.account
    await store.delete_user(account, made[1], bench.clock.ms)
    first = await store.list_users(account, Window(limit=2))
    rest = await store.list_users(account, Window(limit=2, after=first.next))
    assert [user.id for user in first.items + rest.items] == made[::-1]
    assert rest.next is None
    only = await store.list_users(account, Window(), external_id="u2")
    assert [user.id for user in only.items] == [made[2]]
    assert (await store.list_users(account, Window(after=made[2]), external_id="u2")).items == ()
    assert (await store.list_users(account, Window(), external_id="u1")).items == ()


async def test_many_names_are_found_at_once(bench: Bench) -> None:
    """One query for a whole send."""
    made = await asyncio.gather(*(bench.device(token_of(n), external_id=f"u{n}") for n in range(600)))
    found = await named(bench, *(f"u{n}" for n in range(700)))
    assert found == {f"u{n}": each.user_id for n, each in enumerate(made)}


async def test_another_account_has_its_own_names(bench: Bench) -> None:
    """A name of this account says nothing to another one."""
    made = await bench.device(token_of(1), external_id="alice")
    stranger, store = bench.ids.new(), bench.store
    assert await store.users_by_external_id(stranger, ["alice"]) == {}
    assert await store.get_user(stranger, made.user_id) is None
    assert (await store.list_users(stranger, Window())).items == ()
    assert (await store.list_users(stranger, Window(), external_id="alice")).items == ()
    assert not await store.delete_user(stranger, made.user_id, bench.clock.ms)
