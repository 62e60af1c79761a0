"""Commands that work on a data directory or a database, and at a running service when one is named."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from .data import as_json_option
from .remote import link_to, told_in_words

_OPTIONS = (
    click.option(
        "--remote",
        is_flag=True,
        help="Work at a running service, over its API: that of HELIOGRAM_URL, or of the last `heliogram login`.",
    ),
    click.option("--url", envvar="HELIOGRAM_URL", metavar="URL", help="Work at the running service with this address."),
    click.option(
        "--api-key",
        envvar="HELIOGRAM_API_KEY",
        metavar="KEY",
        help="keyId.secret of an admin key there; better in HELIOGRAM_API_KEY or in a profile (`heliogram login`).",
    ),
    click.option(
        "--profile",
        envvar="HELIOGRAM_PROFILE",
        metavar="NAME",
        help="Work at the running service that `heliogram login` keeps as NAME.",
    ),
    as_json_option,
)
_THERE = ("url", "api_key", "profile")
"""Each of these on the command line means a running service. In the environment they say which one --remote is."""
_HERE = ("data", "store", "account", "master_key")


def here_or_there(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command options for both, and as its first argument a `Link`, or None for what is on this machine."""

    @functools.wraps(command)
    def run(remote: bool, url: str | None, api_key: str | None, profile: str | None, **rest: Any) -> None:
        source = click.get_current_context().get_parameter_source
        given = [name for name in (*_THERE, *_HERE) if source(name) is ParameterSource.COMMANDLINE]
        there = [name for name in given if name in _THERE]
        here = [name for name in given if name in _HERE]
        if not remote and not there:
            _here(command, **rest)
            return
        if here:
            wanted = "--remote" if remote else _option(there[0])
            raise click.UsageError(
                f"{_option(here[0])} is for what is on this machine, {wanted} for a running service: leave one out"
            )
        if "profile" in there:  # who names a profile means it, whatever the variables say
            url, api_key = (value if name in there else None for name, value in (("url", url), ("api_key", api_key)))
        with told_in_words() as trouble:
            trouble.link = link_to(url, api_key, profile, as_json=bool(rest["as_json"]))
            command(trouble.link, **rest)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def _here(command: Callable[..., None], **given: Any) -> None:
    try:
        command(None, **given)
    except click.ClickException as error:
        if error.message.startswith("there is no database"):
            more = "; a service that runs elsewhere: --profile, --url or --remote"
            raise click.ClickException(error.message + more) from None
        raise


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
