"""Opening the file: SQLite's version, file modes, pragmas."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ..errors import (
    Conflict,
    NotADatabase,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    StoreUnavailable,
    UnsupportedDatabase,
)

MIN_SQLITE = (3, 51, 3)
"""Versions before it may corrupt a WAL database that two connections write or checkpoint at one moment."""
APPLICATION_ID = 0x48454C47
"""`HELG`: says in the file's header whose it is."""
BUSY_TIMEOUT_MS = 10_000
_CACHED_STATEMENTS = 200
_WRITER_CACHE_KIB = 16_384
_READER_CACHE_KIB = 1_024
"""A reader's cache is void after every commit, so nothing in a large one is found again; a small one stays in the
processor's own caches, which makes a look-up among millions a fifth cheaper."""
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
        kind = _kind_of(error.errno or 0)
        raise kind(f"cannot create the database {path}: {error.strerror}") from error


def connect(path: Path, *, busy_timeout_ms: int) -> apsw.Connection:
    """A connection set up for durability. Raises `StoreError` saying what is wrong with the file."""
    with explained(path):
        connection = apsw.Connection(
            os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=_CACHED_STATEMENTS
        )
        try:
            with explained(path, connection):
                _set_up(connection, path, busy_timeout_ms)
        except BaseException:
            connection.close()
            raise
    return connection


def _set_up(connection: apsw.Connection, path: Path, busy_timeout_ms: int) -> None:
    connection.set_busy_timeout(busy_timeout_ms)
    # Else a statement whose plan might do better with another value is prepared anew whenever one is bound to it, which
    # costs several times what it does; every statement here is to have one plan.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    for pragma, value in (
        ("mmap_size", 0),  # an I/O error on a mapped page is a crash
        ("auto_vacuum", "INCREMENTAL"),  # acts on a new file only
        ("synchronous", "FULL"),
        ("foreign_keys", 1),
        ("cache_size", -_WRITER_CACHE_KIB),
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
    connection.pragma("cache_size", -_READER_CACHE_KIB)
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
def explained(path: Path, connection: apsw.Connection | None = None) -> Iterator[None]:
    """Turns SQLite's errors about the file into `StoreError`; with the connection, the system's own are told apart."""
    try:
        yield
    except apsw.Error as error:
        raise as_store_error(error, path, 0 if connection is None else connection.system_errno) from error


def _kind_of(number: int) -> type[StoreUnavailable]:
    """What the system's error number says of the disk."""
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreFull
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreReadOnly
    return StoreUnavailable


def as_store_error(error: apsw.Error, path: Path, system_errno: int = 0) -> StoreError:
    """What an SQLite error means to the operator; `system_errno` is the connection's, for errors of the disk."""
    code = getattr(error, "extendedresult", 0)
    match error:
        case apsw.NotADBError():
            return NotADatabase(f"{path} is not an SQLite database: move it away, or give another path")
        case apsw.CorruptError() | apsw.FormatError():
            return StoreDamaged(
                f"the database {path} is damaged ({error}): `heliogram check` says where; restore it from a backup"
            )
        case apsw.ReadOnlyError() if code == apsw.SQLITE_READONLY_DBMOVED:
            return StoreGone(f"the database {path} was moved beneath the running service: move it back")
        case apsw.IOError() | apsw.FullError() | apsw.ReadOnlyError():
            return _of_the_disk(error, path, system_errno)
        case apsw.CantOpenError() | apsw.PermissionsError():
            return _not_opened(path, system_errno)
        case apsw.BusyError() | apsw.LockedError():
            return StoreUnavailable(f"another process keeps the database {path} locked")
        case apsw.ConstraintError():
            return Conflict(f"the database refused it: {error}")
        case _:
            return StoreUnavailable(f"the database {path} failed: {type(error).__name__}: {error}")


def _not_opened(path: Path, system_errno: int) -> StoreError:
    for place in (path.parent, path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if place.exists() and not os.access(place, os.W_OK):
            return StoreReadOnly(f"cannot open the database {path} for writing: {place} is read-only; make it writable")
    more = f" ({os.strerror(system_errno)})" if system_errno else ""
    kind = _kind_of(system_errno)
    return kind(f"cannot open the database {path} for writing{more}: check its directory and modes")


def _of_the_disk(error: apsw.Error, path: Path, system_errno: int) -> StoreError:
    kind = _kind_of(system_errno) if isinstance(error, apsw.IOError) else StoreUnavailable
    room = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    if isinstance(error, apsw.FullError) or room or kind is StoreFull:
        return StoreFull(f"no space is left for the database {path}: make room in {path.parent}")
    if isinstance(error, apsw.ReadOnlyError) or kind is StoreReadOnly:
        return StoreReadOnly(
            f"cannot open the database {path} for writing: it, its -wal and -shm files or its file system are"
            f" read-only; make {path.parent} and what is in it writable"
        )
    more = f": {os.strerror(system_errno)}" if system_errno else ""
    return StoreUnavailable(f"the disk of the database {path} failed ({error}){more}: see the system's log")


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
