"""Option types and small helpers that several commands use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..settings import STORE_SCHEMES, Address, SettingsError, Url


class AddressType(click.ParamType[Address]):
    """`HOST:PORT`, `[IPv6]:PORT` or `:PORT`."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """The address of a command-line word."""
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value), option=(param.opts[0] if param is not None else "address"))
        except SettingsError as error:
            self.fail(str(error).split(": ", 1)[1], param, ctx)


ADDRESS = AddressType()
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)

data_option = click.option(
    "--data",
    type=DIRECTORY,
    default=Path("data"),
    show_default="./data",
    envvar="HELIOGRAM_DATA",
    help="The directory of the database and the master key (made with mode 0700).",
)


class StoreType(click.ParamType[Url]):
    """`postgresql://user@host/database`."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Url:
        """The address of a command-line word."""
        if isinstance(value, Url):
            return value
        try:
            return Url.parse(str(value), option="--store", schemes=STORE_SCHEMES)
        except SettingsError as error:
            self.fail(str(error).split(": ", 1)[1], param, ctx)


store_option = click.option(
    "--store",
    type=StoreType(),
    metavar="URL",
    envvar="HELIOGRAM_STORE",
    show_envvar=True,
    help="postgresql://user@host/database, which several nodes share, in place of the database in --data. A password"
    " belongs in ~/.pgpass or the environment: everybody on the machine can read command lines.",
)


elsewhere_option = click.option(
    "--store",
    metavar="URL",
    envvar="HELIOGRAM_STORE",
    help="Not here: says what to use with PostgreSQL.",
)
"""Of commands for the embedded database: see `require_embedded`."""


def require_embedded(store: str | None, instead: str) -> None:
    """Ends a command that is for the embedded database where PostgreSQL is meant: `--store` was given, or the
    environment names it and no directory was. `instead` is what to do there."""
    source = click.get_current_context().get_parameter_source
    named = bool(store) and source("data") is ParameterSource.DEFAULT
    if not named and source("store") is not ParameterSource.COMMANDLINE:
        return
    raise click.UsageError(
        f"this is for the embedded database alone, and --store (or HELIOGRAM_STORE) names PostgreSQL: {instead}; an"
        " embedded database is named by --data"
    )


def print_json(value: object) -> None:
    """Prints a value as one line of JSON, for programs."""
    click.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
