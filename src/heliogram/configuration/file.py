"""The configuration file: where it is looked for, and what stands in it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from .kinds import Kind, PathTo
from .table import CONFIG, SETTINGS

NAME: Final = "heliogram.toml"
SYSTEM: Final = Path("/etc/heliogram") / NAME
MAX_BYTES: Final = 262_144
"""A configuration file is no larger: what is, is another file."""

_TABLE = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*([A-Za-z0-9_.\-"' ]+?)\s*=""")
_LINE = re.compile(r"\(at line (\d+), column \d+\)")


class ConfigError(ValueError):
    """The file cannot be used; `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class Entry(NamedTuple):
    """What the file says of one setting, and the line."""

    value: Any
    line: int | None


@dataclass(frozen=True)
class ConfigFile:
    """A file that was read: what it says by the setting's name (`store_file` beside `store`), and what is wrong."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict, repr=False)
    problems: list[str] = field(default_factory=list)

    def where(self, name: str) -> str:
        """`heliogram.toml:12`."""
        return _at(self.path, self.entries[name].line)


def kinds() -> dict[str, Kind]:
    """The kind of each key: the settings, and for secrets the files that hold them."""
    found: dict[str, Kind] = {}
    for setting in SETTINGS:
        found[setting.name] = setting.kind
        if setting.secret:
            found[f"{setting.name}_file"] = PathTo()
    return found


def find_file(named: str | None, environ: Mapping[str, str], *, here: Path, system: Path = SYSTEM) -> Path | None:
    """The file that is named, on the command line or by the environment; else the one in the working directory, else
    the machine's; None when there is neither. One that is named need not be there: reading it says so."""
    name = named or environ.get(CONFIG)
    if name:
        return Path(name)
    return next((path for path in (here / NAME, system) if path.is_file()), None)


def read_file(path: Path) -> ConfigFile:
    """Everything that is right and everything that is wrong in a file. Raises `ConfigError` when it cannot be read, or
    is no TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            [f"{path}: {error.strerror}: give the configuration file with --config or {CONFIG}"]
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError([f"{path}: it has more than {MAX_BYTES} bytes: is it another file?"])
    try:
        text = raw.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: it is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        line = int(found[1]) if found else None
        raise ConfigError([f"{_at(path, line)}: this is no TOML: {_LINE.sub('', str(error)).strip()}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: it is nested too deeply: is it another file?"]) from None
    return _taken(path, document, _lines(text))


def _taken(path: Path, document: dict[str, Any], lines: dict[str, int]) -> ConfigFile:
    known = kinds()
    read = ConfigFile(path)
    base = path.parent
    for name, value in _flat(document, known):
        line = _line_of(name, lines)
        if name not in known:
            read.problems.append(f"{_at(path, line)}: {_unknown(name, known)}")
            continue
        if name in read.entries:
            read.problems.append(f"{_at(path, line)}: {name} is given twice, by itself and in a table")
            continue
        try:
            read.entries[name] = Entry(known[name].take(value, base), line)
        except ValueError as error:
            read.problems.append(f"{_at(path, line)}: {name}: {error}")
    for setting in SETTINGS:
        both = (setting.name, f"{setting.name}_file")
        if setting.secret and all(name in read.entries for name in both):
            read.problems.append(f"{read.where(both[1])}: give {both[0]} or {both[1]}, not both")
    return read


def _flat(table: dict[str, Any], known: dict[str, Kind], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A table's name goes in front of the names in it: `[apns] cacert` is `apns_cacert`."""
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and name not in known and value:
            yield from _flat(value, known, f"{name}_")
        else:
            yield name, value


def nearest(name: str, known: Mapping[str, object]) -> str | None:
    """The known name that is most like this one, if any is."""
    plain = name.lower().replace("-", "_")
    return next(iter(difflib.get_close_matches(plain, known, 1, 0.6)), None)


def _unknown(name: str, known: Mapping[str, object]) -> str:
    like = nearest(name, known)
    if name == "master_key":
        return "the master key itself does not belong here: give its file, master_key_file"
    return f"there is no setting {name!r}" + (f"; did you mean {like}?" if like else "; see: heliogram config example")


def _at(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}:{line}"


def _lines(text: str) -> dict[str, int]:
    """The line on which each name stands, as far as that can be told without the parser's help."""
    found: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        table, key = _TABLE.match(line), _KEY.match(line)
        if table:
            prefix = _joined(table[1]) + "_"
            found.setdefault(prefix.removesuffix("_"), number)
        elif key:
            found.setdefault(prefix + _joined(key[1]), number)
    return found


def _joined(dotted: str) -> str:
    return "_".join(part.strip().strip("\"'") for part in dotted.split("."))


def _line_of(name: str, lines: dict[str, int]) -> int | None:
    """The name's own line; else that of what stands in front of it (a table on one line) or in it."""
    parts = name.split("_")
    outer = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((lines[each] for each in outer if each in lines), None)
