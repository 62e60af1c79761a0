"""Devices from a file: CSV with a header, or a JSON object on each line; also another service's export."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import click

from .users import USER_ID

COLUMNS = {
    "token": 400,
    "userId": 60,
    "externalId": 255,
    "environment": 10,
    "kind": 20,
    "activityId": 128,
    "installationId": 128,
    "appVersion": 64,
    "locale": 128,
    "timeZone": 64,
}
"""What a line may say, and how many characters of it."""
_TOKEN = re.compile(r"(?:[0-9a-f]{2}){8,200}")
_DROPPED = str.maketrans("", "", "<> ")
_SPELLINGS = {re.sub("[-_ ]", "", name).lower(): name for name in COLUMNS} | {"timezoneid": "timeZone"}
_DELIMITERS = ",;\t"
_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Line(NamedTuple):
    """A line: what it says of a device, or what is wrong with it (`problem`), or why it is none of ours (`skipped`)."""

    number: int
    device: dict[str, str]
    problem: str = ""
    skipped: str = ""


class Devices:
    """The file. It may be walked over again and again; of a token that is there twice the second line is a problem."""

    def __init__(self, file: Path, kind: str | None, dialect: str | None) -> None:
        self.file = file
        self._foreign = None if dialect is None else DIALECTS[dialect]
        self._jsonl = (kind or _kind(file)) == "jsonl"

    def __repr__(self) -> str:
        return f"Devices({str(self.file)!r})"

    def lines(self) -> Iterator[Line]:
        """Every line that is not empty. Raises `click.UsageError` when the file as a whole cannot be used."""
        seen = dict[bytes, int]()
        try:
            with self.file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
                for line in self._of_json(opened) if self._jsonl else self._of_csv(opened):
                    if not line.device:
                        yield line
                        continue
                    raw = bytes.fromhex(line.device["token"])
                    before = seen.setdefault(raw, line.number)
                    yield (
                        line if before == line.number else Line(line.number, {}, f"token: that of line {before} again")
                    )
        except OSError as error:
            raise click.UsageError(f"{self.file}: {error.strerror}") from None

    def _of_csv(self, opened: TextIO) -> Iterator[Line]:
        header = opened.readline()
        delimiter = max(_DELIMITERS, key=header.count)
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        self._require_columns(names)
        rows = csv.reader(opened, delimiter=delimiter, strict=True)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(rows.line_num + 1, {}, f"no CSV: {error}")
                continue
            number = rows.line_num + 1
            if len(row) > len(names):
                yield Line(number, {}, f"{len(row)} columns, the header has {len(names)}")
            elif any(row):
                yield self._judged(number, dict(zip(names, row, strict=False)))

    def _of_json(self, opened: TextIO) -> Iterator[Line]:
        for number, text in enumerate(opened, 1):
            if not text.strip():
                continue
            try:
                found = json.loads(text)
            except ValueError as error:
                yield Line(number, {}, f"no JSON: {error}")
                continue
            except RecursionError:
                yield Line(number, {}, "no JSON: it is nested too deeply")
                continue
            if isinstance(found, dict):
                yield self._judged(number, {name: value for name, value in found.items() if value is not None})
            else:
                yield Line(number, {}, "expected a JSON object")

    def _require_columns(self, names: list[str]) -> None:
        known = names if self._foreign else [_SPELLINGS.get(_plain(name), "") for name in names]
        needed = "identifier" if self._foreign else "token"
        if needed not in known:
            raise click.UsageError(f"{self.file}:1: the first line names the columns, one of them {needed}")
        unknown = [name for name, place in zip(names, known, strict=True) if not place]
        if unknown:
            have = ", ".join(COLUMNS)
            raise click.UsageError(f"{self.file}:1: nobody knows the column {unknown[0]!r}; there are {have}")
        twice = sorted({name for name in known if known.count(name) > 1})
        if twice:
            raise click.UsageError(f"{self.file}:1: the column {twice[0]!r} is there twice")

    def _judged(self, number: int, values: dict[str, Any]) -> Line:
        if self._foreign is not None:
            values, skipped = self._foreign(values)
            if skipped:
                return Line(number, {}, skipped=skipped)
        device = {_SPELLINGS.get(_plain(name), name): value for name, value in values.items() if value != ""}
        problem = _problem(device)
        if problem:
            return Line(number, {}, problem)
        return Line(number, {**device, "token": device["token"].translate(_DROPPED).lower()})


def _kind(file: Path) -> str:
    found = _SUFFIXES.get(file.suffix.lower())
    if found is None:
        raise click.UsageError(f"{file}: is it CSV or JSONL? Say --format, or call it .csv or .jsonl")
    return found


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name).lower()


def _problem(device: dict[str, Any]) -> str:
    """What is wrong with a line; nothing when it is empty."""
    for name, value in device.items():
        if name not in COLUMNS:
            return f"nobody knows {name!r}; there are {', '.join(COLUMNS)}"
        if not isinstance(value, str) or not value.isprintable():
            return f"{name}: expected printable text in UTF-8"
        if name != "token" and len(value) > COLUMNS[name]:
            return f"{name}: too long, {len(value)} characters; at most {COLUMNS[name]}"
    token = device.get("token", "").translate(_DROPPED).lower()
    if not _TOKEN.fullmatch(token):
        return f"token: expected 16 to 400 hexadecimal digits, two for each byte, got {len(token)} characters"
    if "userId" in device and "externalId" in device:
        return "expected one of userId and externalId, got both"
    if not USER_ID.fullmatch(device.get("userId", "comms_pushnotificationuser_" + "0" * 26)):
        return "userId: expected comms_pushnotificationuser_…; your own name for a user is an externalId"
    if device.get("environment", "sandbox") not in ("production", "sandbox"):
        return "environment: expected production or sandbox"
    return ""


def _onesignal(row: dict[str, Any]) -> tuple[dict[str, str], str]:
    """A row of OneSignal's CSV export of subscriptions as a device; or why it is not one that APNs knows.

    Of its columns `identifier` is the device token, `device_type` 0 is iOS, `invalid_identifier` t is unsubscribed,
    `test_type` 1 a development build (OneSignal's reference, "Export subscriptions CSV" and "Player").
    """
    text = {name: "" if value is None else str(value).strip() for name, value in row.items()}
    if text.get("device_type", "0").lower() not in ("0", "ios", "iospush"):
        return {}, "not an iOS device"
    if text.get("invalid_identifier", "f").lower() in ("t", "true", "1"):
        return {}, "unsubscribed"
    if not text.get("identifier"):
        return {}, "without a token"
    device = {
        "token": text["identifier"],
        "externalId": text.get("external_user_id") or text.get("external_id", ""),
        "environment": "sandbox" if text.get("test_type") == "1" else "",
        "appVersion": text.get("game_version", ""),
        "locale": text.get("language", ""),
        "timeZone": text.get("timezone_id", ""),
    }
    return {name: value for name, value in device.items() if value}, ""


DIALECTS: dict[str, Callable[[dict[str, Any]], tuple[dict[str, str], str]]] = {"onesignal": _onesignal}
