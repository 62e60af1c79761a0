"""The machine: versions, its clock, its limits."""

from __future__ import annotations

import ctypes
import platform
import resource
import ssl
import sys
from collections.abc import Iterator

from .. import __version__
from .finding import Finding, ok, warning

LEAST_FILES, ENOUGH_FILES = 1_024, 4_096
_TIME_ERROR, _STA_UNSYNC = 5, 0x40
_TIMEX_BYTES, _STATUS_AT = 512, 40


def versions() -> Iterator[Finding]:
    """Ours, Python's, OpenSSL's, SQLite's; and whether the engine has its compiled parts."""
    import apsw

    from .. import _accel

    text = (
        f"heliogram {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION},"
        f" SQLite {apsw.sqlite_lib_version()}, {platform.system()} {platform.machine()}"
    )
    yield ok("versions", text)
    if not _accel.is_native():
        cure = (
            "install a C compiler and Python's headers (Debian: gcc python3-dev), then heliogram again"
            " (in a clone: make setup), or leave HELIOGRAM_PURE away: it is several times faster"
        )
        yield warning("accelerator", "the engine runs without its compiled parts", cure)


def open_files(limit: int) -> Iterator[Finding]:
    """Each client, each connection to APNs and each file of the store takes one."""
    if limit < ENOUGH_FILES:
        text = f"this process may have {limit:,} files and sockets open; a service needs one for each client"
        yield warning("open files", text, "raise it to 65536: LimitNOFILE= in the unit, or ulimit -n")
    else:
        yield ok("open files", f"at most {limit:,}")


def file_limit() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000_000 if soft == resource.RLIM_INFINITY else soft


def clock(synchronised: bool | None) -> Iterator[Finding]:
    """Provider tokens carry the time: APNs refuses those of a clock that is far off (TOK-8)."""
    if synchronised is None:
        yield warning("clock", "the system does not tell whether its clock is set by NTP", "see that it is")
    elif synchronised:
        yield ok("clock", "set by NTP, says the kernel")
    else:
        yield warning(
            "clock",
            "the kernel says that nobody sets the clock; APNs refuses tokens of a clock that is far off",
            "run an NTP client: systemctl enable --now systemd-timesyncd, or chrony",
        )


def is_synchronised() -> bool | None:
    """What the kernel knows of its clock (adjtimex(2), nothing is set); None where it cannot be asked."""
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    return state != _TIME_ERROR and not status & _STA_UNSYNC
