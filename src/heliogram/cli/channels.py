"""`heliogram channels`: broadcast channels of an app, at a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .content import content_of, content_options
from .devices import environment_option
from .numbers import Whole
from .remote import Link, connected, limit_option, page_size, yes_option
from .showing import details, table
from .trials import tell_trial

if TYPE_CHECKING:
    from ..client import ChannelItem

EMPTY = "The app has no channel in this environment. Make one: heliogram channels create --help"
app_argument = click.argument("app")


@click.group()
def channels() -> None:
    """Make, list and delete broadcast channels at a running service, and broadcast to them.

    Everybody who follows a channel gets what is sent to it: Live Activities of a match, for one. APNs keeps the
    channels; the app needs the Broadcast capability.
    """


@channels.command("list")
@app_argument
@environment_option
@limit_option
@connected
def list_(link: Link, app: str, environment: str | None, limit: int) -> None:
    """List an app's channels in one environment (production unless said otherwise)."""

    def told(found: list[ChannelItem]) -> None:
        table(("id (in paths)", "channel id (for apps)"), [(each.id, each.channel_id) for each in found], empty=EMPTY)

    link.show_list(
        lambda client: client.channels.list(app, environment=environment, page_size=page_size(limit)), told, limit=limit
    )


@channels.command()
@app_argument
@click.argument("channel_id")
@environment_option
@connected
def get(link: Link, app: str, channel_id: str, environment: str | None) -> None:
    """Show one channel."""
    link.show(
        lambda client: client.channels.get(app, channel_id, environment=environment),
        lambda found: details(
            [
                ("id", found.id),
                ("channel id", found.channel_id),
                ("app", found.app_name),
                ("environment", found.environment),
                ("policy", found.storage_policy),
                ("push type", found.push_type),
            ]
        ),
    )


@channels.command()
@app_argument
@environment_option
@click.option("--store", is_flag=True, help="Keep the latest message for devices that are away, for at most 8 hours.")
@connected
def create(link: Link, app: str, environment: str | None, store: bool) -> None:
    """Make a channel. Whether it stores cannot be changed later.

    \b
      heliogram channels create shop --store
    """
    from ..client import Environment, StoragePolicy

    policy = StoragePolicy.MOST_RECENT_MESSAGE_STORED if store else StoragePolicy.NO_MESSAGE_STORED
    where = None if environment is None else Environment(environment)
    link.show(
        lambda client: client.channels.create(app, policy, environment=where),
        lambda made: click.echo(f"made channel {made.resource_id}"),
    )


@channels.command()
@app_argument
@click.argument("channel_id")
@environment_option
@yes_option
@connected
def delete(link: Link, app: str, channel_id: str, environment: str | None, yes: bool) -> None:
    """Delete a channel. Who follows it hears nothing any more."""
    if not yes:
        click.confirm(f"Delete channel {channel_id}?", abort=True, err=True)
    link.change(
        lambda client: client.channels.delete(app, channel_id, environment=environment), f"deleted {channel_id}"
    )


@channels.command()
@app_argument
@click.argument("channel_id")
@environment_option
@content_options
@click.option("--ttl", type=Whole(0), metavar="SECONDS", help="How long APNs may keep it, if the channel stores.")
@click.option("--dry-run", is_flag=True, help="Check it and show the payload; nothing is sent.")
@connected
def broadcast(
    link: Link, app: str, channel_id: str, environment: str | None, ttl: int | None, dry_run: bool, **content: object
) -> None:
    """Send to everybody who follows a channel.

    \b
      heliogram channels broadcast shop dHN0LXN… --content @update.json
    where update.json has {"liveActivity": {"event": "update", "contentState": {"home": 1, "away": 0}}}
    """
    from ..client import Environment

    said, where = content_of(content), None if environment is None else Environment(environment)
    if dry_run:
        link.show(
            lambda client: client.channels.validate_broadcast(app, channel_id, said, environment=where, ttl=ttl),
            tell_trial,
        )
        return
    link.show(
        lambda client: client.channels.broadcast(app, channel_id, said, environment=where, ttl=ttl),
        lambda made: click.echo(f"accepted as {made.operation_id}"),
    )
