"""SQL lives in `.sql` files beside this module, one named statement after another::

-- name: find_key
-- The key with this id, of whichever account.
SELECT …;
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

_PACKAGE = "heliogram.store.sqlite"
_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\n-- (\S.*)\n", re.MULTILINE)


class Statement(str):
    """The text of a statement that knows where it stands, so that another database's text for it can be found."""

    __slots__ = ("key", "name", "source")
    key: str
    """The file's name and its own, with a full stop between: `keys.find_key`."""
    name: str
    source: str

    @classmethod
    def of(cls, text: str, source: str, name: str) -> Statement:
        """`source` is the file's name without path and ending."""
        made = cls(text)
        made.source, made.name, made.key = source, name, f"{source}.{name}"
        return made


class Statements:
    """The statements of one file, as attributes."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        file = source.rpartition("/")[2].removesuffix(".sql")
        heads = list(_NAME.finditer(text))
        preface = text[: heads[0].start()].splitlines() if heads else []
        if not heads or any(line and not line.startswith("--") for line in preface):
            raise ValueError(f"{source}: expected '-- name: …' and a one-line description before each statement")
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=True):
            if head[1] in self.__dict__:
                raise ValueError(f"{source}: {head[1]} is there twice")
            body = text[head.end() : end].strip().removesuffix(";")
            self.__dict__[head[1]] = Statement.of(body, file, head[1])

    def __iter__(self) -> Iterator[Statement]:
        return (each for each in self.__dict__.values() if isinstance(each, Statement))

    def __getattr__(self, name: str) -> Statement:
        raise AttributeError(f"{self._source} has no statement named {name}")

    def __repr__(self) -> str:
        return f"Statements({self._source}, statements={len(self.__dict__) - 1})"


def load(name: str, package: str = _PACKAGE) -> Statements:
    """The statements of `sql/<name>.sql` beside the package's modules."""
    source = f"sql/{name}.sql"
    text = resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return Statements(text, source)


def load_all(package: str = _PACKAGE) -> dict[str, Statement]:
    """Every statement of a package, by its key."""
    names = sorted(entry.name.removesuffix(".sql") for entry in resources.files(package).joinpath("sql").iterdir())
    return {statement.key: statement for name in names for statement in load(name, package)}
