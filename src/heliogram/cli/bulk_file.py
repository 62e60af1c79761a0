"""Recipients from a file: CSV with a header, or a JSON object on each line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from .showing import masked
from .users import USER_ID

if TYPE_CHECKING:
    from ..client import Recipient

IDS = ("token", "userId", "externalId")
"""Columns of which each line has one."""
PROVIDER, ERROR = "provider", "heliogram_error"
"""Columns that are no variables: who carries a token, and what an earlier run said of the line."""
MAX_VARIABLES, MAX_TEXT = 100, 16_384
MAX_WHOM = 64
"""Characters of a user's name that are told beside a line's number."""
_TOKEN = re.compile(r"(?:[0-9A-Fa-f]{2}){8,200}")
_VARIABLE = re.compile(r"[A-Za-z_][\w-]{0,63}")
_SPELLINGS = {"userid": "userId", "user_id": "userId", "externalid": "externalId", "external_id": "externalId"}
_DELIMITERS = ",;\t"


class Line(NamedTuple):
    """A line: its recipient, or what is wrong with it. `number` is that of its first line in the file, `raw` what
    stands there, for the file of rejects, and `whom` whom it names, as far as it does."""

    number: int
    recipient: Recipient | None
    problem: str
    raw: Any
    whom: str = ""


class Source:
    """The file. It may be walked over again and again."""

    def __init__(self, file: Path, kind: str | None) -> None:
        self.file = file
        self.kind = kind or _kind(file)
        self.columns: list[str] = []
        """Of a CSV file: its header. Of a JSONL file: the variables that were met on the way."""
        self.delimiter = ","

    def __repr__(self) -> str:
        return f"Source({str(self.file)!r}, {self.kind})"

    def lines(self) -> Iterator[Line]:
        """Every line that is not empty. Raises `click.UsageError` when the file as a whole cannot be used."""
        try:
            with self.file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
                yield from self._csv(opened) if self.kind == "csv" else self._jsonl(opened)
        except OSError as error:
            raise click.UsageError(f"{self.file}: {error.strerror}") from None

    def _csv(self, opened: TextIO) -> Iterator[Line]:
        header = opened.readline()
        self.delimiter = max(_DELIMITERS, key=header.count)
        self.columns = _header(next(csv.reader([header], delimiter=self.delimiter), []), self.file)
        rows = csv.reader(opened, delimiter=self.delimiter, strict=True)
        while True:
            number = rows.line_num + 2  # beside the header; a quoted text may go on for lines
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(number, None, f"no CSV: {error}", [])
                continue
            if any(row):
                yield self._row(number, row)

    def _row(self, number: int, row: list[str]) -> Line:
        if len(row) > len(self.columns):
            problem = f"{len(row)} columns, the header has {len(self.columns)}"
            return Line(number, None, problem, row, _whom(dict(zip(self.columns, row, strict=False))))
        values = {name: text for name, text in zip(self.columns, row, strict=False) if text != ""}
        return _judged(number, values, {name: values[name] for name in values if _is_variable(name)}, row)

    def _jsonl(self, opened: TextIO) -> Iterator[Line]:
        seen = dict[str, None]()
        for number, text in enumerate(opened, 1):
            if not text.strip():
                continue
            try:
                found = json.loads(text, parse_constant=_no_number)
            except ValueError as error:
                yield Line(number, None, f"no JSON: {error}", text)
                continue
            except RecursionError:
                yield Line(number, None, "no JSON: it is nested too deeply", text)
                continue
            if not isinstance(found, dict):
                yield Line(number, None, "expected a JSON object", text)
                continue
            values: dict[str, Any] = {
                _SPELLINGS.get(str(name).lower(), str(name)): value for name, value in found.items()
            }
            nested = values.pop("variables", None)
            variables = {name: value for name, value in values.items() if _is_variable(name)}
            if nested is not None and (variables or not isinstance(nested, dict)):
                problem = "variables: expected an object, and no variables beside it"
                yield Line(number, None, problem, text, _whom(values))
                continue
            variables = variables if nested is None else nested
            seen.update(dict.fromkeys(variables))
            self.columns = [*seen]
            yield _judged(number, values, variables, text)

    def rejects(self, opened: TextIO) -> Callable[[Line, str], None]:
        """Writes lines to a file of their own, with what is wrong with each; mended, it can be sent as it is."""
        if self.kind == "csv":
            out = csv.writer(opened, delimiter=self.delimiter, lineterminator="\n")
            columns = [name for name in self.columns if name != ERROR]
            out.writerow([*columns, ERROR])
            return lambda line, problem: out.writerow(
                [*(line.raw[: len(columns)] + [""] * (len(columns) - len(line.raw))), problem]
            )

        def write(line: Line, problem: str) -> None:
            try:
                found = json.loads(line.raw, parse_constant=_no_number)
            except (ValueError, RecursionError):
                found = {"line": line.raw.rstrip("\n").encode("utf-8", "replace").decode()}
            if isinstance(found, dict):
                opened.write(json.dumps({**found, ERROR: problem}, ensure_ascii=True) + "\n")

        return write


def require_regular(file: Path) -> None:
    """Refuses a pipe or a device: the file is read twice, and the second time there would be nothing left."""
    if not file.is_file():
        raise click.UsageError(f"{file}: expected a regular file, for it is read twice; put the lines into one")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _kind(file: Path) -> str:
    kinds = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    found = kinds.get(file.suffix.lower())
    if found is None:
        raise click.UsageError(f"{file}: is it CSV or JSONL? Say --format, or call it .csv or .jsonl")
    return found


def _header(names: list[str], file: Path) -> list[str]:
    columns = [_SPELLINGS.get(name.strip().lower(), name.strip()) for name in names]
    if not {*columns} & {*IDS}:
        raise click.UsageError(f"{file}:1: the first line names the columns, one of them token, userId or externalId")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise click.UsageError(f"{file}:1: the column {twice[0]!r} is there twice")
    for name in columns:
        if _is_variable(name) and not _VARIABLE.fullmatch(name):
            expected = "letters, digits, '_' and '-', a letter first, at most 64"
            raise click.UsageError(f"{file}:1: {name!r} cannot be a variable: expected {expected}")
    return columns


def _is_variable(name: str) -> bool:
    return name not in (*IDS, PROVIDER, ERROR)


def _judged(number: int, values: dict[str, Any], variables: dict[str, Any], raw: Any) -> Line:
    from ..client import Provider, Recipient

    problem, whom = _problem(values, variables), _whom(values)
    if problem:
        return Line(number, None, problem, raw, whom)
    by_token = "token" in values
    return Line(
        number,
        Recipient(
            token=values.get("token"),
            provider=Provider(values.get(PROVIDER, "APN")) if by_token else None,
            user_id=values.get("userId"),
            external_id=values.get("externalId"),
            variables=variables or None,
        ),
        "",
        raw,
        whom,
    )


def _whom(values: dict[str, Any]) -> str:
    """Whom a line names: a user as it stands there, a token by its ends. Nothing where it names none, or several."""
    named = [name for name in IDS if isinstance(values.get(name), str) and values[name]]
    if len(named) != 1:
        return ""
    text: str = values[named[0]]
    return masked(text) if named[0] == "token" else text[:MAX_WHOM]


def _problem(values: dict[str, Any], variables: dict[str, Any]) -> str:
    """What is wrong with a line; nothing when it is empty."""
    named = [name for name in IDS if values.get(name) is not None]
    if len(named) != 1:
        return f"expected one of token, userId and externalId, got {' and '.join(named) or 'none'}"
    [name], text = named, values[named[0]]
    if not isinstance(text, str) or not text.isprintable():
        return f"{name}: expected printable text in UTF-8"
    if values.get(PROVIDER, "APN") not in ("APN", "FCM"):
        return "provider: expected APN or FCM"
    if name == "token" and values.get(PROVIDER, "APN") == "APN" and not _TOKEN.fullmatch(text):
        return f"token: expected 16 to 400 hexadecimal digits, two for each byte, got {len(text)} characters"
    if name == "userId" and not USER_ID.fullmatch(text):
        return "userId: expected comms_pushnotificationuser_…; your own name for a user is an externalId"
    if len(text) > (255 if name == "externalId" else 4096):
        return f"{name}: too long, {len(text)} characters"
    if len(variables) > MAX_VARIABLES:
        return f"{len(variables)} variables, at most {MAX_VARIABLES} are possible"
    return _bad_text(variables)


def _bad_text(variables: dict[str, Any]) -> str:
    for name, value in variables.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return f"{name}: {len(value):,} characters, at most {MAX_TEXT:,} are possible"
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return f"{name}: not in UTF-8"
    return ""
