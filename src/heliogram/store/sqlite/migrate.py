"""Numbered forward migrations. `user_version` in the file's header says which have run."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import apsw

from ..errors import NotADatabase, SchemaTooNew, UpgradeRefused
from .connection import APPLICATION_ID, explained

_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


def migrations() -> dict[int, str]:
    """The scripts by number, from 1 without a gap."""
    found = {}
    for entry in resources.files("heliogram.store.sqlite").joinpath("migrations").iterdir():
        match = _FILE.match(entry.name)
        if match:
            found[int(match[1])] = entry.read_text(encoding="utf-8")
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered from 1 without a gap: {sorted(found)}")
    return dict(sorted(found.items()))


def migrate(connection: apsw.Connection, path: Path, *, in_use: Callable[[], bool] = lambda: False) -> int:
    """Brings the schema up to date in one transaction and returns its version.

    Raises `SchemaTooNew` for a database of a later version, `NotADatabase` for one of another program, and
    `UpgradeRefused` for one of an earlier version that is `in_use`: what its service accepted from then on would not
    be written as this version reads it.
    """
    scripts = migrations()
    with explained(path, connection), _Immediate(connection):
        version = _version(connection)
        _check_owner(connection, path, version)
        if version > len(scripts):
            raise SchemaTooNew(
                f"the database {path} has schema {version}, this version of heliogram knows up to {len(scripts)}:"
                " run the newer heliogram, or restore the backup made before the upgrade"
            )
        if 0 < version < len(scripts) and in_use():
            raise UpgradeRefused(
                f"the database {path} has schema {version}, and the service that is using it is of that version: stop"
                f" it first, this version of heliogram brings the database to schema {len(scripts)}"
            )
        for number, script in scripts.items():
            if number > version:
                for _ in connection.execute(script):
                    pass
        connection.pragma("user_version", len(scripts))
        connection.pragma("application_id", APPLICATION_ID)
    return len(scripts)


def _version(connection: apsw.Connection) -> int:
    value = connection.pragma("user_version")
    return value if isinstance(value, int) else 0


def _check_owner(connection: apsw.Connection, path: Path, version: int) -> None:
    if connection.pragma("application_id") == APPLICATION_ID:
        return
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if tables or version:
        raise NotADatabase(f"{path} is the SQLite database of another program: give another path")


class _Immediate:
    """A write transaction from its first moment, so that two processes that start together do not both migrate."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:  # a full disk ends it by itself
            self._connection.execute("ROLLBACK")
