"""What a small send looks up on PostgreSQL is foreseen, and asked in one round trip; where it was not, it is right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import FakeClock
from support.stores import Bench, open_postgres, opened, recipients_of, token_of

from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.devices import NewDevice, TokenKind
from heliogram.domain.lookups import Known, Wanted
from heliogram.store.errors import StoreClosed
from heliogram.store.postgres.foresight import FEW
from heliogram.store.postgres.link import Link

pytestmark = pytest.mark.anyio

ALERT = TokenKind.ALERT


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A store, and an app with a credential."""
    async with opened(tmp_path, open_postgres, FakeClock()) as made:
        await made.app()
        yield made


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the server, one round trip each."""
    found: list[str] = []
    execute, command = Link.execute, Link.command

    async def noted_execute(self: Link, statement: str, values: Any) -> Any:
        found.append(statement)
        return await execute(self, statement, values)

    async def noted_command(self: Link, text: str) -> None:
        found.append(text)
        await command(self, text)

    monkeypatch.setattr(Link, "execute", noted_execute)
    monkeypatch.setattr(Link, "command", noted_command)
    return found


async def look(bench: Bench, steps: list[str], **what: Any) -> tuple[Known, int]:
    """What is known, and in how many round trips it came."""
    steps.clear()
    known = await bench.store.look_up(bench.account, Wanted(app_name=None, kind=ALERT, **what))
    return known, len(steps)


async def registered(bench: Bench, number: int, environment: Environment, user: bytes | None = None) -> bytes:
    """A device; its user."""
    device = NewDevice(
        app_name="shop", provider=ProviderName.APN, token=token_of(number), environment=environment, user_id=user
    )
    return (await bench.store.register_device(bench.account, device, bench.clock.ms)).user_id


async def test_what_a_send_to_one_needs_comes_in_one_round_trip(bench: Bench, steps: list[str]) -> None:
    """The app, and what is known of its token or of its user, once the account's apps were seen."""
    user = await registered(bench, 1, Environment.PRODUCTION)
    await look(bench, steps, tokens=frozenset({token_of(2)}))
    known, trips = await look(bench, steps, tokens=frozenset({token_of(2)}))
    assert (known.app and known.app.name, trips) == ("shop", 1)
    known, trips = await look(bench, steps, users=frozenset({user}), missing=True)
    assert ([each.token for each in known.devices[user]], trips) == ([token_of(1)], 1)


async def test_an_app_that_changes_is_seen_at_once(bench: Bench, steps: list[str]) -> None:
    """Another default credential means other questions: they are asked."""
    await look(bench, steps, tokens=frozenset({token_of(1)}))
    await registered(bench, 1, Environment.SANDBOX)
    await bench.app(type=CredentialType.APN_SANDBOX)
    known, trips = await look(bench, steps, tokens=frozenset({token_of(1)}))
    assert known.environments == {token_of(1): Environment.SANDBOX}
    assert trips > 1


async def test_users_without_devices_are_missing_or_not(bench: Bench, steps: list[str]) -> None:
    """Who has no device is looked for in a second step: one is there and one is not."""
    await look(bench, steps)
    there, nobody = await registered(bench, 1, Environment.PRODUCTION), bench.ids.new()
    known, _ = await look(bench, steps, users=frozenset({there, nobody}), missing=True)
    assert set(known.devices) == {there}
    assert known.missing == {nobody}


async def test_what_is_asked_at_one_moment_is_asked_as_one(bench: Bench, steps: list[str]) -> None:
    """Twenty look-ups in two round trips, and each is told what it asked for and nothing else."""
    users = [await registered(bench, number, Environment.PRODUCTION) for number in range(19)] + [bench.ids.new()]
    await look(bench, steps, users=frozenset({users[0]}), missing=True)

    async def ask(user: bytes) -> Known:
        wanted = Wanted(app_name=None, kind=ALERT, users=frozenset({user}), missing=True)
        return await bench.store.look_up(bench.account, wanted)

    steps.clear()
    found = await asyncio.gather(*map(ask, users[:19]))
    assert len(steps) == 2
    assert [list(known.devices) for known in found] == [[user] for user in users[:19]]
    found = await asyncio.gather(*map(ask, users))
    assert [known.missing for known in found] == [frozenset()] * 19 + [frozenset({users[19]})]


async def test_who_asks_no_more_keeps_nobody_waiting(bench: Bench, steps: list[str]) -> None:
    """Neither the first nor one of those that are asked for together."""
    await look(bench, steps)
    asking = [asyncio.ensure_future(look(bench, steps, tokens=frozenset({token_of(n)}))) for n in range(4)]
    await asyncio.sleep(0)
    asking[0].cancel()
    asking[2].cancel()
    for each in (asking[1], asking[3]):
        assert (await each)[0].app is not None


async def test_what_is_wrong_is_told_to_all(bench: Bench) -> None:
    """A store that is closed."""
    wanted = Wanted(app_name=None, kind=ALERT)
    await bench.store.close()
    found = await asyncio.gather(
        *[bench.store.look_up(bench.account, wanted) for _ in range(3)], return_exceptions=True
    )
    assert [type(each) for each in found] == [StoreClosed] * 3


async def test_large_sends_ask_one_by_one(bench: Bench, steps: list[str]) -> None:
    """Of more than so many recipients the answers are what takes time."""
    tokens = [each.token for each in recipients_of(FEW + 1) if each.token]
    await look(bench, steps)
    assert (await look(bench, steps, tokens=frozenset(tokens[:FEW])))[1] == 1
    assert (await look(bench, steps, tokens=frozenset(tokens)))[1] > 1
