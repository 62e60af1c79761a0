"""A queue on disk: what waits takes no memory. `HELIOGRAM_QUEUED=1000000` tries it with so many recipients."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.programs import HELIOGRAM, Program
from support.service import token_content
from support.stack import PUSH, BackEnd, service
from support.tls import Authority

RECIPIENTS = 10_000
REQUESTS = int(os.environ.get("HELIOGRAM_QUEUED", "200000")) // RECIPIENTS
SMALL_STACKS = ("sh", "-c", 'ulimit -s 1024; exec "$0" "$@"', *HELIOGRAM)
"""A thread's stack is counted in whole, whatever of it is used: 32 threads with 8 MiB each would be most of it."""
MIB = 1 << 20
SPARE = 64 * MIB
"""What the service may take on top once it has started. Its 200,000 recipients are 30 MB as JSON, and as objects three
times as much."""


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The addresses of an APNs that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        names = ("production", "sandbox", "manage_production", "manage_sandbox")
        yield {**dict.fromkeys(names, address), "ca": Authority(tmp_path).cafile}


def memory(pid: int, name: str) -> int:
    """A line of the process's status, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def limit(program: Program) -> None:
    """From now on the process may have so much more of its own writable memory, resident or not, and no byte more: an
    allocation beyond it fails."""
    most = memory(program.pid, "VmData") + SPARE
    resource.prlimit(program.pid, resource.RLIMIT_DATA, (most, most))


@pytest.mark.timeout(600)
def test_what_waits_in_the_queue_takes_no_memory(silent: dict[str, Any], tmp_path: Path) -> None:
    """200,000 recipients are accepted and queued by a service that is given less memory than they would take: every
    request is a 202, everything is counted as queued, and small requests are still answered."""
    with service(tmp_path, silent, command=SMALL_STACKS) as program:
        backend = BackEnd(program.ready["url"], tmp_path / "data")
        backend.http.timeout = 60
        content = token_content()
        backend.credential({"p8": content["signingKey"], "keyId": content["keyId"], "teamId": content["teamId"]})
        limit(program)
        before = memory(program.pid, "VmHWM")
        to = [{"token": f"{n:064x}", "provider": "APN", "variables": {"name": f"Ada {n}"}} for n in range(RECIPIENTS)]
        made = [backend.send(*to, body="Hello {{ name }}") for _ in range(REQUESTS)]
        found = [backend.call("GET", f"{PUSH}/Operations/{each}", expect=200)["stats"] for each in made]
        assert sum(stats["queued"] for stats in found) == REQUESTS * RECIPIENTS
        assert memory(program.pid, "VmHWM") - before < SPARE
        backend.close()
        program.kill()  # nothing answers: there is nothing to drain
