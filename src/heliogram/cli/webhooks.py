"""`heliogram webhooks`: receivers of events, at a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from .remote import Link, connected, limit_option, page_size, yes_option
from .showing import clean, details, table, when

if TYPE_CHECKING:
    from ..client import DeadLetter, Webhook, WebhookTested

EMPTY = "There is no webhook yet. Make one: heliogram webhooks create --help"


@click.group()
def webhooks() -> None:
    """Make, list, change, test and delete webhooks at a running service. Needs a key with the scope admin."""


@webhooks.command("list")
@limit_option
@connected
def list_(link: Link, limit: int) -> None:
    """List webhooks and their backlogs, the newest first."""

    def told(found: list[Webhook]) -> None:
        rows = [(each.id, each.url, each.state, _backlog(each)) for each in found]
        table(("webhook", "url", "state", "backlog"), rows, empty=EMPTY)

    link.show_list(lambda client: client.webhooks.list(page_size=page_size(limit)), told, limit=limit)


@webhooks.command()
@click.argument("webhook_id")
@connected
def get(link: Link, webhook_id: str) -> None:
    """Show one webhook: what it hears, its backlog, what went wrong last."""
    link.show(
        lambda client: client.webhooks.get(webhook_id),
        lambda found: details(
            [
                ("webhook", found.id),
                ("url", found.url),
                ("hears", ", ".join(found.types)),
                ("for", found.description or None),
                ("state", f"{found.state}{': ' + found.disabled_reason if found.disabled_reason else ''}"),
                ("backlog", _backlog(found)),
                ("last success", found.last_success_at),
                (
                    "last error",
                    None if found.last_error is None else f"{when(found.last_error.at)} {found.last_error.message}",
                ),
                ("made", found.created_at),
            ]
        ),
    )


@webhooks.command()
@click.argument("address", metavar="URL")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", help="notification.*, operation.*, …; default: everything."
)
@click.option("--description", default="", help="Only you read it.")
@connected
def create(link: Link, address: str, types: tuple[str, ...], description: str) -> None:
    """Make a webhook. Its signing secret is shown this once.

    \b
      heliogram webhooks create https://example.com/heliogram --type 'notification.*'
    """
    link.show(
        lambda client: client.webhooks.create(address, types or ("*",), description=description),
        lambda made: _secret(f"webhook  {made.id}\n", made.secret),
    )


@webhooks.command()
@click.argument("webhook_id")
@click.option("--to", "address", metavar="URL", help="Where to post to from now on.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="What it hears from now on; all of several.")
@click.option("--description", help="Only you read it.")
@connected
def update(link: Link, webhook_id: str, address: str | None, types: tuple[str, ...], description: str | None) -> None:
    """Change a webhook; what is left out stays.

    \b
      heliogram webhooks update webhook_01h9krwprkeee8fzqspvwy6nq8 --type 'operation.*' --type 'credential.*'
    """
    if address is None and not types and description is None:
        raise click.UsageError("say what to change: --to, --type or --description")
    link.change(
        lambda client: client.webhooks.update(webhook_id, url=address, types=types or None, description=description),
        f"changed {webhook_id}",
    )


@webhooks.command()
@click.argument("webhook_id")
@connected
def pause(link: Link, webhook_id: str) -> None:
    """Tell it nothing until it is resumed; events wait."""
    _set(link, webhook_id, "paused")


@webhooks.command()
@click.argument("webhook_id")
@connected
def resume(link: Link, webhook_id: str) -> None:
    """Go on with one that was paused, or disabled because it failed for days."""
    _set(link, webhook_id, "active")


@webhooks.command()
@click.argument("webhook_id")
@connected
def test(link: Link, webhook_id: str) -> None:
    """Post a test event and tell what the receiver said. Exit code 0 if it took it, else 1."""
    answers: list[bool] = []

    def told(found: WebhookTested) -> None:
        said = "no answer" if found.status is None else f"status {found.status}"
        text = "it took it" if found.delivered else f"it did not take it: {clean(found.error or '')}"
        click.echo(f"{text} ({said}, {found.took_ms} ms)")
        answers.append(found.delivered)

    link.show(lambda client: client.webhooks.test(webhook_id), told)
    if answers == [False]:
        raise SystemExit(1)


@webhooks.command("rotate-secret")
@click.argument("webhook_id")
@connected
def rotate_secret(link: Link, webhook_id: str) -> None:
    """Make a new signing secret, shown this once; the old one signs along for a day."""
    link.show(lambda client: client.webhooks.rotate_secret(webhook_id), lambda made: _secret("", made.secret))


@webhooks.command("dead-letters")
@click.argument("webhook_id")
@limit_option
@connected
def dead_letters(link: Link, webhook_id: str, limit: int) -> None:
    """List what was given up after three days of trying."""

    def told(found: list[DeadLetter]) -> None:
        rows = [(each.id, each.events, each.attempts, when(each.given_up_at), each.error) for each in found]
        table(("batch", "events", "attempts", "given up", "error"), rows, empty="Nothing was given up.")

    link.show_list(
        lambda client: client.webhooks.dead_letters(webhook_id, page_size=page_size(limit)), told, limit=limit
    )


@webhooks.command()
@click.argument("webhook_id")
@click.argument("batches", nargs=-1)
@connected
def redeliver(link: Link, webhook_id: str, batches: tuple[str, ...]) -> None:
    """Send dead letters again: those that are named, or all."""
    link.show(
        lambda client: client.webhooks.redeliver(webhook_id, batches or None),
        lambda done: click.echo(f"{done.batches:,} of them will be sent again"),
    )


@webhooks.command()
@click.argument("webhook_id")
@yes_option
@connected
def delete(link: Link, webhook_id: str, yes: bool) -> None:
    """Delete a webhook with its backlog."""
    if not yes:
        click.confirm(f"Delete {webhook_id} and its backlog?", abort=True, err=True)
    link.change(lambda client: client.webhooks.delete(webhook_id), f"deleted {webhook_id}")


def _set(link: Link, webhook_id: str, state: Literal["active", "paused"]) -> None:
    link.change(lambda client: client.webhooks.update(webhook_id, state=state), f"{webhook_id} is {state}")


def _secret(before: str, secret: str) -> None:
    click.echo(f"{before}secret   {secret}")
    click.echo("The secret is shown this once: store it now.", err=True)


def _backlog(found: Webhook) -> str:
    backlog = found.backlog
    parts = (
        (backlog.waiting_events, "waiting"),
        (backlog.retrying_batches, "retrying"),
        (backlog.dead_letters, "given up"),
        (backlog.skipped_events, "dropped"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in parts if count) or "none"
