"""`heliogram api-keys`: works on the data directory, beside a running service or without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from .options import FILE, data_option, print_json

T = TypeVar("T")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group("api-keys")
def api_keys() -> None:
    """Make, list and revoke the API keys that back ends call with.

    Works on the data directory, whether `heliogram serve` runs or not; a running one notices within a second.
    """


@api_keys.command()
@data_option
@click.option("--name", default="", help="What the key is for; only you read it.")
@click.option("--master-key", type=FILE, help="As given to `heliogram serve`; default: made once in --data.")
@as_json_option
def create(data: Path, name: str, master_key: Path | None, as_json: bool) -> None:
    """Make a key. Its secret is shown this once and kept nowhere.

    \b
    Use it as HTTP Basic:
      curl -u 'keyId:secret' http://127.0.0.1:8080/v1/PushNotifications/Apps
    """
    if not name.isprintable():  # bytes that are no text come as surrogates, which no database takes
        raise click.UsageError("--name: expected printable text in the terminal's encoding")

    from ..domain.ids import IdFactory
    from ..security import KeyHasher, load_master_key, new_api_key

    async def work(store: Any, clock: Any) -> tuple[str, str]:
        now = int(clock.time() * 1000)
        account = (await store.default_account()).id
        hasher = KeyHasher(load_master_key(data, file=master_key))
        made = new_api_key(IdFactory(lambda: now), hasher, account=account, name=name, created=now)
        await store.create_api_key(account, made.key)
        return made.key_id, made.secret

    key_id, secret = _on_store(data, work, make=True)
    if as_json:
        print_json({"keyId": key_id, "secret": secret})
        return
    click.echo(f"keyId   {key_id}\nsecret  {secret}")
    click.echo("The secret is not kept anywhere: store it now.", err=True)


@api_keys.command("list")
@data_option
@as_json_option
def list_(data: Path, as_json: bool) -> None:
    """List the keys, newest first, revoked ones too; never a secret."""

    async def work(store: Any, _clock: Any) -> list[Any]:
        account = (await store.default_account()).id
        from ..ports import Window

        return list((await store.list_api_keys(account, Window(limit=100_000))).items)

    rows = [_row(key) for key in _on_store(data, work)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = f"revoked {row['revokedAt']}" if row["revokedAt"] else "active"
        click.echo(f"{row['keyId']}  {state:<28}  made {row['createdAt']}  {row['name']}")


@api_keys.command()
@click.argument("key_id")
@data_option
@as_json_option
def revoke(key_id: str, data: Path, as_json: bool) -> None:
    """End a key; a running service refuses it within a second."""
    from ..domain import ids

    try:
        raw = ids.decode(ids.API_KEY, key_id)
    except ids.InvalidId as error:
        raise click.UsageError(f"KEY_ID: {error}") from None

    async def work(store: Any, clock: Any) -> bool:
        account = (await store.default_account()).id
        return bool(await store.revoke_api_key(account, raw, int(clock.time() * 1000)))

    if not _on_store(data, work):
        raise click.ClickException(f"there is no active key {key_id}; see: heliogram api-keys list --data {data}")
    if as_json:
        print_json({"keyId": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


def _row(key: Any) -> dict[str, Any]:
    from ..domain import ids

    return {
        "keyId": ids.encode(ids.API_KEY, key.id),
        "name": key.name,
        "scopes": [str(scope) for scope in key.scopes],
        "createdAt": _date(key.created),
        "revokedAt": _date(key.revoked),
    }


def _date(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _on_store(data: Path, work: Callable[[Any, Any], Awaitable[T]], *, make: bool = False) -> T:
    """Opens the store of a data directory, does the work, closes it; what is wrong is said without a traceback."""
    from ..app import StartError, open_store
    from ..security import MasterKeyError
    from ..store.errors import StoreError

    async def run() -> T:
        async with open_store(data, make=make) as (store, clock):
            return await work(store, clock)

    try:
        return asyncio.run(run())
    except (StartError, StoreError, MasterKeyError) as error:
        raise click.ClickException(str(error)) from None
