"""The service on a disk that fills up beneath it, and is given room again."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.disks import fill, small_disk
from support.oracle import Received, judge, operation_of
from support.programs import Program, heliogram
from support.stack import PUSH, BackEnd, Phones, simulator
from support.waiting import eventually

DEVICES = 40


class Site:
    """A service with its data in `data`, the simulator, and who calls."""

    def __init__(self, program: Program, phones: Phones, back_end: BackEnd, log: Path) -> None:
        self.program, self.phones, self.back_end, self.log = program, phones, back_end, log
        self.operations: list[str] = []
        back_end.credential(phones.key())
        self.tokens = [phones.phone().launch() for _ in range(DEVICES)]

    def send(self) -> httpx2.Response:
        """Sends to every device; remembers what was accepted."""
        to = [{"token": token, "provider": "APN"} for token in self.tokens]
        body = {"to": to, "content": {"title": "Hi", "body": "x" * 2_000}}
        answer = self.back_end.http.post(PUSH, json=body, timeout=30)
        if answer.status_code == 202:
            self.operations.append(answer.json()["operationId"])
        return answer

    def refused(self, *, most: int = 400) -> httpx2.Response:
        """Sends until one is not accepted."""
        for _ in range(most):
            answer = self.send()
            if answer.status_code != 202:
                return answer
        raise AssertionError(f"{most} sends were accepted on a full disk")

    def check(self) -> None:
        """All that was accepted completes, and every device got each of it once."""
        for operation in self.operations:
            self.back_end.completed(operation)
        told = [operation_of(self._ask, operation) for operation in self.operations]
        verdict = judge(told, Received().read(self.phones.http)).check()
        assert verdict.sent == DEVICES * len(self.operations)

    def _ask(self, path: str) -> Any:
        answer = self.back_end.http.get(path, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lines(self) -> list[dict[str, Any]]:
        """What the service's log says."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def site(directory: Path, data: Path) -> Iterator[Site]:
    log = directory / "service.log"
    with simulator(directory) as apns:
        at = apns.ready
        words = [
            *("--data", str(data), "--listen", "127.0.0.1:0"),
            *("--apns-production", at["production"], "--apns-sandbox", at["sandbox"], "--apns-cacert", at["ca"]),
        ]
        with Program("serve", *words, log=log) as program:
            phones, back_end = Phones(apns), BackEnd(program.ready["url"], data)
            try:
                yield Site(program, phones, back_end, log)
            finally:
                phones.close()
                back_end.close()


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
        with site(tmp_path, data) as it:
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
