"""Opening the file: SQLite's version, file modes, pragmas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ..errors import Conflict, NotADatabase, StoreError, StoreUnavailable, UnsupportedDatabase

MIN_SQLITE = (3, 51, 3)
"""Versions before it may corrupt a WAL database that two connections write or checkpoint at one moment."""
APPLICATION_ID = 0x48454C47
"""`HELG`: says in the file's header whose it is."""
BUSY_TIMEOUT_MS = 10_000
_CACHED_STATEMENTS = 200
_CACHE_KIB = 16_384
_WAL_KEPT = 64 << 20


def require_sqlite(version: str) -> None:
    """Raises `UnsupportedDatabase` for an SQLite older than `MIN_SQLITE`."""
    if tuple(int(part) for part in version.split(".")[:3]) < MIN_SQLITE:
        wanted = ".".join(map(str, MIN_SQLITE))
        raise UnsupportedDatabase(
            f"SQLite {version} can corrupt a WAL database; install an apsw that carries {wanted} or newer"
        )


def create_file(path: Path) -> None:
    """Makes an empty file that only we can read, unless there is one. SQLite gives its `-wal` and `-shm` the same
    mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreUnavailable(f"cannot create the database {path}: {error.strerror}") from error


def connect(path: Path, *, busy_timeout_ms: int) -> apsw.Connection:
    """A connection set up for durability. Raises `StoreError` saying what is wrong with the file."""
    with explained(path):
        connection = apsw.Connection(
            os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=_CACHED_STATEMENTS
        )
        try:
            _set_up(connection, path, busy_timeout_ms)
        except BaseException:
            connection.close()
            raise
    return connection


def _set_up(connection: apsw.Connection, path: Path, busy_timeout_ms: int) -> None:
    connection.set_busy_timeout(busy_timeout_ms)
    for pragma, value in (
        ("mmap_size", 0),  # an I/O error on a mapped page is a crash
        ("auto_vacuum", "INCREMENTAL"),  # acts on a new file only
        ("synchronous", "FULL"),
        ("foreign_keys", 1),
        ("cache_size", -_CACHE_KIB),
        ("journal_size_limit", _WAL_KEPT),
        ("temp_store", "MEMORY"),
    ):
        connection.pragma(pragma, value)
    mode = connection.pragma("journal_mode", "WAL")
    if mode != "wal":
        raise StoreUnavailable(f"the database {path} cannot use WAL (journal_mode={mode}); put it on a local disk")


def connect_reader(path: Path, *, busy_timeout_ms: int) -> apsw.Connection:
    """A connection that cannot write."""
    connection = connect(path, busy_timeout_ms=busy_timeout_ms)
    connection.pragma("query_only", 1)
    return connection


@contextmanager
def opened_read_only(path: Path) -> Iterator[apsw.Connection]:
    """A connection that cannot write, with one snapshot for all it reads. Works beside whoever writes."""
    with explained(path):
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # the snapshot is taken here
            yield connection
        finally:
            connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors about the file into `StoreError`."""
    try:
        yield
    except apsw.Error as error:
        raise as_store_error(error, path) from error


def as_store_error(error: apsw.Error, path: Path) -> StoreError:
    """What an SQLite error means to the operator."""
    match error:
        case apsw.NotADBError():
            return NotADatabase(f"{path} is not an SQLite database: move it away, or give another path")
        case apsw.CorruptError() | apsw.FormatError():
            return NotADatabase(f"the database {path} is damaged ({error}): restore it from a backup")
        case apsw.CantOpenError() | apsw.PermissionsError() | apsw.ReadOnlyError():
            return StoreUnavailable(f"cannot open the database {path} for writing: check its directory and modes")
        case apsw.BusyError() | apsw.LockedError():
            return StoreUnavailable(f"another process keeps the database {path} locked")
        case apsw.FullError():
            return StoreUnavailable(f"no space is left for the database {path}")
        case apsw.ConstraintError():
            return Conflict(f"the database refused it: {error}")
        case _:
            return StoreUnavailable(f"the database {path} failed: {type(error).__name__}: {error}")


_TROUBLE = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FormatError,
    apsw.FullError,
    apsw.IOError,
    apsw.InterruptError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
)


def is_trouble(error: BaseException) -> bool:
    """Whether an error is the database's own, and so of every job of a transaction."""
    return isinstance(error, _TROUBLE)
