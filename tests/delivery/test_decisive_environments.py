"""Of tokens' environments only those are looked up that decide something, and what is sent stays the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.stores import Bench, known_environments, opened, token_of

from heliogram.delivery.choices import Credentials
from heliogram.delivery.plan import Plan, Progress
from heliogram.domain.apps import CredentialType, Environment
from heliogram.domain.devices import TokenKind
from heliogram.domain.lookups import Wanted
from heliogram.domain.notifications import Content, Recipient, SendSpec

pytestmark = pytest.mark.anyio

PRODUCTION, SANDBOX = Environment.PRODUCTION, Environment.SANDBOX
APN, APN_SANDBOX = CredentialType.APN, CredentialType.APN_SANDBOX
ORDERS: list[tuple[Environment | None, ...]] = [
    (),
    (None,),
    (PRODUCTION,),
    (SANDBOX,),
    (PRODUCTION, SANDBOX),
    (SANDBOX, PRODUCTION),
]
"""In which environments a token was registered, one after another."""
TOKENS = [token_of(number) for number in range(len(ORDERS))]


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """An app whose tokens are in every state there is."""
    async with opened(tmp_path) as made:
        await made.app()
        for token, order in zip(TOKENS, ORDERS, strict=True):
            user = None
            for environment in order:
                made.clock.advance(1)
                user = (await made.device(token, user, environment=environment)).user_id
        yield made


def wanted(credential: bytes | None = None) -> Wanted:
    return Wanted(app_name="shop", kind=TokenKind.ALERT, tokens=frozenset(TOKENS), credential=credential)


def planned(credentials: Credentials, environments: dict[bytes, Environment]) -> Plan:
    plan = Plan(SendSpec(app_name="shop", content=Content(body="hello")), credentials, now=1)
    recipients = list(enumerate(Recipient(token=token) for token in TOKENS))
    plan.take(recipients, range(len(recipients)), {}, environments, Progress([]))
    return plan


@pytest.mark.parametrize("types", [(APN,), (APN_SANDBOX,), (APN, APN_SANDBOX)])
async def test_what_is_sent_is_the_same_as_if_all_were_known(bench: Bench, types: tuple[CredentialType, ...]) -> None:
    """Whichever credentials the app has, every token gets the credential and environment that it would get."""
    store = bench.store
    app = await store.get_app(bench.account, "shop")
    assert app is not None
    kept = {each.type: each.id for each in app.default_credentials}
    if APN_SANDBOX in types:
        kept[APN_SANDBOX] = (await bench.app(type=APN_SANDBOX)).id
    if APN not in types:
        await store.delete_credential(bench.account, kept.pop(APN), bench.clock.ms)
    known = await store.look_up(bench.account, wanted())
    assert known.app is not None
    credentials = Credentials({each.type: each.id for each in known.app.default_credentials})
    assert credentials.defaults == kept
    everything = await known_environments(store, bench.account, "shop", TOKENS)
    some, all_ = planned(credentials, known.environments), planned(credentials, everything)
    assert (some.targets, some.records) == (all_.targets, all_.records)
    assert some.targets


async def test_one_credential_for_production_asks_for_the_sandbox_alone(bench: Bench) -> None:
    """Tokens of production may be millions, and are sent to it whether or not that is known."""
    known = await bench.store.look_up(bench.account, wanted())
    assert known.environments == {TOKENS[3]: SANDBOX, TOKENS[4]: SANDBOX, TOKENS[5]: PRODUCTION}


async def test_a_named_credential_decides_alone(bench: Bench) -> None:
    """Nothing of the tokens is asked, and what is sent is the same."""
    named = await bench.app(type=APN_SANDBOX)
    known = await bench.store.look_up(bench.account, wanted(named.id))
    assert known.environments == {}
    everything = await known_environments(bench.store, bench.account, "shop", TOKENS)
    credentials = Credentials({}, named.id, APN_SANDBOX)
    some, all_ = planned(credentials, {}), planned(credentials, everything)
    assert (some.targets, some.records) == (all_.targets, all_.records)
