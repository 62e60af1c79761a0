"""A data directory that cannot be written to, files that are moved away, and no more files that may be opened."""

from __future__ import annotations

import resource
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from support.disks import small_disk
from support.programs import heliogram
from support.site import site
from support.stack import PUSH
from support.waiting import eventually


def test_a_start_on_a_read_only_file_system_says_so(tmp_path: Path) -> None:
    """Exit code 1, what cannot be written to, and what to do; with a database that is there already, too."""
    with small_disk(tmp_path, 8) as disk:
        made = heliogram("api-keys", "create", "--data", str(disk / "data"))
        assert made.returncode == 0, made.stderr
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = heliogram("serve", "--data", str(disk / "data"), "--listen", "127.0.0.1:0")
        assert done.returncode == 1
        assert str(disk / "data") in done.stderr
        assert "Read-only file system" in done.stderr
        assert "Traceback" not in done.stderr
        done = heliogram("api-keys", "create", "--data", str(disk / "data"))
        assert done.returncode == 1
        assert "read-only" in done.stderr.lower()
        assert "Traceback" not in done.stderr


def test_a_database_that_is_moved_away_is_noticed(tmp_path: Path) -> None:
    """Nothing is accepted into a file that nobody will find again; moved back, the service goes on."""
    data = tmp_path / "data"
    with site(tmp_path, data) as it:
        assert it.send().status_code == 202
        it.back_end.completed(it.operations[0])
        (data / "heliogram.db").rename(data / "away")
        answer = it.send()
        assert (answer.status_code, answer.json()["code"]) == (503, 70123)
        (data / "away").rename(data / "heliogram.db")
        assert it.send().status_code == 202
        it.check()


def test_running_out_of_files_costs_connections_and_nothing_else(tmp_path: Path) -> None:
    """Who has a connection is served; who is turned away comes again when there is room."""
    data = tmp_path / "data"
    with site(tmp_path, data) as it:
        assert it.send().status_code == 202
        it.back_end.completed(it.operations[0])
        pid, address = it.program.pid, urlsplit(it.program.ready["url"])
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        open_now = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 8, old[1]))
        crowd = [socket.create_connection((str(address.hostname), address.port or 80)) for _ in range(64)]
        try:
            for _ in range(5):
                assert it.send().status_code == 202  # over the connection it has
        finally:
            for each in crowd:
                each.close()

        def served() -> bool:
            with httpx2.Client(base_url=it.program.ready["url"], trust_env=False, timeout=90) as client:
                try:
                    return client.get("/health", timeout=90).status_code == 200
                except httpx2.TransportError:
                    return False

        eventually(served, what="a new connection to be served")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        assert it.back_end.call("GET", f"{PUSH}/Operations")
        it.check()
