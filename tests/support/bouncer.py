"""A real PgBouncer before the tests' PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.postgres import server
from support.waiting import eventually

CURE = "scripts/test-services (as root) installs PgBouncer"
_SETTINGS = """
[databases]
* = host={server} user=heliogram
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {here}
auth_type = any
pool_mode = {mode}
max_client_conn = 200
default_pool_size = 40
logfile = {here}/log
{more}
"""


def require_bouncer() -> str:
    """The program. Without it the test is skipped, in CI it fails."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        message = f"PgBouncer is not installed: {CURE}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def bouncer(mode: str, more: str = "") -> Iterator[Path]:
    """PgBouncer with that pool mode, on a Unix socket in the directory that it gives, until the end."""
    program, behind = require_bouncer(), server()
    here = Path(tempfile.mkdtemp(prefix="hgpb-"))
    settings = here / "pgbouncer.ini"
    settings.write_text(_SETTINGS.format(server=behind.directory, here=here, mode=mode, more=more))
    command = [program, "-q", str(settings)]
    if os.geteuid() == 0:  # it refuses root
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL", *command]
        shutil.chown(here, "postgres")
        shutil.chown(settings, "postgres")
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(
            lambda: (here / ".s.PGSQL.6432").exists() or _still(child, here), what="PgBouncer to listen on its socket"
        )
        yield here
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(here, ignore_errors=True)


def _still(child: subprocess.Popen[bytes], here: Path) -> bool:
    assert child.poll() is None, (here / "log").read_text()
    return False


def through(here: Path, url: str) -> str:
    """The URL of a database of the tests' server, by way of the pooler."""
    return f"{url.partition('?')[0]}?host={here}&port=6432"
