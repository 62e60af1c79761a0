"""`heliogram check`: is the database whole?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from .data import as_json_option
from .options import data_option, print_json, store_option

if TYPE_CHECKING:
    from ..settings import Url
    from ..store.sqlite.check import Findings


@click.command()
@data_option
@store_option
@click.option(
    "--backup",
    "backup_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check this backup in place of the database in --data.",
)
@click.option("--full", is_flag=True, help="Look at every operation and registration, not at a sample: it takes long.")
@as_json_option
def check(data: Path, store: Url | None, backup_file: Path | None, full: bool, as_json: bool) -> None:
    """Check the database of --data, that of --store, or a backup. Reads only; works beside a running service.

    Looks for damage (every page, row and index), references to what is not there, the owner and the schema; then that
    counters make up what results say, that every chunk has recipients, and that slots of devices are given once. It
    takes as long as reading the file; what a service writes meanwhile stays in its log until the end.

    On PostgreSQL damage of pages is pg_amcheck's; beside all the rest it looks at the schema's every part, at invalid
    indexes, at the coming days' partitions, and at leases that nobody takes over.

    \b
    Exit code: 0 all is well, 1 there are problems (one line each on standard output), 2 wrong usage.
    """
    shared = None if backup_file is not None else _shared(store)
    place, findings = _of_server(shared, full) if shared is not None else _of_file(data, backup_file, full)
    if as_json:
        _print(findings, place, full, is_file=shared is None)
    else:
        for line in findings.problems:
            click.echo(line)
        _summary(findings, place, is_file=shared is None)
    raise SystemExit(1 if findings.problems else 0)


def _shared(store: Url | None) -> Url | None:
    """The database that is meant: one that the environment or the file names is not where --data is given."""
    source = click.get_current_context().get_parameter_source
    said = source("store") is ParameterSource.COMMANDLINE
    named = source("data") not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return store if said or not named else None


def _of_file(data: Path, backup_file: Path | None, full: bool) -> tuple[str, Findings]:
    from ..datadir import DATABASE
    from ..store.sqlite.check import examine

    file = data / DATABASE if backup_file is None else backup_file
    if not file.is_file():
        raise click.UsageError(f"there is no database in {data}: give the directory of `heliogram serve` with --data")
    return str(file), examine(file, full=full)


def _of_server(url: Url, full: bool) -> tuple[str, Findings]:
    from ..store.errors import StoreError

    try:
        from ..store.postgres.check import examine
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"--store {url} needs {error.name}, which is not installed: pip install 'heliogram[server,cluster]'"
        ) from None
    try:
        return str(url), examine(url.text, full=full, progress=_progress(full))
    except StoreError as error:
        raise click.ClickException(str(error)) from None


def _progress(full: bool) -> Callable[[str], object]:
    """Says how far it is, where that may take long."""
    return (lambda line: click.echo(line, err=True)) if full else (lambda line: None)


def _summary(findings: Findings, place: str, *, is_file: bool) -> None:
    for note in findings.notes:
        click.echo(f"note: {note}", err=True)
    if findings.problems:
        cure = "heliogram restore" if is_file else "pg_restore"
        click.echo(f"{place}: {len(findings.problems)} problems; a backup can be restored: {cure}", err=True)
    else:
        looked_at = f"{findings.operations:,} operations, {findings.registrations:,} registrations"
        click.echo(f"{place} is well: schema {findings.schema}, {looked_at} looked at")


def _print(findings: Findings, place: str, full: bool, *, is_file: bool) -> None:
    print_json(
        {
            "file" if is_file else "store": place,
            "ok": not findings.problems,
            "problems": findings.problems,
            "notes": findings.notes,
            "schema": findings.schema,
            "full": full,
            "operations": findings.operations,
            "registrations": findings.registrations,
        }
    )
