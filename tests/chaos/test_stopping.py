"""SIGTERM while pushes are under way, and a second one: real processes, and a provider that takes its time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.oracle import Disk, Received, Verdict, judge, operation_of
from support.programs import Program
from support.stack import BackEnd, Phones, service, simulator
from support.waiting import eventually

MANY = 300
AN_HOUR_MS = 3_600_000
CTRL_C_TWICE = 128 + signal.SIGINT


class Slow:
    """A service whose pushes APNs takes at once and answers late, and one operation that is on the wire."""

    def __init__(self, directory: Path, apns: Program, delay_ms: float, *options: str) -> None:
        self.directory, self.apns, self.options = directory, apns, options
        self.phones = Phones(apns)
        self.program = self.serve()
        self.program.__enter__()
        self.back_end = BackEnd(self.program.ready["url"], directory / "data")
        self.back_end.credential(self.phones.key())
        self.received = Received()
        self.disk = Disk(directory / "data" / "heliogram.db")
        token = self.phones.phone().launch()
        self.back_end.completed(self.back_end.send({"token": token, "provider": "APN"}))  # the connection is there
        self.fault = self.phones.call("POST", "/faults", {"delayMs": delay_ms})["id"]
        tokens = [self.phones.phone().launch() for _ in range(20)]
        recipients = [{"token": tokens[n % 20], "provider": "APN"} for n in range(MANY)]
        self.operation = self.back_end.send(*recipients)
        self.on_the_wire()

    def on_the_wire(self) -> None:
        """Waits until APNs has all of it."""

        def there() -> bool:
            connections = self.phones.call("GET", "/connections")["connections"]
            open_streams = sum(int(each["openStreams"]) for each in connections)
            return open_streams + self.received.read(self.phones.http).last > MANY

        eventually(there, what="all pushes to be on the wire")

    def stopped(self) -> None:
        """After the end of the service: what may come again is what nobody knows the answer of."""
        self.answer()
        self.disk.killed(self.received.read(self.phones.http))

    def serve(self) -> Program:
        return service(self.directory, self.apns.ready, *self.options)

    def answer(self) -> None:
        """Has APNs answer at once from here on."""
        self.phones.call("DELETE", f"/faults/{self.fault}")

    def next_start(self) -> tuple[dict[str, Any], Verdict]:
        """The operation after another start, and what the oracle says."""
        self.back_end.close()
        with self.serve() as program:
            self.back_end.at(program.ready["url"])
            ended = self.back_end.completed(self.operation)
            listed = self.back_end.call("GET", "/v1/PushNotifications/Operations")["operations"]
            told = [operation_of(lambda path: self.back_end.call("GET", path), each["id"]) for each in listed]
            self.back_end.close()
        self.received.read(self.phones.http)
        return ended, judge(told, self.received, unrecorded=self.disk.unrecorded)

    def close(self) -> None:
        if self.program._child is not None:
            self.program.kill()
        self.phones.close()
        self.back_end.close()


@pytest.fixture
def apns(tmp_path: Path) -> Iterator[Program]:
    with simulator(tmp_path) as program:
        yield program


def test_what_is_on_the_wire_gets_its_answer(apns: Program, tmp_path: Path) -> None:
    """SIGTERM waits for the answers, records them and exits 0: nothing is left to do, and nothing comes twice."""
    slow = Slow(tmp_path, apns, 1_500)
    try:
        assert slow.program.stop(signal.SIGTERM) == 0
        ended, verdict = slow.next_start()
    finally:
        slow.close()
    verdict.check()
    assert (ended["stats"]["sent"], verdict.allowed_duplicates) == (MANY, 0)


def test_a_drain_ends_in_its_time(apns: Program, tmp_path: Path) -> None:
    """APNs does not answer: after `--drain-seconds` the service exits 0 all the same, and the next start goes on with
    what it does not know."""
    slow = Slow(tmp_path, apns, AN_HOUR_MS, "--drain-seconds", "0.5")
    try:
        assert slow.program.stop(signal.SIGTERM) == 0
        slow.stopped()
        ended, verdict = slow.next_start()
    finally:
        slow.close()
    verdict.check()
    assert ended["stats"]["sent"] == MANY


def test_a_second_signal_ends_at_once(apns: Program, tmp_path: Path) -> None:
    """Ctrl-C while it drains: it does not wait for the rest of the hour, and loses nothing either."""
    slow = Slow(tmp_path, apns, AN_HOUR_MS, "--drain-seconds", "3600")
    try:
        slow.program.send_signal(signal.SIGTERM)
        log = tmp_path / "service.log"
        eventually(lambda: "service.draining" in log.read_text(), what="the drain to begin")
        assert slow.program.stop(signal.SIGINT) == CTRL_C_TWICE
        slow.stopped()
        ended, verdict = slow.next_start()
    finally:
        slow.close()
    verdict.check()
    assert ended["stats"]["sent"] == MANY
