"""`heliogram audit`: who changed what, at a running service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from .remote import Link, connected, limit_option, page_size
from .showing import table, when

if TYPE_CHECKING:
    from ..client import AuditEvent

EMPTY = "Nothing was changed, or nothing that fits; changes are kept for 400 days."


@click.group()
def audit() -> None:
    """Tell who changed keys, apps, credentials, webhooks and the account, at a running service.

    Needs a key with the scope admin. Changes are kept for 400 days; no secret is among them.
    """


@audit.command("list")
@click.option("--action", metavar="ACTION", help="Only this, such as apiKey.created or credential.revoked.")
@click.option(
    "--actor", metavar="WHO", help="Only what this API key did (key_…); cli: commands on the service's machine."
)
@click.option("--subject", metavar="ID", help="Only what was done to this: the id of a key, a credential, …")
@click.option("--since", metavar="WHEN", help="At or after this: 2027-01-31, or 2027-01-31T09:00:00Z (UTC).")
@click.option("--until", metavar="WHEN", help="Before this moment, or up to the end of this day.")
@limit_option
@connected
def list_(
    link: Link,
    action: str | None,
    actor: str | None,
    subject: str | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    """List changes, the newest first.

    \b
      heliogram audit list --since 2027-01-31
      heliogram audit list --action apiKey.created --json
    """
    for option, text in (("--since", since), ("--until", until)):
        _require_moment(option, text)

    def told(found: list[AuditEvent]) -> None:
        rows = [(when(each.at), each.actor, each.action, each.subject, _words(each.detail)) for each in found]
        table(("when", "who", "did", "to", "more"), rows, empty=EMPTY)

    link.show_list(
        lambda client: client.audit.list(
            action=action, actor=actor, subject=subject, start_date=since, end_date=until, page_size=page_size(limit)
        ),
        told,
        limit=limit,
    )


def _require_moment(option: str, text: str | None) -> None:
    try:
        if text is not None:
            datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise click.UsageError(
            f"{option}: expected a date or a moment, such as 2027-01-31T09:00:00Z; got {text!r}"
        ) from None


def _words(detail: dict[str, Any]) -> str | None:
    """`name=shop, scopes=send+read`."""
    parts = [f"{name}={_value(value)}" for name, value in detail.items() if value not in (None, "", [], {})]
    return ", ".join(parts) or None


def _value(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "+".join(value)
    return value if isinstance(value, str) else json.dumps(value)
