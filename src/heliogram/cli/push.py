"""`heliogram push`: send through a running service, and see what became of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from .content import content_of, content_options, plain_variables
from .numbers import Number, Whole
from .operations import tags_of, watched
from .push_bulk import bulk
from .remote import Link, connected, limit_option, page_size
from .showing import masked, table, when
from .trials import tell_trial
from .users import USER_ID

if TYPE_CHECKING:
    from ..client import Heliogram, Notification, OperationAccepted, Recipient

EMPTY = "There is no such notification."
STATUSES = click.Choice(["SCHEDULED", "QUEUED", "SENT", "FAILED", "CANCELED"], case_sensitive=False)


@click.group()
def push() -> None:
    """Send through a running service, to a few or to everybody in a file, and find notifications again.

    The service keeps what it accepted and sends it, whatever happens to it or to you. To send straight to APNs without
    a service: heliogram send
    """


push.add_command(bulk)


@push.command()
@click.option("--user", "users", multiple=True, metavar="USER", help="A user: its id, or your own name for it.")
@click.option("--token", "tokens", multiple=True, metavar="TOKEN", help="A device token, in hexadecimal.")
@click.option("--app", metavar="NAME", help="Who sends. Default: the default app.")
@content_options
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="What {{ NAME }} stands for.")
@click.option("--priority", type=click.Choice(["HIGH", "LOW"], case_sensitive=False), help="low saves battery.")
@click.option("--send-at", metavar="TIME", help="Later: a date-time with its offset, 2026-03-19T09:30:00+01:00.")
@click.option("--ttl", type=Whole(0), metavar="SECONDS", help="How long it is worth delivering.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="To find it again.")
@click.option("--idempotency-key", metavar="KEY", help="The same send with the same key is done once.")
@click.option("--dry-run", is_flag=True, help="Check and render it; keep and send nothing.")
@click.option("--wait", is_flag=True, help="Wait for the outcome. Exit code 0 if all were accepted by APNs, else 1.")
@click.option("--timeout", type=Number(min=0), metavar="SECONDS", help="Wait no longer than that.")
@connected
def send(
    link: Link,
    users: tuple[str, ...],
    tokens: tuple[str, ...],
    variables: tuple[str, ...],
    tags: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    dry_run: bool,
    idempotency_key: str | None,
    **options: Any,
) -> None:
    """Send to users and device tokens.

    \b
      heliogram push send --user user-42 --app shop --title Hi --body "Your order is on its way" --wait
      heliogram push send --token 9f86d081… --body "Hi {{ name }}" --var name=Ann
      heliogram push send --user user-42 --content @content.json --send-at 2026-12-24T18:00:00+01:00
    """
    from ..client import Priority

    content, priority, known = content_of(options), options["priority"], _variables(variables)
    to = _recipients(users, tokens, known)
    for name in plain_variables(content):
        if name not in (known or {}):
            raise click.UsageError(
                f"{{{{ {name} }}}}: there is no --var {name}=…; say {{{{ {name} | default: '' }}}} if nothing is meant"
            )
    more: dict[str, Any] = {name: options[name] for name in ("app", "send_at", "ttl")}
    more |= {"priority": None if priority is None else Priority(priority), "tags": tags_of(tags)}
    if dry_run:
        link.show(lambda client: client.notifications.validate(to, content, **more), tell_trial)
        return
    if not wait:
        link.show(
            lambda client: client.notifications.send(to, content, **more, idempotency_key=idempotency_key),
            _tell_accepted,
        )
        return
    with link.client() as client:
        accepted = client.notifications.send(to, content, **more, idempotency_key=idempotency_key)
    if not link.as_json:
        click.echo(f"accepted as {accepted.operation_id}", err=True)
    watched(link, accepted.operation_id, timeout)


@push.command("list")
@click.option("--operation", metavar="ID", help="Only of this send.")
@click.option("--user", metavar="USER", help="Only to this user: its id, or your own name for it.")
@click.option("--status", type=STATUSES, help="Only those that are so far.")
@limit_option
@connected
def list_(link: Link, operation: str | None, user: str | None, status: str | None, limit: int) -> None:
    """List notifications, the newest first: one for each recipient of a send."""

    def ask(client: Heliogram) -> Any:
        named: dict[str, Any] = {}
        if user is not None:
            named["user" if USER_ID.fullmatch(user) else "external_id"] = user
        size = page_size(limit)
        return client.notifications.list(operation_id=operation, status=status, page_size=size, **named)

    def told(found: list[Notification]) -> None:
        rows = [(each.id, each.status, to_whom(each), when(each.created_at)) for each in found]
        table(("notification", "status", "to", "made"), rows, empty=EMPTY)

    link.show_list(ask, told, limit=limit)


@push.command()
@click.argument("notification_id")
@connected
def cancel(link: Link, notification_id: str) -> None:
    """Stop one notification that has not been sent."""
    link.change(lambda client: client.notifications.cancel(notification_id), f"canceled {notification_id}")


def to_whom(found: Notification) -> str:
    """The recipient of a notification."""
    to = found.to
    if to.user_id is not None:
        return to.user_id
    return f"channel {to.channel_id}" if to.channel_id is not None else f"token {masked(to.token or '')}"


def _recipients(users: tuple[str, ...], tokens: tuple[str, ...], variables: dict[str, str] | None) -> list[Recipient]:
    from ..client import Recipient

    if not users and not tokens:
        raise click.UsageError(
            "say to whom: --user USER or --token TOKEN; many from a file: heliogram push bulk --help"
        )
    by_user = [
        (Recipient.for_user if USER_ID.fullmatch(each) else Recipient.for_external_id)(each, variables)
        for each in users
    ]
    return [*by_user, *(Recipient.for_token(each, variables) for each in tokens)]


def _variables(words: tuple[str, ...]) -> dict[str, str] | None:
    for word in words:
        if not re.fullmatch(r"[A-Za-z_][\w-]*=.*", word, re.DOTALL):
            raise click.UsageError(f"--var: expected NAME=VALUE, got {word!r}")
    return {name: value for name, _, value in (word.partition("=") for word in words)} or None


def _tell_accepted(accepted: OperationAccepted) -> None:
    click.echo(f"accepted as {accepted.operation_id}")
    click.echo(f"What becomes of it: heliogram operations watch {accepted.operation_id}", err=True)
