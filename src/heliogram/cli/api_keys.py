"""`heliogram api-keys`: on the data directory, beside a running service or without one; or at one over its API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..domain.accounts import ALL_SCOPES, DEFAULT_GRACE_SECONDS, MAX_GRACE_SECONDS, MAX_KEY_NAME, Scope
from . import api_keys_remote
from .data import Desk, date, on_store, require_printable
from .here_or_there import here_or_there
from .numbers import Whole
from .options import data_option, master_key_option, print_json, store_option
from .remote import yes_option
from .showing import clean

if TYPE_CHECKING:
    from ..domain.accounts import ApiKey
    from ..security import SecretMaker
    from ..settings import Url
    from .remote import Link

DAY_MS = 86_400_000
MAX_DAYS = 3650
_PAGE = 1000

account_option = click.option("--account", metavar="NAME", help="Whose; default: the account of the first start.")


@click.group("api-keys")
def api_keys() -> None:
    """Make, list, rotate and revoke the API keys that back ends call with.

    \b
    On this machine: with --data (./data) or --store, whether `heliogram serve` runs or not; a running one notices
    within a second. Needs no key.
      heliogram api-keys create --data /var/lib/heliogram --name back-end
    At a running service, from anywhere: with --profile, --url or --remote. Needs a key with the scope admin, and
    changes the account of that key alone.
      heliogram api-keys list --profile staging

    Both print the same, with --json too.
    """


@api_keys.command()
@data_option
@store_option
@account_option
@click.option("--name", default="", help="What the key is for; only you read it.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([str(scope) for scope in Scope]),
    multiple=True,
    help="What it may do; give it several times for several. Default: everything.",
)
@click.option("--expires-days", type=Whole(1, MAX_DAYS), help="Let it expire so many days from now.")
@master_key_option
@here_or_there
def create(
    link: Link | None,
    data: Path,
    store: Url | None,
    account: str | None,
    name: str,
    scopes: tuple[str, ...],
    expires_days: int | None,
    master_key: Path | None,
    as_json: bool,
) -> None:
    """Make a key. Its secret is shown this once and kept nowhere.

    \b
    Use it as HTTP Basic:
      curl -u 'keyId:secret' http://127.0.0.1:8080/v1/PushNotifications/Apps
    """
    require_printable(name, "--name")
    if len(name) > MAX_KEY_NAME:
        raise click.UsageError(f"--name: expected at most {MAX_KEY_NAME} characters, got {len(name)}")
    wanted = [scope for scope in ALL_SCOPES if not scopes or scope in scopes]
    if link is not None:
        _show_secret(*api_keys_remote.create(link, name, wanted, expires_days), as_json)
        return

    async def work(desk: Desk) -> tuple[str, str]:
        owner = await desk.account(account)
        expires = None if expires_days is None else desk.now + expires_days * DAY_MS
        key, secret = _maker(desk, data, store, master_key).api_key(
            owner.id, name=name, scopes=wanted, created=desk.now, expires=expires
        )
        event = desk.event("apiKey.created", _id(key), name=name, scopes=wanted, expiresAt=date(expires))
        await desk.store.create_api_key(owner.id, key, audit=event)
        return _id(key), secret

    _show_secret(*on_store(data, store, work, make=True), as_json)


@api_keys.command("list")
@data_option
@store_option
@account_option
@here_or_there
def list_(link: Link | None, data: Path, store: Url | None, account: str | None, as_json: bool) -> None:
    """List the keys, newest first, ended ones too; never a secret."""
    rows = api_keys_remote.rows(link) if link else on_store(data, store, lambda desk: _rows(desk, account))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        ended = row["revokedAt"] or row["expiresAt"]
        state = {"active": f"until {ended}" if ended else "active"}.get(row["state"], f"{row['state']} {ended}")
        click.echo(
            f"{row['keyId']}  {state:<28}  made {row['createdAt']}  {','.join(row['scopes'])}  {clean(row['name'])}"
        )


@api_keys.command()
@click.argument("key_id")
@data_option
@store_option
@yes_option
@here_or_there
def revoke(link: Link | None, key_id: str, data: Path, store: Url | None, yes: bool, as_json: bool) -> None:
    """End a key; a running service refuses it within a second.

    A running service keeps an account's last admin key: that one can be ended on its machine alone.
    """
    raw = _raw(key_id)
    if link is not None:
        api_keys_remote.revoke(link, key_id, yes=yes)
        _tell_revoked(key_id, as_json)
        return

    async def work(desk: Desk) -> bool:
        found = await desk.store.find_caller(raw)
        if found is None or not found.key.good_at(desk.now):
            return False
        event = desk.event("apiKey.revoked", key_id, name=found.key.name)
        return await desk.store.revoke_api_key(found.account.id, raw, desk.now, audit=event)

    if not on_store(data, store, work):
        raise _no_active(key_id, data)
    _tell_revoked(key_id, as_json)


@api_keys.command()
@click.argument("key_id")
@data_option
@store_option
@click.option(
    "--grace-seconds",
    type=Whole(0, MAX_GRACE_SECONDS),
    default=DEFAULT_GRACE_SECONDS,
    show_default=True,
    help="How long the old key goes on beside the new one.",
)
@master_key_option
@here_or_there
def rotate(
    link: Link | None,
    key_id: str,
    data: Path,
    store: Url | None,
    grace_seconds: int,
    master_key: Path | None,
    as_json: bool,
) -> None:
    """Make a successor with the same name and scopes, and let the old key expire. The secret is shown this once.

    \b
      heliogram api-keys rotate key_01h9krwprkeee8fzqspvwy6nq8 --grace-seconds 3600
    """
    raw = _raw(key_id)
    if link is not None:
        _show_secret(*api_keys_remote.rotate(link, key_id, grace_seconds), as_json)
        return

    async def work(desk: Desk) -> tuple[str, str] | None:
        found = await desk.store.find_caller(raw)
        if found is None:
            return None
        old, owner = found.key, found.account.id
        key, secret = _maker(desk, data, store, master_key).api_key(
            owner, name=old.name, scopes=old.scopes, created=desk.now, expires=old.successor_expires(desk.now)
        )
        ends = desk.now + 1000 * grace_seconds
        event = desk.event("apiKey.rotated", key_id, successor=_id(key), expiresAt=date(ends))
        done = await desk.store.rotate_api_key(owner, raw, key, ends, audit=event)
        return (_id(key), secret) if done else None

    made = on_store(data, store, work)
    if made is None:
        raise _no_active(key_id, data)
    _show_secret(*made, as_json)


def _maker(desk: Desk, data: Path, store: Url | None, master_key: Path | None) -> SecretMaker:
    from ..security import KeyHasher, RegistrationTokens, SecretMaker, load_master_key

    ring = load_master_key(data, file=master_key, make=store is None)
    return SecretMaker(desk.ids, KeyHasher(ring), RegistrationTokens(ring))


def _tell_revoked(key_id: str, as_json: bool) -> None:
    if as_json:
        print_json({"keyId": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


def _show_secret(key_id: str, secret: str, as_json: bool) -> None:
    if as_json:
        print_json({"keyId": key_id, "secret": secret})
        return
    click.echo(f"keyId   {key_id}\nsecret  {secret}")
    click.echo("The secret is not kept anywhere: store it now.", err=True)


async def _rows(desk: Desk, account: str | None) -> list[dict[str, Any]]:
    from ..ports import Window

    owner = await desk.account(account)
    rows: list[dict[str, Any]] = []
    after: bytes | None = None
    while True:
        page = await desk.store.list_api_keys(owner.id, Window(limit=_PAGE, after=after))
        rows += [_row(key, desk.now) for key in page.items]
        if page.next is None:
            return rows
        after = page.next


def _row(key: ApiKey, now: int) -> dict[str, Any]:
    return {
        "keyId": _id(key),
        "name": key.name,
        "scopes": [str(scope) for scope in key.scopes],
        "state": key.state_at(now),
        "createdAt": date(key.created),
        "expiresAt": date(key.expires),
        "lastUsedAt": date(key.last_used),
        "revokedAt": date(key.revoked),
    }


def _id(key: ApiKey) -> str:
    from ..domain import ids

    return ids.encode(ids.API_KEY, key.id)


def _raw(key_id: str) -> bytes:
    from ..domain import ids

    try:
        return ids.decode(ids.API_KEY, key_id)
    except ids.InvalidId as error:
        raise click.UsageError(f"KEY_ID: {error}") from None


def _no_active(key_id: str, data: Path) -> click.ClickException:
    return click.ClickException(f"there is no active key {key_id}; see: heliogram api-keys list --data {data}")
