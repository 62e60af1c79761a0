"""`heliogram simulator`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..settings import Address
from .issue_certificate import issue_certificate
from .options import ADDRESS, DIRECTORY, FILE, print_json

if TYPE_CHECKING:
    from ..simulator.serve import Running
    from ..simulator.tables import TokenFloorScope

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FLOORS = ("connection", "key", "team", "off")


def _listener(name: str, default: str, what: str) -> Decorator:
    return click.option(f"--{name}", type=ADDRESS, default=default, show_default=True, help=what)


class _Command(click.Group):
    """Shows the order of checks under the options; the simulator is loaded only when somebody asks."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from ..simulator.rules import RULES
        from ..simulator.tables import STATUS

        with formatter.section("Order of checks"):
            formatter.write_dl([(f"{STATUS[rule.reason]} {rule.reason}", rule.basis) for rule in RULES])


@click.group(cls=_Command, invoke_without_command=True, subcommand_metavar="[COMMAND]")
@_listener("production", "127.0.0.1:2197", "Pushes to production tokens.")
@_listener("sandbox", "127.0.0.1:2198", "Pushes to sandbox tokens.")
@_listener("manage-production", "127.0.0.1:2196", "Channel management, production.")
@_listener("manage-sandbox", "127.0.0.1:2195", "Channel management, sandbox.")
@_listener("control", "127.0.0.1:8090", "The control API (HTTP): keys, devices, apps, what was asked and shown.")
@click.option(
    "--data",
    type=DIRECTORY,
    default=Path("data/simulator"),
    show_default="./data/simulator",
    help="Keeps the simulator's CA; clients trust DIR/ca.pem.",
)
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="A name or address that clients on other machines use, for its certificate; may be given again.",
)
@click.option(
    "--token-floor",
    type=click.Choice(FLOORS),
    show_default="connection",
    help="Who shares the 20 minutes between two provider tokens (TooManyProviderTokenUpdates): each connection alone, "
    "all connections of an address with the same team and key, all connections of a team, or nobody.",
)
@click.option(
    "--scenario",
    type=FILE,
    help="Begin with the devices, keys, channels … and settings of this document, as GET /scenario of the control API "
    "gives it.",
)
@click.option(
    "--set",
    "chosen",
    metavar="NAME=VALUE",
    multiple=True,
    help="A setting, for where Apple is silent; may be given again. `python -m heliogram.simulator --help` lists them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@click.pass_context
def simulator(
    ctx: click.Context,
    /,
    data: Path,
    names: tuple[str, ...],
    token_floor: TokenFloorScope | None,
    scenario: Path | None,
    chosen: tuple[str, ...],
    as_json: bool,
    **listeners: Address,
) -> None:
    """Run an APNs of your own: no device, no developer account, any language.

    It checks every push as Apple's service does, verifies provider tokens for real, and shows what arrives on virtual
    devices. Point a client at its address and let it trust DIR/ca.pem. Keys and devices live in memory.

    \b
    A first device, by hand:
      curl -d '{"name": "My iPhone", "platform": "ios"}' -H 'content-type: application/json' 127.0.0.1:8090/devices

    In a browser, http://127.0.0.1:8090 shows the devices and everything else. The control API behind it is documented
    at http://127.0.0.1:8090/docs.
    """
    if ctx.invoked_subcommand is not None:
        return
    from ..simulator import serve  # late: --help should not wait for it
    from ..simulator.__main__ import named
    from ..simulator.errors import SimulatorError
    from ..simulator.scenario import start_with

    def ready(running: Running) -> None:
        if as_json:
            addresses = {name: f"{host}:{port}" for name, (host, port) in running.ports.items()}
            print_json({"ready": True, **addresses, "control": running.control_url, "ca": str(running.ca_path)})
        else:
            click.echo(str(running))

    try:
        before = os.umask(0o077)  # a ./data made on the way is the service's too
        try:
            data.mkdir(parents=True, exist_ok=True)
        finally:
            os.umask(before)
        addresses: dict[str, Any] = {name: str(address) for name, address in listeners.items()}
        own = named(chosen) | ({} if token_floor is None else {"token_floor": token_floor})
        document, settings = start_with(scenario, own)
        options = serve.Options(data=data, settings=settings, scenario=document, names=names, **addresses)
        asyncio.run(serve.run(options, ready=ready))
    except OSError as error:
        raise click.ClickException(f"--data {data}: {error.strerror}") from None
    except (SimulatorError, ValueError) as error:
        raise click.ClickException(str(error)) from None


simulator.add_command(issue_certificate)
