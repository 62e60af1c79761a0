"""`heliogram users`: the people whose devices get notifications, at a running service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from .remote import Link, connected, limit_option, page_size, yes_option
from .showing import details, table, when

if TYPE_CHECKING:
    from ..client import User

USER_ID = re.compile(r"comms_pushnotificationuser_[0-7][0-9a-z]{25}")
EMPTY = "There is no such user. Users come with their first device: heliogram devices register --help"


@click.group()
def users() -> None:
    """Find, rename and delete users at a running service.

    USER is the id that the service gave (comms_pushnotificationuser_…) or your own name for the user (external id).
    """


def in_path(user: str) -> str:
    """A user as it stands in paths: an id, or your own name for it."""
    return user if USER_ID.fullmatch(user) else f"externalId:{user}"


@users.command("list")
@limit_option
@connected
def list_(link: Link, limit: int) -> None:
    """List users, the newest first."""

    def told(found: list[User]) -> None:
        rows = [(each.external_id, each.id, when(each.created_at), when(each.deleted_at)) for each in found]
        table(("external id", "id", "made", "deleted"), rows, empty=EMPTY)

    link.show_list(lambda client: client.users.list(page_size=page_size(limit)), told, limit=limit)


@users.command()
@click.argument("user")
@connected
def get(link: Link, user: str) -> None:
    """Show one user. Its devices: heliogram devices list --user USER"""
    link.show(
        lambda client: client.users.get(in_path(user)),
        lambda found: details(
            [
                ("id", found.id),
                ("external id", found.external_id or "none"),
                ("made", found.created_at),
                ("deleted", found.deleted_at),
            ]
        ),
    )


@users.command()
@click.argument("user")
@click.option("--external-id", metavar="NAME", help="Your own name for the user, unique among users.")
@click.option("--no-external-id", is_flag=True, help="Take the name away.")
@connected
def update(link: Link, user: str, external_id: str | None, no_external_id: bool) -> None:
    """Set your own name for a user, or take it away.

    \b
      heliogram users update comms_pushnotificationuser_01h9krwprkeee8fzqspvwy6nq8 --external-id user-42
    """
    if (external_id is None) != no_external_id:
        raise click.UsageError("give --external-id NAME or --no-external-id")
    done = f"{user} has no external id now" if external_id is None else f"{user} is {external_id} now"
    link.change(lambda client: client.users.update(in_path(user), external_id), done)


@users.command()
@click.argument("user")
@yes_option
@connected
def delete(link: Link, user: str, yes: bool) -> None:
    """Delete a user with all its devices, in all apps."""
    if not yes:
        click.confirm(f"Delete {user} and all its devices?", abort=True, err=True)
    link.change(lambda client: client.users.delete(in_path(user)), f"deleted {user}")
