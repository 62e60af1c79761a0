"""`heliogram accounts`: the tenants of an instance, on its data directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..domain.accounts import ACCOUNT_NAME, MAX_WEIGHT
from .data import Desk, as_json_option, date, on_store
from .numbers import Number, Whole
from .options import data_option, print_json, store_option

if TYPE_CHECKING:
    from ..domain.accounts import Account, AccountLimits
    from ..settings import Url


@click.group()
def accounts() -> None:
    """Make, list, limit and disable the accounts of an instance. Nothing of one can be seen from another.

    Works on the data directory, whether `heliogram serve` runs or not; a running one notices within a second.
    """


@accounts.command()
@click.argument("name")
@data_option
@store_option
@as_json_option
def create(name: str, data: Path, store: Url | None, as_json: bool) -> None:
    """Make an account. NAME: 1 to 64 of a-z, 0-9, '-' and '_'. Then: heliogram api-keys create --account NAME"""
    if not ACCOUNT_NAME.fullmatch(name):
        raise click.UsageError("NAME: expected 1 to 64 of a-z, 0-9, '-' and '_', the first a letter or digit")

    async def work(desk: Desk) -> Account:
        from ..domain.accounts import Account

        account = Account(id=desk.ids.new(), name=name, created=desk.now)
        await desk.store.create_account(account, audit=desk.event("account.created", _id(account), name=name))
        return account

    account = on_store(data, store, work, make=True)
    if as_json:
        print_json(_row(account))
    else:
        click.echo(f"made the account {name} ({_id(account)})")


@accounts.command("list")
@data_option
@store_option
@as_json_option
def list_(data: Path, store: Url | None, as_json: bool) -> None:
    """List the accounts, the oldest first, with their limits."""
    rows = on_store(data, store, _rows)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = f"disabled {row['disabledAt']}" if row["disabledAt"] else "active"
        click.echo(f"{row['name']:<24}  {state:<30}  made {row['createdAt']}  {_words(row['limits'])}")


@accounts.command()
@click.argument("name")
@data_option
@store_option
@click.option("--apps", type=Whole(1, 10_000), help="How many apps it may have (10).")
@click.option("--credentials-per-app", type=Whole(1, 1000), help="How many credentials an app may have (10).")
@click.option("--requests-per-second", type=Number(0.01, 100_000), help="How fast it may call (as fast as it likes).")
@click.option("--burst", type=Whole(1, 1_000_000), help="How many requests may come at once (a second's worth).")
@click.option("--unlimited", is_flag=True, help="Let it call as fast as it likes again.")
@click.option(
    "--weight",
    type=Whole(1, MAX_WEIGHT),
    help="Its share of the sending when several accounts have something to send (1).",
)
@as_json_option
def limits(
    name: str,
    data: Path,
    store: Url | None,
    apps: int | None,
    credentials_per_app: int | None,
    requests_per_second: float | None,
    burst: int | None,
    unlimited: bool,
    weight: int | None,
    as_json: bool,
) -> None:
    """Show an account's limits, and set those that are given. They act within a second."""
    if unlimited and (requests_per_second is not None or burst is not None):
        raise click.UsageError("--unlimited: leave out --requests-per-second and --burst with it")
    wanted: dict[str, Any] = {
        "apps": apps,
        "credentials_per_app": credentials_per_app,
        "requests_per_second": requests_per_second,
        "burst": burst,
        "weight": weight,
    }
    changes = {key: value for key, value in wanted.items() if value is not None}
    if unlimited:
        changes.update(requests_per_second=None, burst=None)
    row = on_store(data, store, lambda desk: _limit(desk, name, changes))
    if as_json:
        print_json(row)
    else:
        click.echo(f"{name}: {_words(row['limits'])}")


@accounts.command()
@click.argument("name")
@data_option
@store_option
def disable(name: str, data: Path, store: Url | None) -> None:
    """Refuse all keys and registration tokens of an account. What it had accepted is still sent."""
    on_store(data, store, lambda desk: _disable(desk, name, since=desk.now))
    click.echo(f"disabled {name}")


@accounts.command()
@click.argument("name")
@data_option
@store_option
def enable(name: str, data: Path, store: Url | None) -> None:
    """Let an account in again."""
    on_store(data, store, lambda desk: _disable(desk, name, since=None))
    click.echo(f"enabled {name}")


async def _rows(desk: Desk) -> list[dict[str, Any]]:
    return [_row(account) for account in await desk.store.list_accounts()]


async def _limit(desk: Desk, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    import msgspec

    account = await desk.account(name)
    if changes:
        account = msgspec.structs.replace(account, limits=msgspec.structs.replace(account.limits, **changes))
        event = desk.event("account.limited", _id(account), **_limits(account.limits))
        await desk.store.limit_account(account.id, account.limits, audit=event)
    return _row(account)


async def _disable(desk: Desk, name: str, *, since: int | None) -> None:
    account = await desk.account(name)
    if (account.disabled is None) == (since is None):
        return
    event = desk.event("account.enabled" if since is None else "account.disabled", _id(account), name=name)
    await desk.store.disable_account(account.id, since, audit=event)


def _id(account: Account) -> str:
    from ..domain import ids

    return ids.encode(ids.ACCOUNT, account.id)


def _row(account: Account) -> dict[str, Any]:
    return {
        "id": _id(account),
        "name": account.name,
        "limits": _limits(account.limits),
        "createdAt": date(account.created),
        "disabledAt": date(account.disabled),
    }


def _limits(limits: AccountLimits) -> dict[str, Any]:
    return {
        "apps": limits.apps,
        "credentialsPerApp": limits.credentials_per_app,
        "requestsPerSecond": limits.requests_per_second,
        "burst": limits.burst,
        "weight": limits.weight,
    }


def _words(limits: dict[str, Any]) -> str:
    rate = limits["requestsPerSecond"]
    speed = "any number of requests" if rate is None else f"{rate:g} requests/s"
    burst = f", {limits['burst']} at once" if rate is not None and limits["burst"] is not None else ""
    weight = f", weight {limits['weight']}" if limits["weight"] != 1 else ""
    return f"{limits['apps']} apps, {limits['credentialsPerApp']} credentials each, {speed}{burst}{weight}"
