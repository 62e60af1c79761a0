"""Tables and figures for people: readable in 80 columns, and plain text when it goes into a pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 10_000
"""Columns of a pipe: nothing is cut or broken there."""
_ID = re.compile(r"[a-z_]+_[0-9a-z]{26}|-")
_ROOM, _ROOM_OF_ID = 7, 20
"""Characters of a column that is folded, beside those that are kept in one piece."""


def console(*, err: bool = False) -> Console:
    """The terminal with its colours, or a plain and wide one for pipes."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, no_color=True, force_terminal=False, width=_WIDE, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table; `empty` says what to do when there is nothing yet."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        click.echo(empty, err=True)
        return
    if not sys.stdout.isatty():
        _plain(columns, cells)
        return
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    whole = _whole(cells, terminal.width)
    made = Table(box=None, pad_edge=False, header_style="bold")
    for at, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=at in whole)
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    terminal.print(made)


def details(pairs: Iterable[tuple[str, object]]) -> None:
    """Name and value of each, below each other; what is None is left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value is not None]
    width = max(len(name) for name, _ in shown)
    for name, text in shown:
        click.echo(f"{name:<{width}}  {text}")


def when(moment: datetime | None) -> str | None:
    """A moment as people and programs read it: in UTC, to the second."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def plural(count: int, word: str) -> str:
    """`1 device`, `2 devices`, `1,000 devices`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def clean(text: str) -> str:
    """Text of others without what a terminal would obey."""
    return "".join(each if each.isprintable() else "�" for each in text)


def masked(token: str) -> str:
    """A token by its ends."""
    return token if len(token) <= 12 else f"{token[:6]}…{token[-6:]}"


def tell_push(headers: Mapping[str, str], payload: Mapping[str, Any] | None) -> None:
    """The headers of a push, and its payload as JSON that means the same and gives no orders to a terminal."""
    if headers:
        details(headers.items())
    if payload is not None:
        text = json.dumps(payload, ensure_ascii=False, indent=2)
        click.echo("".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return when(value) or ""
    return clean(str(value))


def _whole(rows: Sequence[Sequence[str]], width: int) -> set[int]:
    """The columns of ids, which one wants to copy in one piece, as far as they leave the others room."""
    columns = range(len(rows[0]))
    widest = [max(len(row[at]) for row in rows) for at in columns]
    ids = {at for at in columns if all(_ID.fullmatch(row[at]) for row in rows)}
    need = [min(widest[at], _ROOM_OF_ID if at in ids else _ROOM) for at in columns]
    left, whole = width - 2 * len(need) - sum(need), set[int]()
    for at in sorted(ids):
        more = widest[at] - need[at]
        if more <= left:
            left -= more
            whole.add(at)
    return whole


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [[each.upper() for each in columns], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())
