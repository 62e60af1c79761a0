"""`heliogram check`: is the database whole?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .data import as_json_option
from .options import data_option, elsewhere_option, print_json, require_embedded

if TYPE_CHECKING:
    from ..store.sqlite.check import Findings


@click.command()
@data_option
@click.option(
    "--backup",
    "backup_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check this backup in place of the database in --data.",
)
@click.option("--full", is_flag=True, help="Look at every operation and registration, not at a sample: it takes long.")
@elsewhere_option
@as_json_option
def check(data: Path, backup_file: Path | None, full: bool, store: str | None, as_json: bool) -> None:
    """Check the database of --data, or a backup. Reads only; works beside a running service.

    Looks for damage (every page, row and index), references to what is not there, the owner and the schema; then that
    counters make up what results say, that every chunk has recipients, and that slots of devices are given once. It
    takes as long as reading the file; what a service writes meanwhile stays in its log until the end.

    \b
    Exit code: 0 all is well, 1 there are problems (one line each on standard output), 2 wrong usage.
    """
    from ..datadir import DATABASE
    from ..store.sqlite.check import examine

    if backup_file is None:
        require_embedded(store, "pg_amcheck looks for damage there")
    file = data / DATABASE if backup_file is None else backup_file
    if not file.is_file():
        raise click.UsageError(f"there is no database in {data}: give the directory of `heliogram serve` with --data")
    findings = examine(file, full=full)
    if as_json:
        _print(findings, file, full)
    else:
        for line in findings.problems:
            click.echo(line)
        _summary(findings, file)
    raise SystemExit(1 if findings.problems else 0)


def _summary(findings: Findings, file: Path) -> None:
    for note in findings.notes:
        click.echo(f"note: {note}", err=True)
    if findings.problems:
        click.echo(f"{file}: {len(findings.problems)} problems; a backup can be restored: heliogram restore", err=True)
    else:
        looked_at = f"{findings.operations:,} operations, {findings.registrations:,} registrations"
        click.echo(f"{file} is well: schema {findings.schema}, {looked_at} looked at")


def _print(findings: Findings, file: Path, full: bool) -> None:
    print_json(
        {
            "file": str(file),
            "ok": not findings.problems,
            "problems": findings.problems,
            "notes": findings.notes,
            "schema": findings.schema,
            "full": full,
            "operations": findings.operations,
            "registrations": findings.registrations,
        }
    )
