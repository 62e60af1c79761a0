"""PostgreSQL's text for each statement of the embedded store, found by the statement's key.

The files in `sql/` have the names of the embedded store's, and so have the statements in them. Values are written
`:name` here, too, and become `$1`, `$2`, … when a file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from ..sqlite.statements import Statement, load_all

PACKAGE = "heliogram.store.postgres"
_VALUE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|(?<![:\w]):([a-z_][a-z0-9_]*)")

Values = Mapping[str, Any] | Sequence[Any]


class Text:
    """A statement as PostgreSQL gets it, and how the job's values become its arguments."""

    __slots__ = ("_pick", "names", "sql")

    def __init__(self, sql: str) -> None:
        names: list[str] = []

        def number(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:  # a literal, or a comment
                return match[0]
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"

        self.sql = _VALUE.sub(number, sql)
        self.names = tuple(names)
        self._pick: Callable[[Any], Any] | None = itemgetter(*names) if names else None

    def __repr__(self) -> str:
        return f"Text(names={len(self.names)}, characters={len(self.sql)})"

    def arguments(self, values: Values) -> Sequence[Any]:
        """The values in their order. Those of a sequence are in it already. Raises `KeyError` for one that is not
        there."""
        if not isinstance(values, dict):
            return tuple(values)
        if self._pick is None:
            return ()
        picked = self._pick(values)
        return picked if len(self.names) > 1 else (picked,)


class NoSuchStatement(LookupError):
    """A job asked for a statement that has no text for PostgreSQL."""


@cache
def catalogue() -> dict[str, Text]:
    """All texts by their keys."""
    return {key: Text(statement) for key, statement in load_all(PACKAGE).items()}


def text_of(statement: str) -> Text:
    """PostgreSQL's text for a statement of the embedded store; other text is taken as it is. Raises
    `NoSuchStatement`."""
    if not isinstance(statement, Statement):
        return Text(statement)
    found = catalogue().get(statement.key)
    if found is None:
        raise NoSuchStatement(f"store/postgres/sql/{statement.source}.sql has no statement named {statement.name}")
    return found
