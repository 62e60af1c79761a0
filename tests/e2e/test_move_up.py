"""A running service is moved into PostgreSQL, as separate processes: the simulator tells whether anything was lost or
sent twice."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.oracle import Received, judge, operation_of, operations_of
from support.postgres import server
from support.programs import HELIOGRAM, Program, heliogram
from support.stack import PUSH, BackEnd, Phones, service, simulator
from support.waiting import eventually

DEVICES = 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with simulator(tmp_path) as apns:
        made = World(tmp_path, apns)
        yield made
        made.close()


class World:
    """The simulator, a service with work in every state, and who goes on sending."""

    def __init__(self, directory: Path, apns: Program) -> None:
        self.directory, self.data, self.apns = directory, directory / "data", apns
        self.phones = Phones(apns)
        self.url = anyio.run(server().empty)
        self.source = f"sqlite:{self.data}"
        self.accepted: set[str] = set()
        self.stopped = threading.Event()
        self.back_ends: list[BackEnd] = []

    def close(self) -> None:
        self.stopped.set()
        for back_end in self.back_ends:
            back_end.close()
        self.phones.close()

    def serve(self, *more: str) -> Program:
        """The embedded service."""
        return service(self.directory, self.apns.ready, "--log-level", "warning", *more)

    def node(self, key: Path) -> Program:
        """A node on the database, which has nothing of the data directory but the key."""
        words = ("--store", self.url, "--master-key", str(key), "--log-level", "warning")
        (self.directory / "node").mkdir()
        return service(self.directory / "node", self.apns.ready, *words)

    def found(self, back_end: BackEnd) -> None:
        """An app, devices, users, and something in every state: sent, failed, canceled, scheduled, unaddressable."""
        self.back_ends.append(back_end)
        back_end.credential(self.phones.key())
        self.tokens = [self.phones.phone().launch() for _ in range(DEVICES)]
        self.users = [back_end.register(token)["userId"] for token in self.tokens[:10]]
        gone = self.phones.phone()
        dead = back_end.register(gone.launch())["userId"]
        gone.uninstall()
        self.send(back_end)
        for body in ({"to": [{"userId": dead}]}, {"to": [{"token": "ab" * 32, "provider": "APN"}]}):
            self._post(back_end, body)
        later = self._post(back_end, {"to": self._all(), "schedule": {"sendAt": [in_seconds(86_400)]}})
        self._post(back_end, {"to": self._all(), "schedule": {"sendAt": [in_seconds(12)]}})
        never = self._post(back_end, {"to": self._all(), "schedule": {"sendAt": [in_seconds(86_400)]}})
        back_end.call("POST", f"{PUSH}/Operations/{never}/cancel")
        self.later = later

    def _all(self) -> list[dict[str, str]]:
        return [{"token": token, "provider": "APN"} for token in self.tokens]

    def send(self, back_end: BackEnd) -> str:
        """To all devices, and to users."""
        return self._post(back_end, {"to": [*self._all(), *({"userId": user} for user in self.users)]})

    def _post(self, back_end: BackEnd, body: dict[str, Any]) -> str:
        made = back_end.call("POST", PUSH, {**body, "content": {"title": "Hi", "body": "There"}})
        self.accepted.add(made["operationId"])
        return str(made["operationId"])

    def keep_sending(self, back_end: BackEnd) -> threading.Thread:
        """Sends until the service answers no more."""

        def run() -> None:
            while not self.stopped.is_set():
                try:
                    self.send(back_end)
                    back_end.register(self.tokens[len(self.accepted) % DEVICES])
                    self.stopped.wait(0.1)
                except Exception:  # it was stopped: an answer that was lost tells nothing
                    return

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def move(self, *more: str, until: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Runs the command; killed (-9) as soon as it says what `until` has."""
        words = [*HELIOGRAM, "migrate-store", "--from", self.source, "--to", self.url, "--json", *more]
        with (self.directory / "move.log").open("a") as log:
            child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        events = []
        with child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith("{"):
                    events.append(json.loads(line))
                    if until is not None and until.items() <= events[-1].items():
                        child.send_signal(signal.SIGKILL)
                        break
        assert events, (self.directory / "move.log").read_text()
        return events

    def judge(self, back_end: BackEnd) -> None:
        """All but what is scheduled for tomorrow has ended, and each device got each of it once."""

        def ask(path: str) -> Any:
            return back_end.call("GET", path)

        listed = {each["id"] for each in operations_of(ask)}
        assert listed >= self.accepted, "operations are missing"
        for operation in self.accepted - {self.later}:
            self.ended(back_end, operation)
        told = [operation_of(ask, operation) for operation in listed - {self.later}]
        judge(told, Received().read(self.phones.http)).check()

    def ended(self, back_end: BackEnd, operation: str) -> None:
        """Waits for its end."""
        path = f"{PUSH}/Operations/{operation}"
        eventually(
            lambda: back_end.call("GET", path)["status"] in ("COMPLETED", "CANCELED"), what="its end", seconds=60
        )


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def as_told(back_end: BackEnd, operations: list[str]) -> list[Any]:
    """What the API says of operations that have ended."""
    return [operation_of(lambda path: back_end.call("GET", path), operation) for operation in operations]


def test_a_running_service_is_moved_and_a_node_sends_the_rest(world: World) -> None:
    """Sends arrive until the command stops the service; the node goes on under the same ids, nothing is lost or comes
    twice, old operations read as before, and neither the old directory nor its keys serve any more."""
    with world.serve() as program:
        back_end = BackEnd(program.ready["url"], world.data)
        world.found(back_end)
        old = sorted(world.accepted - {world.later})[:3]
        for operation in old:
            world.ended(back_end, operation)
        before = as_told(back_end, old)
        sending = world.keep_sending(back_end)
        events = world.move("--stop-service")
        sending.join()
    assert events[-1]["event"] == "moved", (world.directory / "move.log").read_text()
    assert {"copying", "progress", "phase", "waiting", "moved"} <= {event["event"] for event in events}
    refused = heliogram("serve", "--data", str(world.data), "--listen", "127.0.0.1:0")
    assert refused.returncode == 1
    assert "was moved to postgresql://" in refused.stderr
    assert "moved" in heliogram("api-keys", "list", "--data", str(world.data)).stderr
    with world.node(world.data / "master.key") as program:
        back_end.close()
        back_end.at(program.ready["url"])
        assert as_told(back_end, old) == before
        world.send(back_end)
        world.judge(back_end)
    again = heliogram("migrate-store", "--from", world.source, "--to", world.url)
    assert again.returncode == 1
    assert "was moved to" in again.stderr


KILLED_AT = [
    {"event": "copying"},
    {"event": "progress", "table": "device"},
    {"event": "progress", "table": "chunk_recipients"},
    {"event": "phase", "phase": "changes"},
    {"event": "phase", "phase": "indexes"},
    {"event": "phase", "phase": "compare"},
    {"event": "waiting"},
    {"event": "phase", "phase": "last"},
]


def test_a_move_that_is_killed_again_and_again_goes_on(world: World) -> None:
    """kill -9 in each of its parts, the last one too, while sends arrive: the next run goes on, and nothing is lost or
    comes twice."""
    with world.serve() as program:
        back_end = BackEnd(program.ready["url"], world.data)
        world.found(back_end)
        sending = world.keep_sending(back_end)
        for wanted in KILLED_AT:
            stop = ("--stop-service",) if wanted == KILLED_AT[-1] else ()
            events = world.move(*stop, until=wanted)
            assert wanted.items() <= events[-1].items(), (wanted, (world.directory / "move.log").read_text())
        sending.join()
    assert world.move()[-1]["event"] == "moved"
    with world.node(world.data / "master.key") as program:
        back_end.close()
        back_end.at(program.ready["url"])
        world.judge(back_end)


def test_a_move_that_is_given_up_leaves_all_as_it_was(world: World) -> None:
    """The service goes on, also after its next start, and nothing of the move is left; no node works on the half."""
    with world.serve() as program:
        back_end = BackEnd(program.ready["url"], world.data)
        world.found(back_end)
        world.move(until={"phase": "compare"})
        half = heliogram(
            "serve", "--store", world.url, "--master-key", str(world.data / "master.key"), "--listen", "127.0.0.1:0"
        )
        assert half.returncode == 1
        assert "holds a part of" in half.stderr
        done = heliogram("migrate-store", "--from", world.source, "--to", world.url, "--abort")
        assert done.returncode == 0, done.stderr
        world.send(back_end)
    with world.serve() as program:
        back_end.close()
        back_end.at(program.ready["url"])
        world.send(back_end)
        world.judge(back_end)
        again = heliogram("migrate-store", "--from", world.source, "--to", world.url)
        assert again.returncode == 1
        assert "make the database anew" in again.stderr
    found = heliogram("check", "--data", str(world.data), "--full", "--json")
    assert json.loads(found.stdout)["problems"] == []
