"""What is wrong with lines of a file, by their lines: the service names them by their place in a request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from .bulk_file import Line
from .showing import clean

if TYPE_CHECKING:
    from ..client import HeliogramError, Trial

_PLACE = re.compile(r"\$\.to\[([0-9]+)\]\.?(.*)", re.DOTALL)


class Refusal(NamedTuple):
    """What the service says of a line."""

    line: Line
    problem: str


def refusals(error: HeliogramError, lines: list[Line]) -> tuple[list[Refusal], HeliogramError]:
    """What the service says of lines that it was sent, each line once, and the error without that."""
    from ..client import HeliogramError

    found, others = list[Refusal](), []
    for each in error.errors:
        refusal = _refusal(each.context, each.message, lines)
        if refusal is None:
            others.append(each)
        else:
            found.append(refusal)
    if not found:
        return [], error
    rest = HeliogramError(
        error.status,
        error.code,
        error.title,
        error.detail,
        others,
        retry_after=error.retry_after,
        repeated=error.repeated,
    )
    return _once(found), rest


def may_be_left_out(rest: HeliogramError) -> bool:
    """Whether the others can be sent to without the lines that were refused: nothing else is wrong."""
    return rest.status in (400, 404) and not rest.errors


def failing(trial: Trial, lines: list[Line]) -> list[Refusal]:
    """The lines whose notifications would be FAILED, as far as the service tells them."""
    found = (_refusal(each.context, f"{each.reason}; {each.cure}", lines) for each in trial.problems)
    return [each for each in found if each is not None]


def _once(found: list[Refusal]) -> list[Refusal]:
    """With all that is wrong with a line told together."""
    problems = dict[int, Refusal]()
    for line, problem in found:
        before = problems.get(line.number)
        problems[line.number] = Refusal(line, problem if before is None else f"{before.problem} {problem}")
    return [*problems.values()]


def _refusal(context: str | None, message: str, lines: list[Line]) -> Refusal | None:
    place = _PLACE.fullmatch(context or "")
    if place is None or int(place[1]) >= len(lines):
        return None
    return Refusal(lines[int(place[1])], f"{place[2]}: {message}" if place[2] else message)


def without(lines: list[Line], refused: list[Refusal]) -> list[Line]:
    """The lines of which nothing bad was said."""
    gone = {line.number for line, _ in refused}
    return [line for line in lines if line.number not in gone]


def complain(file: Path, line: Line, problem: str) -> None:
    """Says on standard error what is wrong with a line: the file's name, the line's number, the recipient."""
    whom = f" {line.whom}:" if line.whom else ""
    click.echo(f"{file}:{line.number}:{clean(whom)} {clean(problem)}", err=True)
