"""`heliogram operations`: what became of sends, at a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .numbers import Number
from .remote import Link, connected, limit_option, page_size
from .showing import clean, details, plural, table, when

if TYPE_CHECKING:
    from ..client import Failure, Heliogram, Operation, Stats

EMPTY = "There is no such operation. Each send makes one: heliogram push send --help"
STATUSES = click.Choice(["SCHEDULED", "PROCESSING", "COMPLETED", "CANCELED"], case_sensitive=False)


@click.group()
def operations() -> None:
    """List and watch sends at a running service, cancel them, and see why notifications failed.

    Each send is an operation. Its outcomes are kept for a week, unless the service was told otherwise.
    """


def outcome(stats: Stats) -> str:
    """What became of an operation's recipients, in words."""
    named = (
        ("accepted by APNs", stats.sent),
        ("failed", stats.failed),
        ("without a device", stats.unaddressable),
        ("canceled", stats.canceled),
        ("waiting", stats.queued),
        ("scheduled", stats.scheduled),
    )
    return ", ".join(f"{count:,} {what}" for what, count in named if count) or "nobody"


@operations.command("list")
@click.option("--status", type=STATUSES, help="Only those that are so far.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Only those with this tag; all of several.")
@limit_option
@connected
def list_(link: Link, status: str | None, tags: tuple[str, ...], limit: int) -> None:
    """List operations, the newest first."""
    wanted = tags_of(tags)

    def told(found: list[Operation]) -> None:
        rows = [(each.id, each.status, outcome(each.stats), when(each.created_at)) for each in found]
        table(("operation", "status", "recipients", "made"), rows, empty=EMPTY)

    link.show_list(
        lambda client: client.operations.list(status=status, tags=wanted, page_size=page_size(limit)),
        told,
        limit=limit,
    )


def tags_of(words: tuple[str, ...]) -> dict[str, str] | None:
    """Tags of the command line."""
    for word in words:
        if not all(word.partition("=")):
            raise click.UsageError(f"--tag: expected KEY=VALUE, got {word!r}")
    return {name: value for name, _, value in (word.partition("=") for word in words)} or None


@operations.command()
@click.argument("operation_id")
@connected
def get(link: Link, operation_id: str) -> None:
    """Show how far an operation is."""
    link.show(lambda client: client.operations.get(operation_id), _told)


@operations.command()
@click.argument("operation_id")
@click.option("--timeout", type=Number(min=0), metavar="SECONDS", help="Give up after so long (never).")
@connected
def watch(link: Link, operation_id: str, timeout: float | None) -> None:
    """Watch an operation until it has ended. Exit code 0 if all were accepted by APNs, else 1."""
    watched(link, operation_id, timeout)


@operations.command()
@click.argument("operation_id")
@connected
def cancel(link: Link, operation_id: str) -> None:
    """Stop what an operation has not sent yet."""
    link.change(lambda client: client.operations.cancel(operation_id), f"canceled what was not sent of {operation_id}")


@operations.command()
@click.argument("operation_id")
@limit_option
@connected
def errors(link: Link, operation_id: str, limit: int) -> None:
    """Show why notifications failed, and what to do about it, reason by reason."""

    def told(found: list[Failure]) -> None:
        if not found:
            click.echo("None failed.")
        tell_failures(found)

    link.show_list(lambda client: client.operations.errors(operation_id, page_size=page_size(limit)), told, limit=limit)


def watched(link: Link, operation_id: str, timeout: float | None) -> None:
    """Shows an operation's progress until it has ended, and what became of it; ends with 1 when not all were sent."""
    from ..client import OperationTimeout
    from .options import print_json
    from .progress import Progress

    with link.client() as client, Progress(unit="recipients") as progress:
        try:
            done = client.operations.wait(
                operation_id,
                timeout=timeout,
                progress=lambda now: progress.at(
                    now.stats.total - now.stats.queued - now.stats.scheduled, now.stats.total
                ),
            )
        except OperationTimeout as error:
            raise click.ClickException(
                f"{error.detail}; it goes on: heliogram operations watch {operation_id}"
            ) from None
    if link.as_json:
        with link.client(raw=True) as client:
            print_json(client.operations.get(operation_id))
    else:
        click.echo(outcome(done.stats))
        if done.stats.failed or done.stats.unaddressable:
            with link.client() as client:
                tell_failures(_first(client, operation_id, 1000))
    if done.stats.sent != done.stats.total:
        raise SystemExit(1)


def _first(client: Heliogram, operation_id: str, count: int) -> list[Failure]:
    found: list[Failure] = []
    for page in client.operations.errors(operation_id, page_size=1000).pages():
        found += page
        if len(found) >= count:
            break
    return found


def tell_failures(failures: list[Failure]) -> None:
    """Reason by reason: how many, an example, and the cure."""
    reasons: dict[tuple[str, str, str | None], list[str]] = {}
    for each in failures:
        reasons.setdefault((each.reason, each.cure, each.rule), []).append(each.notification_id)
    for (reason, cure, rule), found in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        book = "" if rule is None else f" ({rule} in docs/reference/apns-rules.md)"
        click.echo(f"\n{clean(reason)}: {plural(len(found), 'notification')}{book}\n  {cure}\n  for example {found[0]}")


def _told(found: Operation) -> None:
    details(
        [
            ("operation", found.id),
            ("status", found.status),
            ("recipients", f"{found.stats.total:,}: {outcome(found.stats)}"),
            ("sends at", None if found.schedule is None else ", ".join(found.schedule.send_at)),
            ("ends at", found.expires_at),
            ("canceled", found.canceled_at),
            ("tags", ", ".join(f"{name}={value}" for name, value in found.tags.items()) or None),
            ("made", found.created_at),
        ]
    )
