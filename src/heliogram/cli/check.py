"""`heliogram check`: is the database whole?"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from .data import as_json_option
from .options import data_option, print_json, store_option

if TYPE_CHECKING:
    from ..settings import Url
    from ..store.sqlite.check import Findings, Progress
    from ..store.sqlite.repair import Repair

COUNT_SECONDS = 5.0
"""How often it is told how much was looked at."""


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
@click.option("--repair", is_flag=True, help="Put right what can be put right safely, then check again.")
@as_json_option
def check(data: Path, store: Url | None, backup_file: Path | None, full: bool, repair: bool, as_json: bool) -> None:
    """Check the database of --data, that of --store, or a backup. Works beside a running service, and reads only unless
    --repair is given.

    Looks for damage (every page, row and index), references to what is not there, the owner and the schema; then that
    counters make up what results say, that every chunk has recipients, and that slots of devices are given once. It
    takes as long as reading the file; what a service writes meanwhile stays in its log until the end.

    On PostgreSQL damage of pages is pg_amcheck's; beside all the rest it looks at the schema's every part, at invalid
    indexes, at the coming days' partitions, and at leases that nobody takes over.

    --repair changes what follows for certain from what is there: counts of what waits, counters that results tell,
    slots, rows that belong to nothing. Each change is told and noted in the audit log. What would be a guess is left as
    it is, with what to do.

    \b
    Exit code: 0 all is well, 1 there are problems (one line each on standard output), 2 wrong usage.
    """
    if repair and backup_file is not None:
        raise click.UsageError("--repair: a backup is never changed; restore it, then repair what was restored")
    from ..observe import log as logs

    shared = None if backup_file is not None else _shared(store)
    desk = _Server(shared) if shared is not None else _File(data, backup_file)
    told = _progress(full or repair or sys.stderr.isatty())
    findings, repaired = desk.examine(full, told), None
    if repair and findings.problems:
        logs.configure(level="warning")  # on standard error: what was put right is alone on standard output
        repaired = desk.repair(findings, told)
        told("checking again")
        findings = desk.examine(full, told)
    if as_json:
        _print(findings, desk, full, repaired)
    else:
        _tell(findings, desk, repair, repaired)
    raise SystemExit(1 if findings.problems else 0)


def _shared(store: Url | None) -> Url | None:
    """The database that is meant: one that the environment or the file names is not where --data is given."""
    source = click.get_current_context().get_parameter_source
    said = source("store") is ParameterSource.COMMANDLINE
    named = source("data") not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return store if said or not named else None


class _File:
    """The embedded database, or a backup."""

    key, cure = "file", "heliogram restore"

    def __init__(self, data: Path, backup_file: Path | None) -> None:
        from ..datadir import DATABASE

        self._data = data
        self._file = data / DATABASE if backup_file is None else backup_file
        self.place = str(self._file)
        if not self._file.is_file():
            raise click.UsageError(
                f"there is no database in {data}: give the directory of `heliogram serve` with --data"
            )

    def examine(self, full: bool, told: Progress) -> Findings:
        from ..store.sqlite.check import examine

        return examine(self._file, full=full, progress=told)

    def repair(self, findings: Findings, told: Progress) -> Repair:
        from ..datadir import StartError, require_here
        from ..store.errors import StoreError
        from ..store.sqlite.repair import repair_file

        try:
            require_here(self._data)
            return repair_file(self._file, findings, _now(), told)
        except (StartError, StoreError) as error:
            raise click.ClickException(str(error)) from None


class _Server:
    """A PostgreSQL database."""

    key, cure = "store", "pg_restore"

    def __init__(self, url: Url) -> None:
        self._url = url
        self.place = str(url)

    def examine(self, full: bool, told: Progress) -> Findings:
        from ..store.errors import StoreError

        try:
            from ..store.postgres.check import examine
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"--store {self._url} needs {error.name}, which is not installed:"
                " pip install 'heliogram[server,cluster]'"
            ) from None
        try:
            return examine(self._url.text, full=full, progress=told)
        except StoreError as error:
            raise click.ClickException(str(error)) from None

    def repair(self, findings: Findings, told: Progress) -> Repair:
        from ..store.errors import StoreError
        from ..store.postgres.repair import repair_database

        try:
            return repair_database(self._url.text, findings, _now(), told)
        except StoreError as error:
            raise click.ClickException(str(error)) from None


def _now() -> int:
    from ..observe.clock import SystemClock

    return int(SystemClock().time() * 1000)


def _progress(aloud: bool) -> Progress:
    """Says how far it is, where that may take long; counts at most every few seconds."""
    last = -COUNT_SECONDS

    def tell(line: str) -> None:
        nonlocal last
        if line[:1].isdigit():
            now = time.monotonic()
            if now - last < COUNT_SECONDS:
                return
            last = now
        click.echo(line, err=True)

    return tell if aloud else lambda _: None


def _tell(findings: Findings, desk: _File | _Server, repair: bool, repaired: Repair | None) -> None:
    from ..store.cures import cure_of

    for line in repaired.done if repaired is not None else ():
        click.echo(f"repaired: {line}")
    for line in findings.problems:
        click.echo(line)
        if repair:
            click.echo(f"  not repaired: {cure_of(line)}", err=True)
    for line in repaired.refused if repaired is not None else ():
        click.echo(f"not repaired: {line}", err=True)
    for note in findings.notes:
        click.echo(f"note: {note}", err=True)
    if findings.problems:
        ways = f"a backup can be restored: {desk.cure}"
        if not repair and not findings.beyond_repair:
            ways = f"--repair puts right what can be, and {ways}"
        click.echo(f"{desk.place}: {len(findings.problems)} problems; {ways}", err=True)
    else:
        looked_at = f"{findings.operations:,} operations, {findings.registrations:,} registrations"
        click.echo(f"{desk.place} is well: schema {findings.schema}, {looked_at} looked at")


def _print(findings: Findings, desk: _File | _Server, full: bool, repaired: Repair | None) -> None:
    from ..store.cures import cure_of

    shown = {
        desk.key: desk.place,
        "ok": not findings.problems,
        "problems": findings.problems,
        "notes": findings.notes,
        "schema": findings.schema,
        "full": full,
        "operations": findings.operations,
        "registrations": findings.registrations,
    }
    if repaired is not None:
        cures = {line: cure_of(line) for line in findings.problems}
        shown |= {"repaired": repaired.done, "refused": repaired.refused, "cures": cures}
    print_json(shown)
