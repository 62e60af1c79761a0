"""The data directory of the embedded store: one service has it at a time, commands may look in beside it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

from .domain.ids import IdFactory
from .observe.clock import SystemClock
from .ports import Clock
from .store.sqlite import SqliteStore

DATABASE = "heliogram.db"
MOVED = "moved.json"
"""Says where the instance was moved to, see `moving.py`."""
ORPHANS_SECONDS = 5.0
"""How long a start waits for the senders of a service that was killed: the kernel ends them within milliseconds."""


class StartError(Exception):
    """The service cannot start; the message says why and what to do."""


def prepare_data_directory(data: Path) -> None:
    """Makes the data directory with mode 0700. Raises `StartError`."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if data.stat().st_mode & 0o077:
            if not (data / DATABASE).exists() and any(data.iterdir()):
                raise StartError(
                    f"{data} holds other things and is open to other users: give a directory of its own with --data"
                )
            data.chmod(0o700)
    except OSError as error:
        reason = "it is no directory" if isinstance(error, FileExistsError) else error.strerror
        raise StartError(f"cannot use the data directory {data}: {reason}; give another with --data") from error


def require_here(data: Path) -> None:
    """Raises `StartError` for a data directory whose instance was moved elsewhere: what was still done here would be
    done twice, or be lost."""
    try:
        told = json.loads((data / MOVED).read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        told = {}
    place, origin = told.get("to", "postgresql://…"), f"--from sqlite:{data}"
    if told.get("done"):
        raise StartError(
            f"the instance in {data} was moved to {place}: run it there, with --store. Should that have been a mistake,"
            f" `heliogram migrate-store {origin} --to … --abort` brings it back as it was when it was moved"
        )
    raise StartError(
        f"the instance in {data} is being moved to {place}, and that was interrupted at its end: run `heliogram"
        f" migrate-store {origin} --to …` again, or give it up with --abort"
    )


@contextlib.contextmanager
def own_data_directory(data: Path, *, moved: bool = False) -> Iterator[int]:
    """Holds the data directory for this process and those it gives the handle to: two services on one store would take
    each other's leases. Waits a while for the senders of a service that died. Raises `StartError`, also for an instance
    that was moved elsewhere, unless that (`moved`) is what it is held for."""
    prepare_data_directory(data)
    if not moved:
        require_here(data)
    lock = data / "serve.lock"
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"cannot open {lock}: {error.strerror}; give another directory with --data") from error
    try:
        if not _locked(handle):
            raise StartError(
                f"another `heliogram serve` is using {data}: stop it, or give this one another directory with --data"
            )
        if not moved:
            require_here(data)  # now for sure
        try:
            os.pwrite(handle, b"%-20d\n" % os.getpid(), 0)
        except OSError as error:
            raise StartError(f"cannot write to {lock}: {error.strerror}; make room in {data}") from error
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Takes the lock. While its holder lives, that fails at once; when it is dead, the kernel is just ending its
    senders, which have the lock, too, so that nothing is sent by both them and us."""
    until = time.monotonic() + ORPHANS_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _lives(os.pread(handle, 20, 0)) or time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def pid_of_service(data: Path) -> int | None:
    """The process that holds the data directory, as far as it was written down."""
    try:
        return int((data / "serve.lock").read_bytes()[:20])
    except (OSError, ValueError):
        return None


def is_served(data: Path) -> bool:
    """Whether a service, or a sender that is left of one, holds the data directory."""
    try:
        with (data / "serve.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lives(pid: bytes) -> bool:
    """Whether a process with this number runs; one whose number nobody wrote down does."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True


@contextlib.asynccontextmanager
async def open_store(data: Path, *, make: bool = True, owned: bool = False) -> AsyncIterator[tuple[SqliteStore, Clock]]:
    """The embedded store of a data directory, closed at the end. Raises `StartError` when there is none and none is to
    be made. Unless the directory is `owned`, the database of a running service is used as it is."""
    if not make and not (data / DATABASE).exists():
        raise StartError(f"there is no database in {data}: give the directory that `heliogram serve` uses with --data")
    prepare_data_directory(data)
    require_here(data)
    clock = SystemClock()
    ids = IdFactory(lambda: int(clock.time() * 1000))
    in_use = partial(is_served, data) if not owned else lambda: False
    store = await SqliteStore.open(data / DATABASE, ids=ids, clock=clock, in_use=in_use)
    try:
        yield store, clock
    finally:
        await store.close()
