"""The data directory: who may read it, how much room there is, how fast the disk is, whether the database is whole."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from ..datadir import DATABASE, StartError, is_served, require_here
from ..security.masterkey import FILE_NAME, MasterKeyError, load_master_key
from ..store.errors import StoreError
from ..store.sqlite.check import owner_problem
from ..store.sqlite.connection import opened_read_only
from ..store.sqlite.migrate import migrations
from .finding import Finding, failed, ok, warning

LEAST_FREE, ENOUGH_FREE = 100 << 20, 1 << 30
"""Bytes: below the first nothing can be accepted soon, below the second somebody should look."""
SLOW_MS = 20.0
"""A commit waits for one fsync: a disk that needs longer is no local SSD."""
WRITES = 20
QUICK_BYTES = 1 << 30
"""A larger database is not read through here."""


def directory(data: Path, may: Callable[[Path, int], bool] = os.access) -> Iterator[Finding]:
    """Whether it is there, ours, and ours alone."""
    place = "data directory"
    if not data.exists():
        parent = next(each for each in data.absolute().parents if each.exists())
        if may(parent, os.W_OK | os.X_OK):
            yield ok(place, f"{data} is not there yet: the first start makes it")
        else:
            yield failed(place, f"{data} is not there, and {parent} cannot be written to", "make it, or give --data")
        return
    if not data.is_dir():
        yield failed(place, f"{data} is no directory", "give another with --data")
        return
    mode = stat.S_IMODE(data.stat().st_mode)
    if not may(data, os.R_OK | os.W_OK | os.X_OK):
        yield failed(
            place, f"{data} cannot be written to by this user", "run it as its owner, or give another with --data"
        )
    elif mode & 0o077:
        yield warning(place, f"{data} is open to other users (mode {mode:04o})", f"chmod 700 {data}")
    else:
        yield ok(place, f"{data}, mode {mode:04o}{', in use by a service' if is_served(data) else ''}")
    yield from _modes(data)
    try:
        require_here(data)
    except StartError as error:
        yield failed(place, str(error), "use --store in place of --data")


def _modes(data: Path) -> Iterator[Finding]:
    for file in (data / DATABASE, data / FILE_NAME):
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if mode & 0o077:
            yield warning("permissions", f"others may read {file} (mode {mode:04o})", f"chmod 600 {file}")


def room(data: Path, free: Callable[[Path], tuple[int, int]]) -> Iterator[Finding]:
    """Disk space where it is, or will be."""
    place = next(each for each in (data.absolute(), *data.absolute().parents) if each.exists())
    left, whole = free(place)
    text = f"{_size(left)} of {_size(whole)} free in {place}"
    if left < LEAST_FREE:
        yield failed("disk space", text, "make room: below this nothing is accepted for long")
    elif left < ENOUGH_FREE:
        yield warning("disk space", text, "make room, or keep things for fewer days (--retention-days)")
    else:
        yield ok("disk space", text)


def free_space(place: Path) -> tuple[int, int]:
    """Bytes that this user may still write, and of all."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def disk(data: Path, timer: Callable[[], float] = time.perf_counter) -> Iterator[Finding]:
    """How long a commit takes: a few writes with fsync into a file that is removed again."""
    if not data.is_dir() or not os.access(data, os.W_OK | os.X_OK):
        return
    probe = data / f".doctor.{os.getpid()}"
    took = []
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(WRITES):
                begun = timer()
                os.write(handle, bytes(4096))
                os.fsync(handle)
                took.append((timer() - begun) * 1000)
        finally:
            os.close(handle)
            probe.unlink()
    except OSError as error:
        yield failed("fsync", f"cannot write to {data}: {error.strerror}", "make room, or mend the disk")
        return
    text = f"{median(took):.1f} ms a write, {max(took):.1f} ms at worst ({WRITES} tried)"
    if median(took) > SLOW_MS:
        yield warning("fsync", text, "put --data on a local SSD: every request waits for one")
    else:
        yield ok("fsync", text)


def master_key(data: Path, file: Path | None, *, shared: bool) -> Iterator[Finding]:
    """Whether there is one that can be used; it is not shown."""
    missing = not shared and not (data / FILE_NAME).exists()
    try:
        ring = load_master_key(data, file=file, make=False)
    except MasterKeyError as error:
        if missing and not (data / DATABASE).exists() and str(error).startswith("there is no"):
            yield ok("master key", "there is none yet: the first start makes it")
        elif missing and str(error).startswith("there is no"):
            cure = f"put the copy that you kept at {data / FILE_NAME} (mode 0600): a new one opens no stored credential"
            yield failed("master key", f"there is a database in {data}, and no master key", cure)
        else:
            yield failed("master key", str(error), "see: heliogram config show, and docs/howto/configure.md")
        return
    yield ok("master key", f"from {ring.where or ring.source.value} (id {ring.first.id.hex()})")


def database(data: Path) -> Iterator[Finding]:
    """Whose it is, its schema, and a quick look for damage. Reads alone, beside a service, too."""
    file = data / DATABASE
    if not file.is_file():
        yield ok("database", f"there is none in {data} yet: the first start makes it")
        return
    try:
        with opened_read_only(file) as connection:
            schema, problem, _ = owner_problem(connection, file)
            if problem is not None:
                yield failed("database", problem, "see: heliogram check")
                return
            size = file.stat().st_size
            told = f"{file}: schema {schema}, {_size(size)}"
            if size > QUICK_BYTES:
                yield ok("database", f"{told}; not read through, for that: heliogram check")
                return
            lines = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except StoreError as error:
        yield failed("database", str(error), "see: heliogram check, and docs/howto/back-up-and-restore.md")
        return
    if lines != ["ok"]:
        yield failed("database", f"{file} is damaged: {'; '.join(lines)}", "heliogram check; then restore a backup")
    elif schema < len(migrations()):
        yield warning("database", f"{told}, no damage", f"the next start brings it to schema {len(migrations())}")
    else:
        yield ok("database", f"{told}, no damage")


def _size(count: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024  # type: ignore[assignment] # a fraction from here on
    return f"{count:.1f} TiB"
