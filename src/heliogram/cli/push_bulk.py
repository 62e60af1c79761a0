"""`heliogram push bulk`: one notification to everybody in a file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .bulk_file import Line, Source, require_regular
from .bulk_problems import Refusal, complain, failing, may_be_left_out, refusals, without
from .content import content_of, content_options, plain_variables
from .numbers import Whole
from .operations import outcome, tags_of
from .remote import Link, connected, words
from .showing import clean, plural

if TYPE_CHECKING:
    from ..client import Content, Heliogram, HeliogramError, OperationAccepted, Stats, Trial
    from .progress import Progress

MAX_BATCH = 10_000
MAX_BYTES = 8 * 2**20
"""Of the recipients of one request, as JSON; the service takes 16 MiB."""
RETRIES = 12
SHOWN = 20
"""Bad lines that are told one by one."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--template", metavar="TEXT", help="The text, the same as --body: 'Hi {{ name }}'.")
@content_options
@click.option("--app", metavar="NAME", help="Who sends. Default: the default app.")
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl"]), help="Default: by the file's name.")
@click.option("--skip-bad-lines", is_flag=True, help="Send to the others, and write the bad lines to a file.")
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), help="That file; default: FILE.rejects.csv."
)
@click.option("--batch", type=Whole(1, MAX_BATCH), default=MAX_BATCH, show_default=True, help="Lines a request.")
@click.option("--ttl", type=Whole(0), metavar="SECONDS", help="How long it is worth delivering.")
@click.option("--send-at", metavar="TIME", help="Later: a date-time with its offset, 2026-03-19T09:30:00+01:00.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="To find it again.")
@click.option("--run", default="", metavar="NAME", help="Another name sends the same file anew within 24 hours.")
@click.option("--dry-run", is_flag=True, help="Check the file and let the service check it all; send nothing.")
@click.option("--wait", is_flag=True, help="Wait for the outcomes. Exit code 0 if all were accepted by APNs, else 1.")
@connected
def bulk(
    link: Link,
    file: Path,
    template: str | None,
    kind: str | None,
    tags: tuple[str, ...],
    dry_run: bool,
    wait: bool,
    **options: Any,
) -> None:
    """Send to everybody in a CSV or JSONL file.

    One column is token, userId or externalId (your own names for users), the others are variables for the template:

    \b
      externalId,name,points
      user-42,Ann,1200
      user-43,Bob,80

    \b
      heliogram push bulk users.csv --app shop --template "Hi {{ name }}, you have {{ points }} points" --dry-run
      heliogram push bulk users.csv --app shop --template "Hi {{ name }}, you have {{ points }} points" --wait

    Every line is looked at before the first request. When it is interrupted, run the same command again: within 24
    hours nothing that was accepted is sent twice.
    """
    if template is not None and options["body"] is not None:
        raise click.UsageError("--template is the same as --body: give one of them")
    options["body"] = options["body"] if template is None else template
    require_regular(file)
    content, source = content_of(options), Source(file, kind)
    more = {"app": options["app"], "ttl": options["ttl"], "send_at": options["send_at"], "tags": tags_of(tags)}
    with ExitStack() as stack:
        job = Job(link, source, content, more, options, stack)
        job.look_through()
        if dry_run:
            job.go(dry=True)
        else:
            job.go()
            if wait:
                job.wait()
        job.tell(dry=dry_run)


class Job:
    """One file on its way."""

    def __init__(
        self,
        link: Link,
        source: Source,
        content: Content,
        more: dict[str, Any],
        options: dict[str, Any],
        stack: ExitStack,
    ) -> None:
        self.link, self.source, self.content, self.more = link, source, content, more
        self.batch: int = options["batch"]
        self.skips: bool = options["skip_bad_lines"]
        self.run: str = options["run"]
        self.rejects: Path = options["rejects"] or _beside(source.file)
        if self.rejects.exists() and self.rejects.samefile(source.file):
            raise click.UsageError("--rejects: expected another file than the one that is sent to: it is written anew")
        self.good = self.bad = self.accepted = self.repeated = self.refused = self.warned = 0
        self.operations: list[str] = []
        self.outcomes: dict[str, int] = {}
        self._stack = stack
        self._reject: Any = None

    def __repr__(self) -> str:
        return f"Job({self.source!r}, accepted={self.accepted} of {self.good})"

    def look_through(self) -> None:
        """Judges every line. Without --skip-bad-lines a bad one ends it here."""
        for line in self.source.lines():
            if line.recipient is not None:
                self.good += 1
                continue
            self.bad += 1
            if self.bad <= SHOWN:
                self._complain(line, line.problem)
        if self.bad > SHOWN:
            click.echo(f"… and {self.bad - SHOWN:,} more", err=True)
        if self.bad and not self.skips:
            cure = "mend them, or send to the others with --skip-bad-lines"
            raise click.ClickException(f"{plural(self.bad, 'bad line')}; nothing was sent: {cure}")
        if not self.good:
            raise click.ClickException(f"{self.source.file}: there is nobody in it; nothing was sent")
        self._require_columns()
        self.bad = 0  # they are counted as they are written to the rejects

    def _complain(self, line: Line, problem: str) -> None:
        complain(self.source.file, line, problem)

    def _require_columns(self) -> None:
        """Refuses a template with a plain {{ name }} that no line has: mostly a slip of the pen."""
        for name in plain_variables(self.content):
            if name not in self.source.columns:
                have = clean(", ".join(self.source.columns))
                cure = f"say {{{{ {name} | default: '…' }}}} if that is meant"
                raise click.UsageError(f"{{{{ {name} }}}}: {self.source.file} has no column {name!r} ({have}); {cure}")

    def go(self, *, dry: bool = False) -> None:
        """Sends all of it, request by request; or, dry, lets the service check it."""
        from ..client import HeliogramError
        from .progress import Progress

        with Progress(unit="recipients") as progress:

            def pause(seconds: float) -> None:
                progress.at(self.accepted, self.good, f"the service asks to wait {seconds:.0f} s")
                time.sleep(seconds)

            with self.link.client(retries=RETRIES, pause=pause) as client:
                try:
                    client.health.get()  # asked once: a wrong address is told at once
                    for lines in self._batches():
                        self._send(client, lines, dry=dry)
                        progress.at(self.accepted, self.good)
                    self.repeated = client.repeated
                except (HeliogramError, KeyboardInterrupt) as error:
                    raise click.ClickException(self._stopped(error, dry=dry)) from None

    def _batches(self) -> Iterator[list[Line]]:
        """Lines for one request after the other; always the same for the same file."""
        import msgspec

        lines, size = list[Line](), 0
        for line in self.source.lines():
            if line.recipient is None:
                self._put_aside(line, line.problem)
                continue
            length = len(msgspec.json.encode(line.recipient)) + 1
            if lines and (len(lines) == self.batch or size + length > MAX_BYTES):
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += length
        if lines:
            yield lines

    def _send(self, client: Heliogram, lines: list[Line], *, dry: bool) -> None:
        """Sends one batch. What the service refuses of it is put aside, where that was asked for.

        It keeps refusals, too, and repeats them for 24 hours. They are asked for anew under another key, and apart from
        the lines beside them: those may have been sent since then, with --skip-bad-lines.
        """
        from ..client import HeliogramError

        attempt = 0
        while lines:
            try:
                self._ask(client, lines, attempt, dry=dry)
                self.accepted += len(lines)
                return
            except HeliogramError as error:
                refused, rest = refusals(error, lines)
                apart = 0 < len(refused) < len(lines) and may_be_left_out(rest)
                if error.repeated and not apart:
                    attempt += 1
                    continue
                if error.repeated:
                    self._send(client, [line for line, _ in refused], dry=dry)
                    lines, attempt = without(lines, refused), 0
                    continue
                if not refused or not self.skips or not may_be_left_out(rest):
                    self._give_up(refused, rest)
                for line, problem in refused:
                    self._complain(line, problem)
                    self._put_aside(line, problem)
                lines, attempt = without(lines, refused), 0

    def _give_up(self, refused: list[Refusal], rest: HeliogramError) -> NoReturn:
        """Names the lines that the service refuses, and raises what it says beside."""
        for line, problem in refused:
            self._complain(line, problem)
        self.refused = len(refused)
        raise rest

    def _ask(self, client: Heliogram, lines: list[Line], attempt: int, *, dry: bool) -> None:
        to = [line.recipient for line in lines if line.recipient is not None]
        if dry:
            self._count_trial(client.notifications.validate(to, self.content, **self.more), lines)
            return
        key = self._key(lines, attempt)
        made: OperationAccepted = client.notifications.send(to, self.content, **self.more, idempotency_key=key)
        self.operations.append(made.operation_id)

    def _key(self, lines: list[Line], attempt: int) -> str:
        """The same for the same lines at the same place of the same file, sent in the same way."""
        import msgspec

        told = [
            self.source.file.name,
            self.run,
            self.content,
            self.more,
            [(each.number, each.recipient) for each in lines],
        ]
        again = f"-{attempt}" if attempt else ""
        return "bulk-" + hashlib.blake2b(msgspec.json.encode(told), digest_size=20).hexdigest() + again

    def _put_aside(self, line: Line, problem: str) -> None:
        if self._reject is None:
            try:
                opened = self._stack.enter_context(self.rejects.open("w", encoding="utf-8", newline=""))
            except OSError as error:
                raise click.UsageError(f"--rejects: {error.strerror}: {self.rejects}") from None
            self._reject = self.source.rejects(opened)
        self.bad += 1
        self._reject(line, problem)

    def _count_trial(self, trial: Trial, lines: list[Line]) -> None:
        for line, problem in failing(trial, lines)[: SHOWN - self.warned]:
            self._complain(line, problem)
            self.warned += 1
        for name in ("unaddressable", "failing"):
            self.outcomes[name] = self.outcomes.get(name, 0) + getattr(trial, name)

    def _stopped(self, error: BaseException, *, dry: bool) -> str:
        from ..client import HeliogramError

        why = words(error, self.link) if isinstance(error, HeliogramError) else "interrupted"
        if self.refused and isinstance(error, HeliogramError) and may_be_left_out(error):
            cure = "mend that, or send to the others with --skip-bad-lines"
            why = f"the service refuses {plural(self.refused, 'line')}: {cure}"
        if dry:
            return why
        cure = "the same command again goes on where it was; what was accepted is not sent twice"
        return f"{why}\n{self.accepted:,} of {self.good:,} recipients were accepted; {cure}"

    def wait(self) -> None:
        """Waits for all operations, and adds up what became of them."""
        from .progress import Progress

        ended = 0
        with self.link.client(retries=RETRIES) as client, Progress(unit="ended") as progress:
            for ident in self.operations:
                stats = _waited(client, ident, progress, ended, self.accepted)
                ended += stats.total
                for name in ("total", "sent", "failed", "unaddressable", "canceled", "queued", "scheduled"):
                    self.outcomes[name] = self.outcomes.get(name, 0) + getattr(stats, name)

    def tell(self, *, dry: bool) -> None:
        """The totals. Ends with 1 when not everybody was reached that was waited for."""
        from ..client import Stats
        from .options import print_json

        waited = "total" in self.outcomes
        if self.link.as_json:
            rejects = str(self.rejects) if self.bad else None
            told = {"recipients": self.accepted, "operations": self.operations, "repeated": self.repeated}
            print_json({**told, "rejected": self.bad, "rejects": rejects, "outcomes": self.outcomes or None})
        else:
            self._tell_people(dry=dry)
            if waited:
                click.echo(outcome(Stats(recipients=self.outcomes["total"], **self.outcomes)))
        if waited and self.outcomes["sent"] != self.outcomes["total"]:
            raise SystemExit(1)

    def _tell_people(self, *, dry: bool) -> None:
        if dry:
            click.echo(f"would send to {plural(self.accepted, 'recipient')}; nothing was sent")
            for name, text in (
                ("unaddressable", "without a device"),
                ("failing", "would fail: the first are named above"),
            ):
                if self.outcomes.get(name):
                    click.echo(f"  {self.outcomes[name]:,} {text}")
        else:
            click.echo(
                f"accepted for {plural(self.accepted, 'recipient')} in {plural(len(self.operations), 'operation')}"
            )
            for ident in self.operations:
                click.echo(f"  {ident}")
        if self.repeated:
            click.echo(f"{plural(self.repeated, 'request')} of them had been accepted before, and were not sent again")
        if self.bad:
            click.echo(f"{plural(self.bad, 'bad line')} left out: see {self.rejects}")


def _waited(client: Heliogram, ident: str, progress: Progress, ended: int, total: int) -> Stats:
    return client.operations.wait(
        ident,
        progress=lambda now: progress.at(ended + now.stats.total - now.stats.queued - now.stats.scheduled, total),
    ).stats


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.stem}.rejects{file.suffix or '.csv'}")
