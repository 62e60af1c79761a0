"""Disks that misbehave: a file system of a few MiB, and one between SQLite and the real files that does what it is
told to."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

FULL = apsw.SQLITE_FULL
BROKEN = apsw.SQLITE_IOERR_WRITE
READ_ONLY = apsw.SQLITE_READONLY


@contextmanager
def small_disk(directory: Path, mib: int) -> Iterator[Path]:
    """A file system of its own of so many MiB, mounted below `directory`. Needs root: where that is missing the test is
    skipped, in CI it fails."""
    place = directory / "disk"
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(place)]
    done = None
    if shutil.which("mount") and os.geteuid() == 0:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done is None or done.returncode:
        why = "not root" if done is None else done.stderr.strip()
        missing(f"cannot mount a small file system ({why}): run the tests as root, in a container with CAP_SYS_ADMIN")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def missing(why: str) -> None:
    """Skips the test by name with the cure; in CI what is missing is a failure."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def fill(place: Path, *, leave: int = 0) -> Path:
    """Fills the file system `place` is on but for about `leave` bytes; the file that did it."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65_536) == 65_536:
                pass
        except OSError:
            pass
        if leave:
            os.ftruncate(file.fileno(), max(0, file.tell() - leave))
    return ballast


class SickDisk(apsw.VFS):
    """What every SQLite file of this process goes through while it is entered.

    `trouble` is the SQLite code that writes fail with. `slow` makes each flush wait until `go` is set. `budget` is how
    many bytes may still be written before `trouble` begins by itself with FULL, `commits` how many flushes.
    """

    def __init__(self) -> None:
        self.trouble = 0
        self.budget: int | None = None
        self.commits: int | None = None
        self.slow = False
        self.go = threading.Event()
        self.waiting = threading.Event()
        self.syncs = self.refused = 0
        super().__init__("sick", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Opens a file of the real system."""
        return _SickFile(self, name, flags)

    def write(self, size: int) -> None:
        """Raises what a write is to fail with."""
        if self.budget is not None:
            self.budget -= size
            if self.budget < 0:
                self.trouble, self.budget = FULL, None
        if self.trouble:
            self.refused += 1
            raise apsw.exception_for(self.trouble)

    def flush(self) -> None:
        """Waits, if it is to."""
        self.syncs += 1
        if self.commits is not None:
            self.commits -= 1
            if self.commits == 0:
                self.trouble, self.commits = FULL, None
        if self.slow:
            self.waiting.set()
            assert self.go.wait(90)


class _SickFile(apsw.VFSFile):
    def __init__(self, disk: SickDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.write(len(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.write(0)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.flush()
        super().xSync(flags)


@contextmanager
def sick_disk() -> Iterator[SickDisk]:
    """The disk of every store that is opened in here; healthy at first, and at the end."""
    disk = SickDisk()
    try:
        yield disk
    finally:
        disk.trouble, disk.slow, disk.budget, disk.commits = 0, False, None, None
        disk.go.set()
        disk.unregister()
