"""Option types and small helpers that several commands use."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from ..configuration import BY_NAME, ConfigError, ConfigFile, Setting, find_file, read_file
from ..configuration.kinds import Counts, Flag, Number, OneOf, PathTo, Roles, Whole
from ..configuration.table import CONFIG, MASTER_KEY
from ..settings import Address, SettingsError

F = TypeVar("F", bound=Callable[..., Any])

_FILE = "heliogram.config"
_LENIENT = "heliogram_lenient"
_SECRETS = "heliogram.secret-files"
_OBEYED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys though it may stand in JSON as it is."""
_RANKS = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT)
MAX_SECRET = 16_384
"""Bytes of a file that holds a secret."""


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


class SettingType(click.ParamType[Any]):
    """What a setting may be, see `heliogram.configuration.kinds`."""

    envvar_list_splitter = ","

    def __init__(self, setting: Setting) -> None:
        self.kind = setting.kind
        self.name = setting.kind.words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value of a word; what the file gave has been read already."""
        if not isinstance(value, str):
            return value
        try:
            return self.kind.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Words, files or directories, where that is what is expected."""
        if isinstance(self.kind, OneOf):
            return [CompletionItem(word) for word in self.kind.choices if word.startswith(incomplete)]
        if isinstance(self.kind, PathTo):
            return [CompletionItem(incomplete, type="dir" if self.kind.directory else "file")]
        return []


class SecretOption(click.Option):
    """A setting that may be given by a file, too: whichever was said nearer to the command line counts."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """The value with its source."""
        value, source = super().consume_value(ctx, opts)
        path, other = ctx.meta.get(_SECRETS, {}).get(self.name, (None, ParameterSource.DEFAULT))
        if path is None or _rank(other) < _rank(source):
            return value, source
        if other is source:
            name = self.opts[0]
            raise click.UsageError(f"give {name} or {name}-file, not both (each may be in the environment, too)", ctx)
        try:
            with path.open("rb") as file:
                text = file.read(MAX_SECRET + 1).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise click.UsageError(f"{self.opts[0]}-file: {path}: {reason}", ctx) from None
        if not 0 < len(text) <= MAX_SECRET:
            raise click.UsageError(f"{self.opts[0]}-file: {path}: expected one line, got {len(text)} characters", ctx)
        return text, other


def _rank(source: ParameterSource) -> int:
    return _RANKS.index(source) if source in _RANKS else len(_RANKS)


def setting_option(name: str) -> Callable[[F], F]:
    """The option of a setting as the table describes it; of a secret, that for its file as well."""
    setting = BY_NAME[name]
    made = [_option(setting)]
    if setting.secret:
        made.append(_secret_file(setting))

    def decorate(command: F) -> F:
        for each in reversed(made):
            command = each(command)
        return command

    return decorate


def _option(setting: Setting) -> Callable[[F], F]:
    names = [f"{setting.option}/--no-{setting.option[2:]}"] if isinstance(setting.kind, Flag) else [setting.option]
    more: dict[str, Any] = {}
    if isinstance(setting.kind, Counts):
        more = {"multiple": True}
    elif setting.default is not None:
        more = {"default": setting.default}
    if not isinstance(setting.kind, Flag):
        more |= {"type": SettingType(setting), "metavar": _metavar(setting)}
    return click.option(
        *names,
        *setting.older,
        parameter(setting),
        cls=SecretOption if setting.secret else click.Option,
        envvar=setting.variable,
        show_default=_default_shown(setting),
        help=_help(setting),
        **more,
    )


def _default_shown(setting: Setting) -> bool | str:
    """What is no value is said in words, which click puts into brackets."""
    if isinstance(setting.kind, Flag | Counts | PathTo):
        return "./data" if setting.name == "data" else False
    return setting.default_words if setting.default in (None, ()) or isinstance(setting.kind, Roles) else True


def _help(setting: Setting) -> str:
    bounds = f" {setting.kind.bounds.capitalize()}." if isinstance(setting.kind, Whole | Number) else ""
    return setting.meaning + bounds


def _metavar(setting: Setting) -> str:
    return f"[{'|'.join(setting.kind.choices)}]" if isinstance(setting.kind, OneOf) else setting.kind.metavar


def parameter(setting: Setting) -> str:
    """The name under which commands get a setting."""
    return "master_key" if setting.name == "master_key_file" else setting.name


def _secret_file(setting: Setting) -> Callable[[F], F]:
    def keep(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
        source = ctx.get_parameter_source(param.name or "") or ParameterSource.DEFAULT
        ctx.meta.setdefault(_SECRETS, {})[setting.name] = (value, source)

    return click.option(
        f"{setting.option}-file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=f"{setting.variable}_FILE",
        is_eager=True,
        expose_value=False,
        callback=keep,
        help=f"The file that {setting.option} stands in.",
    )


def _load(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Has the file's settings stand in for what neither the command line nor the environment says."""
    if ctx.resilient_parsing:
        return
    path = find_file(value, os.environ, here=Path())
    file = ConfigFile(path or Path())
    if path is not None:
        try:
            file = read_file(path)
        except ConfigError as error:
            file = ConfigFile(path, problems=error.problems)
    if file.problems and not getattr(ctx.command.callback, _LENIENT, False):
        raise click.UsageError("\n".join(file.problems), ctx)
    ctx.meta[_FILE] = file if path is not None else None
    ctx.default_map = {**(ctx.default_map or {}), **_credentials(file), **_defaults(file)}


def lenient(callback: F) -> F:
    """For a command that tells the file's problems itself, and goes on with what is right in it."""
    setattr(callback, _LENIENT, True)
    return callback


def _defaults(file: ConfigFile) -> dict[str, Any]:
    found = {name: entry.value for name, entry in file.entries.items()}
    if "hot_team" in found:
        found["hot_team"] = [found["hot_team"]]
    key = found.pop("master_key_file", None)
    if key is not None and not os.environ.get(MASTER_KEY):  # the environment stands over the file
        found["master_key"] = key
    return found


def _credentials(file: ConfigFile) -> dict[str, Any]:
    """Secrets that systemd hands over, where the file has none."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    secrets = [each for each in BY_NAME.values() if each.secret] if folder else []
    silent = [each for each in secrets if not {each.name, f"{each.name}_file"} & set(file.entries)]
    there = {f"{each.name}_file": Path(folder) / each.credential for each in silent}
    return {name: path for name, path in there.items() if path.is_file()}


def config_file(ctx: click.Context) -> ConfigFile | None:
    """The configuration file that a command was given or found."""
    found: ConfigFile | None = ctx.meta.get(_FILE)
    return found


config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    envvar=CONFIG,
    is_eager=True,
    expose_value=False,
    callback=_load,
    help="The configuration file (TOML); default: ./heliogram.toml, else /etc/heliogram/heliogram.toml, if there.",
)


def data_option(command: F) -> F:
    """`--data`, and `--config`, which may name it."""
    return config_option(setting_option("data")(command))


store_option = setting_option("store")
master_key_option = setting_option("master_key_file")

elsewhere_option = click.option(
    "--store",
    metavar="URL",
    envvar="HELIOGRAM_STORE",
    help="Not here: says what to use with PostgreSQL.",
)
"""Of commands for the embedded database: see `require_embedded`."""


def require_embedded(store: object, instead: str) -> None:
    """Ends a command that is for the embedded database where PostgreSQL is meant: `--store` was given, or the
    environment or the file names it and no directory was given. `instead` is what to do there."""
    ctx = click.get_current_context()
    source, file = ctx.get_parameter_source, config_file(ctx)
    by_file = os.environ.get("HELIOGRAM_STORE_FILE") or (file is not None and "store_file" in file.entries)
    named = bool(store or by_file) and source("data") in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    if not named and source("store") is not ParameterSource.COMMANDLINE:
        return
    raise click.UsageError(
        f"this is for the embedded database alone, and --store (or HELIOGRAM_STORE) names PostgreSQL: {instead}; an"
        " embedded database is named by --data"
    )


def print_json(value: object) -> None:
    """Prints a value as one line of JSON, for programs; a terminal that shows it obeys nothing of it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    click.echo(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
