"""`heliogram apps`: the apps of an account, at a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .remote import Link, connected, limit_option, page_size
from .showing import details, table, when

if TYPE_CHECKING:
    from ..client import App

EMPTY = "There is no app yet. One comes with its first credential: heliogram credentials upload --help"


@click.group()
def apps() -> None:
    """List the apps of a running service, and choose the default one.

    An app comes with its first credential (heliogram credentials upload) and goes with its last.
    """


@apps.command("list")
@limit_option
@connected
def list_(link: Link, limit: int) -> None:
    """List the apps, the newest first."""

    def told(found: list[App]) -> None:
        rows = [(each.name, each.is_default, _defaults(each), when(each.created_at)) for each in found]
        table(("app", "default", "sends with", "made"), rows, empty=EMPTY)

    link.show_list(lambda client: client.apps.list(page_size=page_size(limit)), told, limit=limit)


@apps.command()
@click.argument("name")
@connected
def get(link: Link, name: str) -> None:
    """Show one app and the credentials that it sends with."""
    link.show(
        lambda client: client.apps.get(name),
        lambda app: details(
            [
                ("app", app.name),
                ("default", app.is_default),
                *((each.credential_type, each.id) for each in app.default_credentials),
                ("made", app.created_at),
            ]
        ),
    )


@apps.command("make-default")
@click.argument("name")
@connected
def make_default(link: Link, name: str) -> None:
    """Choose the app of sends that name none."""
    link.change(lambda client: client.apps.make_default(name), f"{name} is the default app now")


def _defaults(app: App) -> str:
    return ", ".join(str(each.credential_type) for each in app.default_credentials) or "nothing: all were revoked"
