"""`heliogram demo`: the main job, end to end, each step shown as it happens."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from ..options import DIRECTORY
from .narrator import Narrator
from .processes import Processes, StepFailed
from .story import Story
from .terminal import own_terminal


@click.command()
@click.option("--once", is_flag=True, help="Stop, with exit code 0, as soon as the phone has the notification.")
@click.option(
    "--data",
    type=DIRECTORY,
    default=Path("data"),
    show_default="./data",
    help="The directory of the database, the master key and what the demo remembers.",
)
def demo(once: bool, data: Path) -> None:
    """Show the whole way from nothing to a notification on a virtual iPhone.

    Starts the service and an APNs simulator beside it, makes an API key and a .p8 signing key, lets a virtual iPhone
    register and forward its device token, and sends to its user, showing each request and answer. Then it keeps
    running until Ctrl-C, so that you can go on by hand. A second run reuses its app, credential and keys.
    """
    narrator = Narrator()
    with own_terminal(), Processes(data, narrator) as processes:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            story = Story(data, processes, narrator)
            story.tell()
            if once:
                click.echo(
                    "\nEverything is stopped again. Without ONCE=1 (--once) it keeps running, to look around in."
                )
            else:
                story.stay()
        except StepFailed as error:
            narrator.failed(str(error))
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            narrator.bye()
