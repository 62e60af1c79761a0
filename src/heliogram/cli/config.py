"""`heliogram config`: what is configured, whether it is right, and a file to begin with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..configuration import BY_NAME, SETTINGS, ConfigError, ConfigFile, Entry, Setting, find_file, read_file
from ..configuration.file import nearest
from ..configuration.reference import example as example_file
from ..configuration.table import CONFIG, MASTER_KEY, PREFIX
from ..settings import ServeSettings
from .data import as_json_option
from .options import config_file, parameter, print_json
from .serve import serve_settings, serving_options

HIDDEN = "(hidden)"
OTHER_VARIABLES = frozenset(
    {
        CONFIG,
        MASTER_KEY,
        *(
            PREFIX + name
            for name in ("URL", "API_KEY", "PROFILE", "PROXY", "PURE", "OWN_TERMINAL", "TEST_STORE", "SCREENSHOTS")
        ),
    }
)
"""Variables of ours that are no settings of `serve`."""


@click.group()
def config() -> None:
    """Show, check and begin the configuration of `heliogram serve`.

    Each setting has one name: --queue-shards, HELIOGRAM_QUEUE_SHARDS, queue_shards in heliogram.toml. The command line
    stands over the environment, that over the file, that over the default.
    """


@config.command()
@serving_options
@as_json_option
@click.pass_context
def show(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Show each setting's value and where it comes from, as `heliogram serve` with the same options would take it.

    Secrets are hidden; addresses of other services are shown without user and password.
    """
    file = config_file(ctx)
    settings = serve_settings(given)
    rows = [_row(ctx, file, setting, settings) for setting in SETTINGS]
    if os.environ.get(MASTER_KEY):
        rows.append({"name": "master_key", "value": HIDDEN, "from": "environment", "where": MASTER_KEY})
    if as_json:
        print_json({"file": None if file is None else str(file.path), "settings": rows})
        return
    click.echo(f"configuration file: {'none' if file is None else file.path}")
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {_shown(row):<34}  {row['where'] or row['from']}")


def _row(ctx: click.Context, file: ConfigFile | None, setting: Setting, settings: ServeSettings) -> dict[str, Any]:
    source = ctx.get_parameter_source(parameter(setting))
    value = getattr(settings, setting.target)
    origin, where = "default", ""
    if source is ParameterSource.COMMANDLINE:
        origin, where = "command line", setting.option
    elif source is ParameterSource.ENVIRONMENT:
        origin, where = "environment", _variable(setting)
    elif source is ParameterSource.DEFAULT_MAP:
        entries: Mapping[str, Entry] = {} if file is None else file.entries
        name = next((each for each in (setting.name, f"{setting.name}_file") if each in entries), None)
        if file is not None and name is not None:
            origin, where = "file", file.where(name)
        else:
            origin, where = "credential", f"systemd credential {setting.credential}"
    return {"name": setting.name, "value": setting.kind.show(value), "from": origin, "where": where}


def _variable(setting: Setting) -> str:
    return setting.variable if os.environ.get(setting.variable) else f"{setting.variable}_FILE"


def _shown(row: Mapping[str, Any]) -> str:
    value = row["value"]
    if value in (None, [], {}):
        setting = BY_NAME[row["name"]]
        return f"({setting.empty})" if len(setting.empty) < 34 else "-"
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@as_json_option
def check(file: Path | None, as_json: bool) -> None:
    """Check the configuration FILE, or the one that would be used together with the environment.

    Says all that is wrong at once: unknown names with the nearest known one, wrong types, bounds, files that are not
    there, and what does not go together. With FILE, the environment is left out.

    \b
    Exit code: 0 all is well, 1 there are problems (one line each on standard output), 2 wrong usage.
    """
    environ: Mapping[str, str] = {} if file is not None else os.environ
    path = file if file is not None else find_file(None, environ, here=Path())
    problems, notes = examine(path, environ)
    if as_json:
        print_json({"file": _text(path), "ok": not problems, "problems": problems, "notes": notes})
    else:
        for line in problems:
            click.echo(line)
        for line in notes:
            click.echo(f"note: {line}", err=True)
        if not problems:
            click.echo(f"{_text(path) or 'the environment (there is no configuration file)'} is well")
    raise SystemExit(1 if problems else 0)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def examine(path: Path | None, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What is wrong with a file and an environment together; and what is no error, but worth a look."""
    problems: list[str] = []
    read = ConfigFile(Path())
    if path is not None:
        try:
            read = read_file(path)
        except ConfigError as error:
            problems += error.problems
        problems += read.problems
    values = {name: entry.value for name, entry in read.entries.items() if name in BY_NAME}
    for setting in SETTINGS:
        values |= _of_environment(setting, environ, problems)
        values |= _of_secret_file(setting, read, environ, values, problems)
    together = {BY_NAME[name].target: value for name, value in values.items()}
    problems += ServeSettings(**together).problems()
    return problems, notes_of(path, read, environ)


def notes_of(path: Path | None, file: ConfigFile | None, environ: Mapping[str, str]) -> list[str]:
    """What is no error, but worth a look."""
    exposed = () if file is None else _exposed(path, file)
    return [*exposed, *_unknown_variables(environ)]


def _of_environment(setting: Setting, environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    text = environ.get(setting.variable)
    if not text:
        return {}
    try:
        return {setting.name: setting.kind.read(text)}
    except ValueError as error:
        problems.append(f"{setting.variable}: {error}")
        return {}


def _of_secret_file(
    setting: Setting, file: ConfigFile, environ: Mapping[str, str], values: Mapping[str, Any], problems: list[str]
) -> dict[str, Any]:
    """What stands in the file that is named in a secret's place."""
    if not setting.secret:
        return {}
    variable, name = f"{setting.variable}_FILE", f"{setting.name}_file"
    if environ.get(variable) and environ.get(setting.variable):
        problems.append(f"{variable}: give {setting.variable} or {variable}, not both")
        return {}
    if environ.get(variable):
        where, path = variable, Path(environ[variable])
    elif name in file.entries and setting.name not in values:
        where, path = file.where(name), file.entries[name].value
    else:
        return {}
    try:
        return {setting.name: setting.kind.read(path.read_text().strip())}
    except OSError as error:
        problems.append(f"{where}: {path}: {error.strerror}")
    except ValueError as error:
        problems.append(f"{where}: {path}: {error}")
    return {}


def _exposed(path: Path | None, file: ConfigFile) -> Iterator[str]:
    """A password in a file that everybody may read."""
    secrets = [name for name in file.entries if name in BY_NAME and BY_NAME[name].secret]
    for name in secrets:
        value = file.entries[name].value
        texts = [url.text for url in (value if isinstance(value, tuple) else (value,))]
        if any("@" in text and ":" in text.split("://", 1)[1].split("@", 1)[0] for text in texts):
            mode = 0 if path is None else path.stat().st_mode
            if mode & 0o077:
                yield f"{file.where(name)}: {name} holds a password and others may read the file: chmod 600 {path}"


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = {setting.variable for setting in SETTINGS} | set(OTHER_VARIABLES)
    known |= {f"{setting.variable}_FILE" for setting in SETTINGS if setting.secret}
    known |= {f"{PREFIX}CREDENTIAL"}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            like = nearest(name.removeprefix(PREFIX), BY_NAME)
            hint = f"; did you mean {BY_NAME[like].variable}?" if like else ""
            yield f"the environment variable {name} is none that is read{hint}"


@config.command()
def example() -> None:
    """Print a configuration file with every setting, explained and left at its default.

    \b
    heliogram config example > heliogram.toml
    """
    click.echo(example_file(), nl=False)
