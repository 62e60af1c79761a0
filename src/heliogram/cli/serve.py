"""`heliogram serve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from ..configuration import SETTINGS
from ..settings import Role, ServeSettings, SettingsError
from .options import config_option, parameter, print_json, setting_option

F = TypeVar("F", bound=Callable[..., Any])


def serving_options(command: F) -> F:
    """All settings as options, and the file that they may stand in."""
    for setting in reversed(SETTINGS):
        command = setting_option(setting.name)(command)
    return config_option(command)


def serve_settings(given: Mapping[str, Any]) -> ServeSettings:
    """What `serving_options` gave. Not checked yet."""
    values = {setting.target: given[parameter(setting)] for setting in SETTINGS}
    values["hot_teams"] = {team: count for each in values["hot_teams"] for team, count in each.items()}
    return ServeSettings(**values)


@click.command()
@serving_options
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
def serve(as_json: bool, **given: Any) -> None:
    """Run the REST API and the delivery workers.

    Prints one line when it is ready. SIGTERM or Ctrl-C stops taking requests, finishes what is under way and exits 0;
    what is still queued goes on at the next start. A second one ends at once, and loses nothing either.

    One process uses one core. Where campaigns should go out faster, and there are cores to spare, --senders N starts N
    further processes that send them: one less than there are cores is a good number. The API and small sends stay with
    this process.

    Several nodes share a PostgreSQL database: start each with the same --store and the same --master-key, and say with
    --role what it does. Without --role every node does everything.

    Every option may also stand in the environment, as HELIOGRAM_NAME_OF_THE_OPTION, or in a file: see `heliogram config
    example`. The command line stands over the environment, that over the file.

    \b
    On your own machine, with the simulator in place of Apple:
      heliogram simulator --data ./data/simulator &
      heliogram serve --apns-production 127.0.0.1:2197 --apns-sandbox 127.0.0.1:2198 \\
                      --apns-cacert ./data/simulator/ca.pem
    """
    try:
        settings = serve_settings(given)
        settings.check()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None

    from ..app import StartError, run  # late: the imports of the server take a while, --help should not

    def ready(url: str) -> None:
        if as_json:
            print_json({"ready": True, "url": url, "data": str(settings.data)})
        elif Role.API not in settings.roles:
            roles = " and ".join(sorted(settings.roles))
            click.echo(f"heliogram ({roles}) is ready: {url}/health/ready says how it is")
        else:
            dashboard = f"dashboard at {url}/dashboard, " if settings.dashboard else ""
            kept = settings.data if settings.store is None else settings.store
            click.echo(f"heliogram is ready at {url} ({dashboard}API documentation at {url}/docs, data in {kept})")

    try:
        run(settings, ready)
    except StartError as error:
        raise click.ClickException(str(error)) from None
