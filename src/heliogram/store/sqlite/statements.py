"""SQL lives in `.sql` files beside this module, one named statement after another::

-- name: find_key
-- The key with this id, of whichever account.
SELECT …;
"""

from __future__ import annotations

import re
from importlib import resources

_PACKAGE = "heliogram.store.sqlite"
_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\n-- (\S.*)\n", re.MULTILINE)


class Statements:
    """The statements of one file, as attributes."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        heads = list(_NAME.finditer(text))
        preface = text[: heads[0].start()].splitlines() if heads else []
        if not heads or any(line and not line.startswith("--") for line in preface):
            raise ValueError(f"{source}: expected '-- name: …' and a one-line description before each statement")
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=True):
            if head[1] in self.__dict__:
                raise ValueError(f"{source}: {head[1]} is there twice")
            self.__dict__[head[1]] = text[head.end() : end].strip().removesuffix(";")

    def __getattr__(self, name: str) -> str:
        raise AttributeError(f"{self._source} has no statement named {name}")

    def __repr__(self) -> str:
        return f"Statements({self._source}, statements={len(self.__dict__) - 1})"


def load(name: str) -> Statements:
    """The statements of `sql/<name>.sql`."""
    source = f"sql/{name}.sql"
    text = resources.files(_PACKAGE).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return Statements(text, source)
