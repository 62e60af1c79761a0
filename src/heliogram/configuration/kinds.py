"""What a setting's value may be: read from a word of the command line or the environment, or taken from TOML.

`read` and `take` raise `ValueError` with what was expected; the caller says where. A kind whose value may be secret
never repeats what it was given.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..settings import ALL_ROLES, Address, Role, Url, parse_hot_teams, parse_roles, parse_urls

_TOML_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}


def _got(value: object) -> str:
    """The type of a value from TOML, in words: the value itself may be a secret."""
    return _TOML_TYPES.get(type(value), "a table" if isinstance(value, Mapping) else "a date")


def _bare(error: ValueError) -> ValueError:
    """The same without the name of the option in front."""
    return ValueError(str(error).split(": ", 1)[1])


@dataclass(frozen=True)
class Kind(ABC):
    """A kind of value. `words` is what the reference calls it, `metavar` what --help does."""

    words: ClassVar[str] = "text"
    metavar: ClassVar[str] = "TEXT"

    @abstractmethod
    def read(self, text: str) -> Any:
        """The value of a word."""

    def take(self, value: Any, base: Path) -> Any:
        """The value of a TOML value; what is relative is relative to `base`, the file's directory."""
        if not isinstance(value, str):
            raise ValueError(f"expected {self.words} as text, in quotation marks; got {_got(value)}")
        return self.read(value)

    def show(self, value: Any) -> Any:
        """As JSON, without secrets."""
        return None if value is None else str(value)

    def toml(self, value: Any) -> str:
        """As it stands in a file."""
        return json.dumps(self.show(value), ensure_ascii=False)

    @property
    def bounds(self) -> str:
        """What it may be, in words; empty when that is all said."""
        return ""


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number from `least` to `most`."""

    least: int
    most: int
    words: ClassVar[str] = "a whole number"
    metavar: ClassVar[str] = "N"

    def read(self, text: str) -> int:
        """Digits, nothing else but a sign."""
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise ValueError(f"expected {self.bounds}, a whole number; got {text!r}")
        return self._bounded(int(text))

    def take(self, value: Any, base: Path) -> int:
        """A TOML integer."""
        if type(value) is not int:
            raise ValueError(f"expected a whole number, {self.bounds}; got {_got(value)}")
        return self._bounded(value)

    def show(self, value: Any) -> Any:
        """The number."""
        return value

    def _bounded(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise ValueError(f"expected {self.bounds}, got {value}")
        return value

    @property
    def bounds(self) -> str:
        """From where to where."""
        return f"{self.least} to {self.most}"


@dataclass(frozen=True)
class Number(Kind):
    """A number from `least` to `most`."""

    least: float
    most: float
    words: ClassVar[str] = "a number"
    metavar: ClassVar[str] = "NUMBER"

    def read(self, text: str) -> float:
        """As Python reads a float; never NaN or infinite."""
        try:
            return self._bounded(float(text))
        except ValueError:
            raise ValueError(f"expected {self.bounds}, a number; got {text!r}") from None

    def take(self, value: Any, base: Path) -> float:
        """A TOML integer or float."""
        if type(value) not in (int, float):
            raise ValueError(f"expected a number, {self.bounds}; got {_got(value)}")
        return self._bounded(float(value))

    def show(self, value: Any) -> Any:
        """The number, without a fraction of nothing."""
        return value if value is None or value % 1 else int(value)

    def _bounded(self, value: float) -> float:
        if math.isnan(value) or not self.least <= value <= self.most:
            raise ValueError(f"expected {self.bounds}, got {value:g}")
        return value

    @property
    def bounds(self) -> str:
        """From where to where."""
        return f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class Flag(Kind):
    """Yes or no."""

    words: ClassVar[str] = "true or false"
    metavar: ClassVar[str] = ""

    def read(self, text: str) -> bool:
        """The words that click takes, too."""
        word = text.strip().lower()
        if word in ("1", "true", "t", "yes", "y", "on"):
            return True
        if word in ("0", "false", "f", "no", "n", "off"):
            return False
        raise ValueError(f"expected true or false, got {text!r}")

    def take(self, value: Any, base: Path) -> bool:
        """A TOML boolean."""
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, without quotation marks; got {_got(value)}")
        return value

    def show(self, value: Any) -> Any:
        """True or false."""
        return value


@dataclass(frozen=True)
class OneOf(Kind):
    """One of a few words."""

    choices: tuple[str, ...]
    words: ClassVar[str] = "a word"

    def read(self, text: str) -> str:
        """The word, in lower case."""
        if text.lower() not in self.choices:
            raise ValueError(f"expected {self.bounds}; got {text!r}")
        return text.lower()

    @property
    def bounds(self) -> str:
        """The words."""
        return f"one of {', '.join(self.choices)}"


@dataclass(frozen=True)
class PathTo(Kind):
    """A file or a directory. In a configuration file a relative one starts at that file's directory."""

    directory: bool = False
    words: ClassVar[str] = "a path"
    metavar: ClassVar[str] = "PATH"

    def read(self, text: str) -> Path:
        """Any text without NUL."""
        if not text or "\0" in text:
            raise ValueError("expected a path")
        return Path(text)

    def take(self, value: Any, base: Path) -> Path:
        """Relative to the file."""
        path: Path = super().take(value, base)
        return base / path


@dataclass(frozen=True)
class HostPort(Kind):
    """Where to listen or to connect to."""

    words: ClassVar[str] = "an address"
    metavar: ClassVar[str] = "HOST:PORT"

    def read(self, text: str) -> Address:
        """`HOST:PORT`, `[IPv6]:PORT` or `:PORT`."""
        try:
            return Address.parse(text)
        except ValueError as error:
            raise _bare(error) from None


@dataclass(frozen=True)
class UrlOf(Kind):
    """The address of another service, which may hold a password."""

    schemes: tuple[str, ...]
    words: ClassVar[str] = "a URL"
    metavar: ClassVar[str] = "URL"

    def read(self, text: str) -> Any:
        """One address."""
        try:
            return Url.parse(text.strip(), option="", schemes=self.schemes)
        except ValueError as error:
            raise _bare(error) from None

    @property
    def bounds(self) -> str:
        """What it begins with."""
        return " or ".join(f"{scheme}://…" for scheme in self.schemes)


@dataclass(frozen=True)
class ProxyUrl(UrlOf):
    """The address of a proxy, which may hold a password."""

    words: ClassVar[str] = "a URL with a port"

    def read(self, text: str) -> Any:
        """One proxy as the engine takes it."""
        from ..apns.proxy import Proxy  # late: the engine is imported where there is a proxy

        try:
            Proxy.parse(text.strip())
        except ValueError as error:
            raise _bare(error) from None
        return Url(text.strip())


@dataclass(frozen=True)
class UrlsOf(UrlOf):
    """Several of them, with commas between, or as a list."""

    words: ClassVar[str] = "URLs, with commas between"

    def read(self, text: str) -> tuple[Url, ...]:
        """With commas between."""
        try:
            return parse_urls(text, option="", schemes=self.schemes)
        except ValueError as error:
            raise _bare(error) from None

    def take(self, value: Any, base: Path) -> tuple[Url, ...]:
        """Text, or a list of texts."""
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(url for each in value for url in self.read(each))
        found: tuple[Url, ...] = super().take(value, base)
        return found

    def show(self, value: Any) -> Any:
        """The addresses, without passwords."""
        return [str(url) for url in value]


@dataclass(frozen=True)
class Roles(Kind):
    """What a node does."""

    words: ClassVar[str] = "words, with commas between"
    metavar: ClassVar[str] = "ROLE,…"

    def read(self, text: str) -> frozenset[Role]:
        """With commas between, or `all`."""
        try:
            return parse_roles(text)
        except ValueError as error:
            raise _bare(error) from None

    def take(self, value: Any, base: Path) -> frozenset[Role]:
        """Text, or a list of texts."""
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return self.read(",".join(value))
        found: frozenset[Role] = super().take(value, base)
        return found

    def show(self, value: Any) -> Any:
        """As it is written."""
        return "all" if value == ALL_ROLES else ",".join(role for role in Role if role in value)

    @property
    def bounds(self) -> str:
        """The words."""
        return f"{', '.join(Role)}, or all"


@dataclass(frozen=True)
class Counts(Kind):
    """A number for each of some names: `NAME=N` pairs, in TOML a table."""

    words: ClassVar[str] = "NAME=N, with commas between; in TOML a table"
    metavar: ClassVar[str] = "TEAM=N"

    def read(self, text: str) -> dict[str, int]:
        """Pairs with commas between."""
        return self.gather(each.strip() for each in text.split(",") if each.strip())

    def gather(self, pairs: Iterable[str]) -> dict[str, int]:
        """What several words say together."""
        try:
            return parse_hot_teams(pairs)
        except ValueError as error:
            raise _bare(error) from None

    def take(self, value: Any, base: Path) -> dict[str, int]:
        """A table of whole numbers."""
        if not isinstance(value, dict) or not all(type(count) is int for count in value.values()):
            raise ValueError("expected a table of whole numbers, such as { ABCDE12345 = 4 }")
        return dict(value)

    def show(self, value: Any) -> Any:
        """The table."""
        return dict(value)

    def toml(self, value: Any) -> str:
        """An inline table."""
        return "{ " + ", ".join(f"{name} = {count}" for name, count in value.items()) + " }"
