"""`heliogram migrate-store`: from one machine's database to one that several nodes share."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..settings import STORE_SCHEMES, SettingsError, Url
from .data import as_json_option
from .options import FILE, print_json

if TYPE_CHECKING:
    from ..moving import Moved

WORTH_A_LINE = 1_000
"""Rows of a table that a line is said about where no terminal shows them counted."""
_PHASES = {
    "changes": "copying what changed meanwhile …",
    "indexes": "making indexes …",
    "compare": "comparing all rows …",
    "last": "copying the last changes; nobody else may write now …",
}


class SourceType(click.ParamType[Path]):
    """`sqlite:DIRECTORY`."""

    name = "sqlite:directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The data directory of a command-line word."""
        if isinstance(value, Path):
            return value
        scheme, colon, place = str(value).partition(":")
        if scheme != "sqlite" or not colon or not place:
            self.fail("expected sqlite: and the data directory of `heliogram serve`, such as sqlite:/var/lib/heliogram")
        path = Path(place)
        return path.parent if path.is_file() else path


class TargetType(click.ParamType[Url]):
    """`postgresql://user@host/database`."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Url:
        """The address of a command-line word."""
        if isinstance(value, Url):
            return value
        try:
            return Url.parse(str(value), option="--to", schemes=STORE_SCHEMES)
        except SettingsError as error:
            self.fail(str(error).split(": ", 1)[1], param, ctx)


class Teller:
    """Says how far it is: lines for people, or JSON."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stdout.isatty() and not as_json

    def __repr__(self) -> str:
        return f"Teller(json={self._as_json})"

    def __call__(self, event: str, /, **values: Any) -> None:
        """Prints one event."""
        if self._as_json:
            print_json({"event": event, **values})
        elif event == "progress":
            self._progress(values)
        else:
            line = _line(event, values)
            if line is not None:
                click.echo(line)

    def _progress(self, at: dict[str, Any]) -> None:
        line = (
            f"  {at['table']} {at['tableRows']:,}; in all {at['rows']:,} of {at['ofRows']:,} rows,"
            f" {at['rowsPerSecond']:,} rows/s, {at['megabytesPerSecond']} MB/s, about {_span(at['secondsLeft'])} left"
        )
        if self._live:
            click.echo(f"\r\x1b[K{line}", nl=False)
            if at["secondsLeft"] == 0:
                click.echo()
        elif at["tableDone"] and at["tableRows"] >= WORTH_A_LINE:
            click.echo(line)


def _line(event: str, at: dict[str, Any]) -> str | None:
    if event == "copying":
        return f"copying {at['rows']:,} rows, {at['megabytes']:,} MB{' (going on)' if at['goesOn'] else ''} …"
    if event == "phase":
        return _PHASES.get(at["phase"])
    if event == "round":
        return f"  {at['changes']:,} changes in {at['seconds']} s"
    if event == "compared" and at["rows"] >= WORTH_A_LINE:
        return f"  {at['table']}: {at['rows']:,} rows are the same on both sides"
    if event == "waiting":
        who = f"the service (process {at['pid']})" if at["pid"] else "the service"
        done = f"asked {who} to stop" if at["stops"] else f"all is copied but for what changes: now stop {who}"
        return f"{done}; waiting for its end …"
    return None


def _span(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@click.command("migrate-store")
@click.option("--from", "source", type=SourceType(), required=True, help="sqlite: and the data directory.")
@click.option("--to", "target", type=TargetType(), help="An empty database: postgresql://user@host/database.")
@click.option("--master-key", type=FILE, help="As the service has it, if it does.")
@click.option("--stop-service", is_flag=True, help="Stop the service by SIGTERM when all but the last is copied.")
@click.option("--compare-twice", is_flag=True, help="Compare all rows once more while the service stands still.")
@click.option(
    "--abort", "give_up", is_flag=True, help="Give a move up: the data directory is as if there had been none."
)
@as_json_option
def migrate_store(
    source: Path,
    target: Url | None,
    master_key: Path | None,
    stop_service: bool,
    compare_twice: bool,
    give_up: bool,
    as_json: bool,
) -> None:
    """Move a running instance from its data directory into a PostgreSQL database.

    Copies while the service runs, then what changed meanwhile, and compares both sides. When little is left it waits
    for the service to be stopped (or stops it, --stop-service) and copies the rest: so long nothing is accepted or
    sent.
    From then on `serve` refuses the old directory, and nodes run on the database.

    Whenever it is interrupted, also by kill -9: run it again, and it goes on. A database that holds anything else is
    refused. With --json each line is an event, the last one `moved`.

    \b
    heliogram migrate-store --from sqlite:/var/lib/heliogram --to postgresql://push@db.internal/push
    """
    from ..datadir import StartError
    from ..observe import log as logs
    from ..security import MasterKeyError
    from ..store.errors import StoreError

    try:
        from ..moving import abort
        from ..moving import migrate_store as move
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"this needs {error.name}, which is not installed: pip install 'heliogram[server,cluster]'"
        ) from None
    logs.configure(level="warning")
    try:
        if give_up:
            asyncio.run(abort(source, target))
            _say_given_up(source, target, as_json)
            return
        if target is None:
            raise click.UsageError("--to: name the database, such as postgresql://push@db.internal/push")
        moved = asyncio.run(
            move(source, target, Teller(as_json), master_key=master_key, stop=stop_service, whole=compare_twice)
        )
    except (StartError, StoreError, MasterKeyError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException(
            "interrupted: run the same command again to go on, or --abort to give it up"
        ) from None
    _say_moved(moved, source, as_json)


def _say_given_up(source: Path, target: Url | None, as_json: bool) -> None:
    if as_json:
        print_json({"event": "aborted"})
        return
    click.echo(f"the move is given up: {source} is served as before")
    if target is not None:
        click.echo(f"{target} is of no use any more: drop it, or make it anew before another move")


def _say_moved(moved: Moved, source: Path, as_json: bool) -> None:
    outcome, key = moved.outcome, moved.key
    rows = {} if outcome is None else outcome.rows
    if as_json:
        print_json(
            {
                "event": "moved",
                "to": moved.place,
                "rows": sum(rows.values()),
                "tables": rows,
                "seconds": round(moved.seconds, 2),
                "pauseSeconds": round(moved.pause_seconds, 2),
                "lastChanges": 0 if outcome is None else outcome.changes,
                "masterKey": {"id": key.first.id.hex(), "source": key.source.value, "where": key.where},
            }
        )
        return
    done = (
        "was moved by the run before" if outcome is None else f"{sum(rows.values()):,} rows are the same on both sides"
    )
    click.echo(f"moved {source} to {moved.place}: {done}")
    if outcome is not None:
        click.echo(f"it took {moved.seconds:.0f} s; between stop and start {moved.pause_seconds:.1f} s were needed")
    click.echo(
        f"""
Start the nodes, each with the same database and the same master key:
  heliogram serve --store {moved.place} --master-key FILE
The master key is {key.first.id.hex()}, from {key.where}: copy it to every node (mode 0600); --master-key,
HELIOGRAM_MASTER_KEY or the systemd credential heliogram-master-key take it.
Keep {source} until all is well. `serve` refuses it from now on."""
    )
