"""A disk that takes its time: each flush of a process, and of its children, lasts half a second longer.

By a library that is loaded before libc, so that what SQLite does stays what it does. Built with the C compiler.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SECONDS = 0.5
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* While the file $SLOW_FLUSHES is there each flush takes longer and adds a byte to it. */
static void dawdle(void) {
    const char *name = getenv("SLOW_FLUSHES");
    int file = name == NULL ? -1 : open(name, O_WRONLY | O_APPEND);
    if (file < 0) return;
    if (write(file, "x", 1) == 1) {
        struct timespec half = {0, 500000000};
        nanosleep(&half, NULL);
    }
    close(file);
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    dawdle();
    return real(fd);
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    dawdle();
    return real(fd);
}
"""


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class SlowDisk:
    """For what is started by `command(…)`, from `slow()` on."""

    def __init__(self, directory: Path) -> None:
        self._library, self._file = directory / "slow.so", directory / "flushes"
        (directory / "slow.c").write_text(SOURCE)
        cc = compiler()
        assert cc is not None
        words = [cc, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(directory / "slow.c"), "-ldl"]
        subprocess.run(words, check=True)

    def __repr__(self) -> str:
        return f"SlowDisk(flushes={self.flushes})"

    def command(self, command: Sequence[str]) -> tuple[str, ...]:
        """That command on this disk."""
        return ("env", f"LD_PRELOAD={self._library}", f"SLOW_FLUSHES={self._file}", *command)

    def slow(self) -> None:
        self._file.write_bytes(b"")

    def quick(self) -> None:
        self._file.unlink()

    @property
    def flushes(self) -> int:
        """How many there were since it was slow."""
        return self._file.stat().st_size if self._file.exists() else 0
