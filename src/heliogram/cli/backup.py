"""`heliogram backup` and `heliogram restore`: copies of the database, made beside a running service."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .data import as_json_option
from .options import data_option, elsewhere_option, print_json, require_embedded

if TYPE_CHECKING:
    from ..store.sqlite.backup import Progress

KEY_MISSING = """\
The master key is NOT in the backup: whoever has both can read every secret. Without it the backup's API keys and
credentials cannot be used. Keep a copy of {key} elsewhere."""

AFTER_RESTORE = """\
What was sent after the backup was made is not known here:
  - what was waiting then goes out at the next start, also if it went out or was canceled since. It carries the same
    apns-id and collapse id as before; a phone replaces what it still shows.
  - API keys, credentials and accounts that were revoked or disabled since are good again: end them again, with
    `heliogram api-keys revoke` and `heliogram accounts disable` before the start, over the API after it.
  - devices that registered since are missing until their app starts again; webhooks are told some
    things again."""


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@data_option
@elsewhere_option
@as_json_option
def backup(dest: Path, data: Path, store: str | None, as_json: bool) -> None:
    """Copy the database into the new file DEST, whether `heliogram serve` runs or not.

    The copy is of one moment, whole or not there at all, readable for its owner alone, and one file. Sending goes on
    meanwhile. The master key is never in it: keep a copy of it elsewhere, once.

    \b
    Every night:
      heliogram backup /backups/heliogram-$(date +%F).db --data /var/lib/heliogram

    Nodes on PostgreSQL are backed up with pg_dump.
    """
    from ..datadir import DATABASE
    from ..security.masterkey import FILE_NAME
    from ..store.sqlite.backup import back_up

    require_embedded(store, "pg_dump --format=custom backs it up while all nodes run")
    source = data / DATABASE
    if not source.is_file():
        raise click.ClickException(
            f"there is no database in {data}: give the directory of `heliogram serve` with --data"
        )
    with _told(), _shown("copying") as progress:
        size = back_up(source, dest, progress)
    if as_json:
        print_json({"file": str(dest), "bytes": size})
    else:
        click.echo(f"backed up {source} to {dest} ({size:,} bytes)")
    click.echo(KEY_MISSING.format(key=data / FILE_NAME), err=True)


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_option
@click.option("--replace", is_flag=True, help="Take the place of the database that is there; it is kept beside.")
@elsewhere_option
@as_json_option
def restore(source: Path, data: Path, replace: bool, store: str | None, as_json: bool) -> None:
    """Make the database of --data out of the backup SOURCE, while no service runs on it.

    The backup is checked first (damage, owner, schema) and brought up to this version; nothing is touched if it is not
    good. Work that was leased is given back. With --replace the old database stays beside, under another name.

    What was sent after the backup was made may be sent again: it says more at its end.
    """
    from ..datadir import DATABASE, own_data_directory
    from ..store.sqlite.backup import Restoring, require_ours
    from ..store.sqlite.connection import opened_read_only

    require_embedded(store, "stop all nodes, and pg_restore into an empty database")
    target = data / DATABASE
    with _told():
        with opened_read_only(source) as connection:
            require_ours(connection, source)
        with own_data_directory(data):
            if target.exists() and source.samefile(target):
                raise click.UsageError(f"SOURCE: {source} is the database in {data} itself")
            if target.exists() and not replace:
                raise click.ClickException(
                    f"there is a database in {data}: say --replace to keep it beside, or move it"
                )
            now = datetime.now(UTC)
            made = Restoring(source, data / f"{DATABASE}.restoring", target)
            with _shown("restoring") as progress:
                restored = made.run(int(now.timestamp() * 1000), now.strftime("%Y%m%dT%H%M%SZ"), progress)
    kept = None if restored.kept is None else str(restored.kept)
    if as_json:
        print_json(
            {
                "file": str(target),
                "schema": restored.schema,
                "wasSchema": restored.was_schema,
                "waitingRecipients": restored.recipients,
                "kept": kept,
            }
        )
    else:
        click.echo(f"restored {target} from {source}: {restored.recipients:,} recipients wait to be sent to")
        if kept is not None:
            click.echo(f"the old database is {kept}")
    click.echo(AFTER_RESTORE, err=True)
    _warn_of_missing_key(data)


def _warn_of_missing_key(data: Path) -> None:
    from ..security.masterkey import FILE_NAME

    if not (data / FILE_NAME).exists():
        click.echo(
            f"There is no {data / FILE_NAME}: put the copy of the backed up service's key there before the start (mode"
            " 0600), unless it comes from elsewhere. A new one would open none of the stored secrets.",
            err=True,
        )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What is wrong is said without a traceback."""
    from ..datadir import StartError
    from ..store.errors import StoreError

    try:
        yield
    except (StartError, StoreError) as error:
        raise click.ClickException(str(error)) from None


@contextlib.contextmanager
def _shown(word: str) -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=word, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(1, total)
            bar.update(done - bar.pos)

        yield show
