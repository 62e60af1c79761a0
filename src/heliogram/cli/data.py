"""Commands that work on a store, beside running services or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ..domain.accounts import Account, AuditEvent
    from ..domain.ids import IdFactory
    from ..ports import Clock, Store
    from ..settings import Url

T = TypeVar("T")

ACTOR = "cli"
"""Who changes things here, in the audit log."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Desk:
    """An open store with the time and ids for changing it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        from ..domain.ids import IdFactory

        self.store = store
        self.now = int(clock.time() * 1000)
        self.ids: IdFactory = IdFactory(lambda: self.now)

    def __repr__(self) -> str:
        return f"Desk({self.store!r})"

    def event(self, action: str, subject: str, **detail: Any) -> AuditEvent:
        """An entry of the audit log."""
        from ..domain.accounts import AuditEvent

        return AuditEvent(id=self.ids.new(), at=self.now, actor=ACTOR, action=action, subject=subject, detail=detail)

    async def account(self, name: str | None) -> Account:
        """The account of that name, or the one that the first start made. Says so when there is none."""
        if name is None:
            return await self.store.default_account()
        account = await self.store.account_named(name)
        if account is None:
            raise click.ClickException(f"there is no account named {name!r}; see: heliogram accounts list")
        return account


def on_store(data: Path, store: Url | None, work: Callable[[Desk], Awaitable[T]], *, make: bool = False) -> T:
    """Opens a store, that of a data directory unless one is named, does the work, closes it; what is wrong is said
    without a traceback."""
    from ..backing import open_place
    from ..datadir import StartError
    from ..domain.errors import DomainError
    from ..observe import log as logs
    from ..security import MasterKeyError
    from ..store.errors import StoreError

    logs.configure(level="warning")  # on standard error: what is asked for is alone on standard output

    async def run() -> T:
        async with open_place(data, store, make=make) as (opened, clock):
            return await work(Desk(opened, clock))

    try:
        return asyncio.run(run())
    except (StartError, StoreError, MasterKeyError, DomainError) as error:
        raise click.ClickException(str(error)) from None


def date(ms: int | None) -> str | None:
    """A moment as people and programs read it."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def require_printable(text: str, option: str) -> None:
    """Refuses bytes that are no text: they come as surrogates, which no database takes."""
    if not text.isprintable():
        raise click.UsageError(f"{option}: expected printable text in the terminal's encoding")
