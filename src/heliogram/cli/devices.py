"""`heliogram devices`: registered devices, at a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .devices_import import import_
from .remote import Link, connected, limit_option, page_size
from .showing import clean, when
from .users import USER_ID

if TYPE_CHECKING:
    from ..client import DeviceHistory, Heliogram, Pager, Registration

NO_HISTORY = (
    "Nothing is known to have happened: nobody has such a device, and none was removed lately. Pushes to people without"
    " a device are told by: heliogram push list"
)
EMPTY = "There is no such device. Apps register theirs; by hand: heliogram devices register --help"
KINDS = (
    "alert",
    "voip",
    "complication",
    "fileProvider",
    "location",
    "pushToTalk",
    "liveActivityStart",
    "liveActivityUpdate",
    "widgets",
    "controls",
)
environment_option = click.option(
    "--environment",
    type=click.Choice(["production", "sandbox"]),
    help="sandbox: the app was run from Xcode. production: TestFlight and the App Store.",
)


@click.group()
def devices() -> None:
    """Find devices of a running service by user or token; register, import, remove them."""


@devices.command("list")
@click.option("--user", metavar="USER", help="Whose: the user's id, or your own name for the user.")
@click.option("--token", metavar="TOKEN", help="Who has this device token.")
@click.option("--app", metavar="NAME", help="Only in this app.")
@limit_option
@connected
def list_(link: Link, user: str | None, token: str | None, app: str | None, limit: int) -> None:
    """List the devices of a user, or who has a device token.

    \b
      heliogram devices list --user user-42
      heliogram devices list --token 9f86d081884c7d65…
    """
    if (user is None) == (token is None):
        raise click.UsageError("say whose: --user USER, or --token TOKEN")

    def ask(client: Heliogram) -> Pager[Registration]:
        more = {"app": app, "token": token}
        if user is not None:
            more["user_id" if USER_ID.fullmatch(user) else "external_id"] = user
        return client.registrations.list(page_size=page_size(limit), **more)

    link.show_list(ask, _told, limit=limit)


@devices.command()
@click.argument("user", required=False)
@click.option("--token", metavar="TOKEN", help="What happened to this device token, whoever has or had it.")
@click.option("--app", metavar="NAME", help="Only in this app.")
@limit_option
@connected
def history(link: Link, user: str | None, token: str | None, app: str | None, limit: int) -> None:
    """Why does this phone get nothing? What happened to a user's devices, or to a token, newest first.

    USER is the user's id, or your own name for the user. It is told after a device is gone, too: that APNs called its
    token dead, that somebody else signed in on the phone, that it was removed.

    \b
      heliogram devices history user-42
      heliogram devices history --token 9f86d081884c7d65…
    """
    if (user is None) == (token is None):
        raise click.UsageError("say whose: USER, or --token TOKEN")

    def ask(client: Heliogram) -> Pager[DeviceHistory]:
        more = {"app": app, "token": token}
        if user is not None:
            more["user_id" if USER_ID.fullmatch(user) else "external_id"] = user
        return client.registrations.history(page_size=page_size(limit), **more)

    link.show_list(ask, lambda found: _happened(found, users=user is None), limit=limit)


@devices.command()
@click.argument("token")
@click.option("--app", required=True, metavar="NAME", help="The app that the token is of.")
@click.option(
    "--user", metavar="USER", help="Whose it is: an id, or your own name for the user. Default: a new user's."
)
@environment_option
@click.option("--kind", type=click.Choice(KINDS), default="alert", show_default=True, help="What the token is for.")
@connected
def register(link: Link, token: str, app: str, user: str | None, environment: str | None, kind: str) -> None:
    """Register a device by hand, as the app itself does at each launch.

    \b
      heliogram devices register 9f86d081884c7d65… --app shop --user user-42 --environment sandbox
    """
    from ..client import Environment, TokenKind

    by_id = user is not None and USER_ID.fullmatch(user) is not None
    link.show(
        lambda client: client.registrations.create(
            app,
            token,
            user_id=user if by_id else None,
            external_id=None if by_id else user,
            environment=None if environment is None else Environment(environment),
            kind=TokenKind(kind),
        ),
        lambda made: click.echo(f"registered in {made.resource_id}"),
    )


@devices.command()
@click.argument("registration")
@click.argument("token")
@connected
def remove(link: Link, registration: str, token: str) -> None:
    """Remove a device. REGISTRATION is what `devices list` shows in its first line.

    \b
      heliogram devices remove comms_device_registration_01h9krwprkeee8fzqspvwy6nq8 9f86d081884c7d65…
    """
    link.change(lambda client: client.registrations.delete_device(registration, token), "removed")


devices.add_command(import_)


def _told(found: list[Registration]) -> None:
    if not found:
        click.echo(EMPTY, err=True)
    for at, each in enumerate(found):
        click.echo(f"{'' if at == 0 else chr(10)}{each.app_name}  user {each.user_id}\n{each.id}")
        for device in each.devices:
            where = f"{device.environment or 'environment unknown'}{' (learned)' if device.environment_learned else ''}"
            state = device.state if device.state_reason is None else f"{device.state}: {clean(device.state_reason)}"
            click.echo(
                f"  {device.token}\n    {device.kind}, {where}, {state}, registered {when(device.registered_at)}"
            )


def _happened(found: list[DeviceHistory], *, users: bool) -> None:
    from ..domain.history_words import Happened, words_of

    if not found:
        click.echo(NO_HISTORY, err=True)
    for each in found:
        moments = (each.invalid_since, each.first_registered_at, each.last_registered_at)
        since, first, last = (when(moment) or "" for moment in moments)
        words = words_of(
            Happened(
                event=each.event,
                provider=each.provider,
                environment=each.environment or "",
                reason=clean(each.reason or ""),
                status=each.status,
                invalid_since=since,
                first_registered=first,
                last_registered=last,
                new_token=each.new_token or "",
            )
        )
        whose = f"  user {each.user_id}" if users else ""
        click.echo(f"{when(each.at)}  {words.title:<22}  {each.token}  {each.kind}  {each.app_name}{whose}")
        if words.text:
            click.echo(f"  {words.text}")
