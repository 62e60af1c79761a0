"""Copying a database while others write into it, and making a database out of such a copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import msgspec

from ...durable import sync
from ..errors import NotADatabase, SchemaTooNew, StoreError, StoreUnavailable
from ..moving import notes
from . import statements
from .check import damage, owner_problem
from .connection import (
    BUSY_TIMEOUT_MS,
    as_store_error,
    connect,
    create_file,
    explained,
    opened_read_only,
    require_sqlite,
)
from .depth import recount
from .idempotency import let_go_of_keys
from .migrate import migrate

_sql = statements.load("check")
_work = statements.load("work")

STEP_PAGES = 1_000
"""Pages that are copied at once: 4 MB."""

Progress = Callable[[int, int], object]
"""Is told how many pages were copied, and of how many."""


def silent(done: int, total: int) -> None:
    """Tells nobody."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restored database holds: its schema before and now, and what waits to be sent. `kept` is where the
    database is whose place it took."""

    was_schema: int
    schema: int
    chunks: int
    recipients: int
    kept: Path | None = None


def back_up(source: Path, target: Path, progress: Progress = silent) -> int:
    """Copies the database at one moment, whoever writes meanwhile, into the new file `target` (mode 0600) and returns
    its bytes. The file is there whole or not at all, and stands alone, without a log beside it.

    While it runs nothing is kept waiting, but what is written meanwhile stays in the source's log. Raises `StoreError`;
    `StoreUnavailable` also when `target` is there already.
    """
    require_sqlite(apsw.sqlite_lib_version())
    if os.path.lexists(target):
        raise _is_there(target)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _drafted(draft):
        with opened_read_only(source) as connection:
            require_ours(connection, source)
            _copy(connection, draft, progress)
        _put(draft, target)
    return target.stat().st_size


class Restoring:
    """Makes a database out of a backup: checked, brought up to date and with every lease given back, then put in the
    place of `target`. `draft` is a file beside it that is written first."""

    def __init__(self, source: Path, draft: Path, target: Path) -> None:
        self._source, self._draft, self._target = source, draft, target

    def __repr__(self) -> str:
        return f"Restoring({str(self._source)!r})"

    def run(self, now: int, stamp: str, progress: Progress = silent) -> Restored:
        """Does it; a database that is there is kept beside, its name with `stamp`. Raises `StoreError` before anything
        but the draft was touched. Only for a process that knows it is alone on the target."""
        require_sqlite(apsw.sqlite_lib_version())
        self._draft.unlink(missing_ok=True)
        with _drafted(self._draft):
            with opened_read_only(self._source) as connection:
                was = require_ours(connection, self._source)
                _copy(connection, self._draft, progress)
            self._require_whole()
            restored = _bring_up_to_date(self._draft, was, now)
            sync(self._draft)
            kept = _keep_beside(self._target, stamp)
            self._draft.rename(self._target)
            sync(self._target.parent)
        return msgspec.structs.replace(restored, kept=kept)

    def _require_whole(self) -> None:
        with opened_read_only(self._draft) as connection, explained(self._source):
            problems = damage(connection)
        if problems:
            raise NotADatabase(f"{self._source} is damaged: {problems[0]}; restore another backup")


def _keep_beside(path: Path, stamp: str) -> Path | None:
    """Gives a database another name, and the log that may be beside it: it stays one that can be opened."""
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    if not any(file.exists() for file in files):
        return None
    with suppress(apsw.Error, StoreError):
        connect(path, busy_timeout_ms=BUSY_TIMEOUT_MS).close()  # brings its log in, if it is well
    kept = path.with_name(f"{path.name}.replaced-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.replaced-{stamp}-{number}")
    for file in files:  # a log without its database goes, too: it would be taken for the new one's
        with suppress(FileNotFoundError):
            file.rename(file.with_name(kept.name + file.name.removeprefix(path.name)))
    return kept


def require_ours(connection: apsw.Connection, path: Path) -> int:
    """The schema's version. Raises `NotADatabase`, or `SchemaTooNew`."""
    version, problem, too_new = owner_problem(connection, path)
    if problem is not None:
        raise (SchemaTooNew if too_new else NotADatabase)(problem)
    return version


def _copy(source: apsw.Connection, draft: Path, progress: Progress) -> None:
    create_file(draft)
    with _blamed(source, draft):
        target = apsw.Connection(os.fspath(draft), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with target.backup("main", source, "main") as copying:
                while not copying.done:
                    copying.step(STEP_PAGES)
                    progress(copying.page_count - copying.remaining, copying.page_count)
            target.pragma("journal_mode", "DELETE")  # one file that stands alone
        finally:
            target.close()


@contextmanager
def _blamed(source: apsw.Connection, draft: Path) -> Iterator[None]:
    """What goes wrong while copying is the disk's, or else the source's."""
    try:
        yield
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise as_store_error(error, draft) from error
    except apsw.Error as error:
        raise as_store_error(error, Path(source.filename)) from error


def _bring_up_to_date(draft: Path, was: int, now: int) -> Restored:
    with explained(draft):
        connection = connect(draft, busy_timeout_ms=BUSY_TIMEOUT_MS)
        try:
            schema = migrate(connection, draft)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_work.release_all, {"now": now})
            let_go_of_keys(connection)
            recount(connection)
            notes.remove(connection)  # a move to PostgreSQL that was under way is none from here
            waiting: Any = connection.execute(_sql.waiting).fetchone()
            connection.execute("COMMIT")
        finally:
            connection.close()
    return Restored(was_schema=was, schema=schema, chunks=waiting[0], recipients=waiting[1])


@contextmanager
def _drafted(draft: Path) -> Iterator[None]:
    """Leaves no draft behind, however it ends. Errors of the file system become `StoreUnavailable`."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot write {error.filename or draft}: {error.strerror}") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                draft.with_name(draft.name + suffix).unlink()


def _put(draft: Path, target: Path) -> None:
    """Gives the draft its name, which nobody has."""
    sync(draft)
    try:
        os.link(draft, target)  # unlike a rename, it never replaces
    except FileExistsError:
        raise _is_there(target) from None
    except OSError:  # a file system without links
        draft.rename(target)
    sync(target.parent)


def _is_there(target: Path) -> StoreUnavailable:
    return StoreUnavailable(f"{target} is there already: give the name of a file that is not")
