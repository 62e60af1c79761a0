"""The service on a disk that fills up beneath it, and is given room again."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from support.disks import fill, small_disk
from support.programs import heliogram
from support.site import site
from support.stack import PUSH
from support.waiting import eventually


def test_a_full_disk_refuses_keeps_and_goes_on(tmp_path: Path) -> None:
    """503 with its own code, reads go on, few lines in the log; with room again everything accepted goes out once, with
    no restart."""
    with small_disk(tmp_path, 8) as disk, site(tmp_path, disk / "data") as it:
        assert it.send().status_code == 202
        ballast = fill(disk)
        answer = it.refused()
        assert (answer.status_code, answer.json()["code"]) == (503, 70120)
        assert answer.headers["retry-after"] == "30"
        for _ in range(100):
            assert it.send().status_code == 503
        listed = it.back_end.call("GET", f"{PUSH}/Operations?pageSize=1000")["operations"]
        assert {each["id"] for each in listed} == set(it.operations)
        troubles = [line for line in it.lines() if line["level"] in ("error", "warning")]
        assert 1 <= len(troubles) < 10
        told = [line["error"] for line in troubles if line["event"] == "store.trouble"]
        assert f"make room in {disk / 'data'}" in told[0]
        ballast.unlink()
        eventually(lambda: it.send().status_code == 202, what="a send to be accepted again")
        it.check()
        assert "exception" not in it.log.read_text()


def test_a_limit_of_a_files_size_is_a_full_disk(tmp_path: Path) -> None:
    """A quota, or a limit of the process, ends as a full disk does; what a log that cannot grow holds is not lost."""
    data = tmp_path / "data"
    with site(tmp_path, data) as it:
        assert it.send().status_code == 202
        size = max((data / name).stat().st_size for name in ("heliogram.db", "heliogram.db-wal"))
        old = resource.prlimit(it.program.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(it.program.pid, resource.RLIMIT_FSIZE, (size + 65_536, old[1]))
        assert it.refused().json()["code"] == 70120
        resource.prlimit(it.program.pid, resource.RLIMIT_FSIZE, old)
        eventually(lambda: it.send().status_code == 202, what="a send to be accepted again")
        it.check()


def test_a_stop_on_a_full_disk_ends_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """SIGTERM ends it; nothing accepted is lost."""
    with small_disk(tmp_path, 8) as disk:
        data = disk / "data"
        with site(tmp_path, data, "--drain-seconds", "2") as it:
            ballast = fill(disk)
            it.refused()
            assert it.program.stop() == 0
            ballast.unlink()
            with it.program:
                it.back_end.close()
                it.back_end.at(it.program.ready["url"])
                for operation in it.operations:
                    it.back_end.completed(operation)


@pytest.mark.parametrize("leave", [0, 8_192, 65_536])
def test_a_start_on_a_full_disk_says_so(tmp_path: Path, leave: int) -> None:
    """Exit code 1 and one line that names the file and the cure, however far it comes."""
    with small_disk(tmp_path, 4) as disk:
        (disk / "data").mkdir(mode=0o700)
        fill(disk, leave=leave)
        done = heliogram("serve", "--data", str(disk / "data"), "--listen", "127.0.0.1:0")
        assert done.returncode == 1
        assert f"{disk / 'data'}/" in done.stderr
        assert "space" in done.stderr
        assert "Traceback" not in done.stderr
