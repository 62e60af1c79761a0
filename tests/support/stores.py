"""Stores for tests, real ones in temporary files, and short ways to fill them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.clock import FakeClock
from support.postgres import ReadyClock, server

from heliogram.domain.apps import Credential, CredentialForm, CredentialType, Environment, ProviderName
from heliogram.domain.devices import NewDevice, Registered, TokenKind
from heliogram.domain.ids import IdFactory
from heliogram.domain.lookups import RefusedToken
from heliogram.domain.notifications import Content, Recipient, SendSpec
from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.ports import Store
from heliogram.store.postgres import PostgresStore
from heliogram.store.sqlite import SqliteStore
from heliogram.store.sqlite.base import Base
from heliogram.store.sqlite.refused import refused_of
from heliogram.store.sqlite.registrations import environments_of

StoreFactory = Callable[[Path, IdFactory, FakeClock], Awaitable[Store]]


async def open_sqlite(directory: Path, ids: IdFactory, clock: FakeClock) -> Store:
    """The embedded store in `directory`."""
    return await SqliteStore.open(directory / "heliogram.db", ids=ids, clock=clock)


async def open_postgres(directory: Path, ids: IdFactory, clock: FakeClock) -> Store:
    """A store in the database that stands for `directory`; its connections are few, as the tests' server has to do."""
    url = await server().database_for(directory)
    return await PostgresStore.open(url, ids=ids, clock=clock, pool_size=8, pauses=ReadyClock())


FACTORIES: dict[str, StoreFactory] = {"sqlite": open_sqlite, "postgres": open_postgres}
"""Every store there is, for the conformance suite."""
CHOSEN = os.environ.get("HELIOGRAM_TEST_STORE", "sqlite")
"""The store below the tests of the API, unless one names its own: `HELIOGRAM_TEST_STORE=postgres pytest tests/api`."""
in_the_file = pytest.mark.skipif(CHOSEN != "sqlite", reason="it looks into the embedded store's file")


class Bench:
    """An open store with its clock, ids and the default account."""

    def __init__(self, store: Store, clock: FakeClock, ids: IdFactory, account: bytes) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.account = account

    async def app(
        self,
        name: str = "shop",
        type: CredentialType = CredentialType.APN,  # noqa: A002
        **public: Any,
    ) -> Credential:
        """An app, by its first credential; `public` is what that shows beside its ids."""
        made = self.credential(name, type)
        made = replace(made, public={**made.public, **public})
        return await self.store.create_credential(self.account, made, b"sealed")

    def credential(
        self,
        app_name: str = "shop",
        type: CredentialType = CredentialType.APN,  # noqa: A002
        *,
        is_default: bool = False,
    ) -> Credential:
        """A credential that is not kept yet."""
        return Credential(
            account_id=self.account,
            id=self.ids.new(),
            app_name=app_name,
            type=type,
            form=CredentialForm.TOKEN,
            public={"keyId": "ABCDE12345", "teamId": "TEAM123456", "bundleId": "com.example.shop"},
            is_default=is_default,
            created=self.clock.ms,
            updated=self.clock.ms,
        )

    async def device(
        self,
        token: bytes,
        user: bytes | None = None,
        *,
        app_name: str = "shop",
        environment: Environment | None = None,
        provider: ProviderName = ProviderName.APN,
        **more: Any,
    ) -> Registered:
        """Registers a device now; `more` is what else a `NewDevice` has."""
        new = NewDevice(
            app_name=app_name, token=token, provider=provider, user_id=user, environment=environment, **more
        )
        return await self.store.register_device(self.account, new, self.clock.ms)

    def operation(self, recipients: list[Recipient], *, app_name: str = "shop") -> Operation:
        """An operation that is not accepted yet."""
        return Operation(
            account_id=self.account,
            id=self.ids.new(),
            spec=SendSpec(app_name=app_name, content=Content(body="hello")),
            lane=Lane.of(len(recipients)),
            recipients=len(recipients),
            status=OperationStatus.PROCESSING,
            created=self.clock.ms,
            updated=self.clock.ms,
        )

    async def accept(
        self,
        recipients: list[Recipient],
        *,
        app_name: str = "shop",
        size: int = 500,
        send_at: int | None = None,
        **changes: Any,
    ) -> Operation:
        """An accepted operation, scheduled when it has a time (ms) to be sent at."""
        operation = self.operation(recipients, app_name=app_name)
        if send_at is not None:
            changes |= {"status": OperationStatus.SCHEDULED, "send_at": send_at, "send_at_text": "then"}
        operation = msgspec.structs.replace(operation, **changes)
        await self.store.accept(self.account, operation, cut(operation.id, recipients, size))
        return operation


def token_of(number: int) -> bytes:
    """A device token, another one for each number."""
    return number.to_bytes(32, "big")


def recipients_of(count: int) -> list[Recipient]:
    """Direct recipients with tokens 0, 1, …"""
    return [Recipient(token=token_of(n)) for n in range(count)]


async def known_environments(
    store: Store, account: bytes, app_name: str, tokens: Iterable[bytes]
) -> dict[bytes, Environment]:
    """The environments that are known of tokens, all of them: a look-up leaves out what decides nothing."""
    assert isinstance(store, Base)
    where, wanted = {"account": account, "app": app_name}, sorted(set(tokens))
    if not wanted:
        return {}
    return await store._read(lambda c: environments_of(c, where, wanted, store._array))


async def refused_tokens(
    store: Store, account: bytes, app_name: str, tokens: Iterable[bytes], *, kind: TokenKind, now: int
) -> dict[bytes, list[RefusedToken]]:
    """Which of these tokens the provider refused for good, asked by itself."""
    assert isinstance(store, Base)
    wanted = sorted(set(tokens))
    if not wanted:
        return {}
    where = {"account": account, "app": app_name, "tokens": store._array(wanted)}
    return await store._read(lambda c: refused_of(c, where, kind, now))


@asynccontextmanager
async def opened(
    directory: Path, factory: StoreFactory = open_sqlite, clock: FakeClock | None = None
) -> AsyncIterator[Bench]:
    """A store in `directory`, closed at the end; opening the same directory again finds what was kept."""
    clock = clock or FakeClock()
    ids = IdFactory(lambda: clock.ms)
    store = await factory(directory, ids, clock)
    try:
        account = await store.default_account()
        yield Bench(store, clock, ids, account.id)
    finally:
        await store.close()
