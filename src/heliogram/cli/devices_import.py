"""`heliogram devices import`: the devices in a file, registered as their apps would."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bulk_file import require_regular
from .device_file import DIALECTS, Devices, Line
from .numbers import Whole
from .remote import Link, connected, words
from .showing import plural

if TYPE_CHECKING:
    from ..client import Heliogram

MAX_PARALLEL = 64
WINDOW = 256
"""Lines that are under way together: what is told of a stop is exact to the line."""
RETRIES = 12
SHOWN = 20
_NAMES = re.compile("[A-Z]")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--app", required=True, metavar="NAME", help="The app that the tokens are of.")
@click.option("--from", "dialect", type=click.Choice(sorted(DIALECTS)), help="The file is that service's export.")
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl"]), help="Default: by the file's name.")
@click.option(
    "--environment", type=click.Choice(["production", "sandbox"]), help="Of lines that do not say. Default: APNs tells."
)
@click.option("--skip-bad-lines", is_flag=True, help="Name the bad lines and register the others.")
@click.option("--from-line", type=Whole(1), default=1, metavar="N", help="Begin there: what a stopped run says.")
@click.option("--parallel", type=Whole(1, MAX_PARALLEL), default=8, show_default=True, help="Requests at once.")
@click.option("--dry-run", is_flag=True, help="Look at every line; register nothing.")
@connected
def import_(link: Link, file: Path, dry_run: bool, **options: Any) -> None:
    """Register the devices in a CSV or JSONL file.

    The columns are token, and as far as they are known userId or externalId (your own name for the user), environment,
    installationId, locale, timeZone, appVersion, kind and activityId:

    \b
      token,externalId,environment
      9f86d081884c7d65…,user-42,production

    \b
      heliogram devices import devices.csv --app shop --dry-run
      heliogram devices import users.csv --app shop --from onesignal

    Every line is looked at before the first request. A device that is there already is renewed, so the same command may
    be run again.
    """
    require_regular(file)
    job = Job(link, Devices(file, options["kind"], options["dialect"]), options)
    job.look_through()
    if not dry_run:
        job.go()
    job.tell(dry=dry_run)


class Refused(Exception):
    """The service has something against one line."""


class Job:
    """One file on its way."""

    def __init__(self, link: Link, source: Devices, options: dict[str, Any]) -> None:
        self.link, self.source = link, source
        self.app: str = options["app"]
        self.environment: str | None = options["environment"]
        self.skips: bool = options["skip_bad_lines"]
        self.first: int = options["from_line"]
        self.parallel: int = options["parallel"]
        self.good = self.bad = self.registered = self.refused = 0
        self.skipped = Counter[str]()

    def __repr__(self) -> str:
        return f"Job({self.source!r}, registered={self.registered} of {self.good})"

    def look_through(self) -> None:
        """Judges every line. Without --skip-bad-lines a bad one ends it here."""
        for line in self.source.lines():
            if line.number < self.first:
                continue
            if line.skipped:
                self.skipped[line.skipped] += 1
            elif not line.problem:
                self.good += 1
            else:
                self.bad += 1
                if self.skips or self.bad <= SHOWN:
                    self._complain(line, line.problem)
        if self.bad and not self.skips:
            if self.bad > SHOWN:
                click.echo(f"… and {self.bad - SHOWN:,} more", err=True)
            cure = "mend them, or register the others with --skip-bad-lines"
            raise click.ClickException(f"{plural(self.bad, 'bad line')}; nothing was registered: {cure}")
        if not self.good:
            raise click.ClickException(f"{self.source.file}: there is no device in it; nothing was registered")

    def go(self) -> None:
        """Registers one after the other, some at once."""
        from ..client import HeliogramError
        from .progress import Progress

        lines, at = self._good_lines(), self.first
        with (
            Progress(unit="devices") as progress,
            self.link.client(retries=RETRIES, pause=time.sleep) as client,
            ThreadPoolExecutor(self.parallel) as pool,
        ):
            try:
                client.health.get()  # asked once: a wrong address is told at once
                while window := list(islice(lines, WINDOW)):
                    at = window[0].number
                    for line, refusal in zip(
                        window, pool.map(lambda each: self._one(client, each), window), strict=True
                    ):
                        self._count(line, refusal)
                    progress.at(self.registered + self.refused, self.good)
            except (HeliogramError, Refused, KeyboardInterrupt) as error:
                pool.shutdown(cancel_futures=True)
                raise click.ClickException(self._stopped(error, at)) from None

    def _good_lines(self) -> Iterator[Line]:
        return (line for line in self.source.lines() if line.device and line.number >= self.first)

    def _one(self, client: Heliogram, line: Line) -> str:
        """Registers one device. What the service has against this line, or nothing; raises what concerns all."""
        from ..client import Environment, HeliogramError, TokenKind

        told: dict[str, Any] = {
            _NAMES.sub(lambda big: "_" + big[0].lower(), name): text for name, text in line.device.items()
        }
        environment = told.pop("environment", self.environment)
        told["environment"] = None if environment is None else Environment(environment)
        told["kind"] = TokenKind(told.get("kind", "alert"))
        try:
            client.registrations.create(self.app, told.pop("token"), **told)
        except HeliogramError as error:
            concerns_all = any(each.context == "$.appName" for each in error.errors)
            if error.status not in (400, 404, 409) or concerns_all:
                raise
            if not self.skips:
                raise Refused(f"{self.source.file}:{line.number}: {words(error, self.link)}") from None
            return words(error, self.link)
        return ""

    def _count(self, line: Line, refusal: str) -> None:
        if refusal:
            self.refused += 1
            self._complain(line, refusal)
        else:
            self.registered += 1

    def _complain(self, line: Line, problem: str) -> None:
        click.echo(f"{self.source.file}:{line.number}: {problem}", err=True)

    def _stopped(self, error: BaseException, at: int) -> str:
        from ..client import HeliogramError

        why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        if isinstance(error, HeliogramError):
            why = words(error, self.link)
        done = f"{self.registered:,} of {plural(self.good, 'device')} were registered"
        return f"{why}\n{done}; to go on, run the same command with --from-line {at}"

    def tell(self, *, dry: bool) -> None:
        """The totals. Ends with 1 when the service refused some."""
        from .options import print_json

        left_out = self.bad + self.refused
        if self.link.as_json:
            told = {"devices": self.good, "registered": self.registered, "refused": self.refused}
            print_json({**told, "badLines": self.bad, "skipped": dict(self.skipped)})
        elif dry:
            click.echo(f"would register {plural(self.good, 'device')}; nothing was registered")
        else:
            click.echo(f"registered {plural(self.registered, 'device')}")
        if not self.link.as_json:
            for why, count in sorted(self.skipped.items()):
                click.echo(f"  {count:,} {why}")
            if left_out:
                click.echo(f"{plural(left_out, 'line')} left out; they are named above")
        if self.refused:
            raise SystemExit(1)
