"""A service that is killed again and again while its clients go on, and what must be true in the end.

Real processes: `heliogram serve`, with senders or without, killed with SIGKILL at a random moment of each round, and
one `heliogram simulator` that sees it all. What its clients do is told in `rampage_clients`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from support.oracle import PUSH, Disk, Received, Verdict, judge
from support.programs import Program, children_of, connections_of, heliogram, is_read
from support.rampage_clients import Clients
from support.stack import BUNDLE, BackEnd, Phones, service, simulator
from support.waiting import eventually

from heliogram.domain import ids
from heliogram.simulator import Simulator

POINTS = ("accept", "claim", "sending", "recording", "drain", "retention", "backup", "start")
SENDER = "sender"
"""A point more, where there are senders: one of them is killed, and after a while the service."""
DEVICES = 3_000
USERS = 12
CLIENTS = 3
DEVICES_OF_A_USER = 2
EARLY = [sys.executable, str(Path(__file__).with_name("early_upkeep.py"))]
EIGHT_DAYS_MS = 8 * 86_400_000

Told = tuple[dict[str, Any], list[dict[str, Any]]]


@dataclass
class Kill:
    """What one kill did. `taken`: pushes taken by APNs and not yet on disk; `leased`: at most so many recipients had no
    outcome on disk and were in a worker's hands."""

    point: str
    taken: int
    leased: int


class Rampage:
    """All of it in one directory. Entering starts the simulator and makes keys, devices and users."""

    def __init__(self, directory: Path, seed: int, *, senders: int = 0, say: Callable[[str], object] = print) -> None:
        self.directory, self.seed, self.senders, self.say = directory, seed, senders, say
        self.random = random.Random(seed)
        self.clients = Clients(seed)
        self.kills: list[Kill] = []
        self.received = Received()
        self.disk = Disk(directory / "data" / "heliogram.db")
        self.told: dict[str, Told] = {}
        self._failures: list[BaseException] = []
        self._pause = threading.Event()

    def __repr__(self) -> str:
        return f"Rampage(seed={self.seed}, clients={self.clients!r}, kills={len(self.kills)})"

    def __enter__(self) -> Rampage:
        self._apns = simulator(self.directory, "--scenario", str(self._scenario()), "--set", "journal=1000000")
        self._apns.__enter__()
        try:
            self._make()
        except BaseException:
            self._apns.stop(signal.SIGKILL)
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.phones.close()
        self.back_end.close()
        self._apns.stop(signal.SIGKILL)

    # ---- what there is

    def _make(self) -> None:
        """Keys, devices and users."""
        self.phones = Phones(self._apns)
        with self._service() as program:
            self.back_end = BackEnd(program.ready["url"], self.directory / "data")
            self.clients.auth = self.back_end.key
            self.back_end.credential(self.phones.key())
            for number in range(USERS):
                user = None
                for token in self.clients.tokens[number * 2 : number * 2 + 1 + number % DEVICES_OF_A_USER]:
                    user = str(self.back_end.register(token, user)["userId"])
                assert user is not None
                self.clients.users.append(user)
            self.back_end.close()

    def _scenario(self) -> Path:
        """Phones with the app on them, for the simulator to begin with."""
        world = Simulator(random=random.Random(self.seed))
        for number in range(DEVICES):
            device = world.add_device(f"phone {number}")
            world.install(device.id, BUNDLE, "production")
            token = world.launch(device.id, BUNDLE).device_token
            assert token is not None
            self.clients.tokens.append(token)
        file = self.directory / "scenario.json"
        file.write_text(json.dumps(world.scenario.export()))
        return file

    def _service(self) -> Program:
        words = ("--log-level", "warning", "--senders", str(self.senders))
        return service(self.directory, self._apns.ready, *words, command=EARLY)

    # ---- one kill

    def kill(self, point: str) -> Kill:
        """Starts the service, lets the clients at it, kills it, and looks at what is left."""
        age = point == "retention" and self._age()
        backup: threading.Thread | None = None
        with self._service() as program:
            pid = program.pid
            clients = [self._client(program, number) for number in range(CLIENTS)]
            if point == "backup":
                backup = self._thread(self._back_up, len(self.kills))
            self._await_moment(point, pid)
            if point == SENDER:
                self._kill_sender(pid)
                self._pause.wait(self.random.uniform(0, 0.5))
            os.kill(pid, signal.SIGKILL)
            for client in clients:
                client.join()
            program.stop(signal.SIGKILL)
        if backup is not None:
            backup.join()
        assert not self._failures, self._failures
        eventually(lambda: not self.phones.call("GET", "/connections")["connections"], what="what was sent to arrive")
        return self._look(point, age)

    def _look(self, point: str, age: int) -> Kill:
        """What APNs took and the disk does not know of. May come again: it is counted."""
        taken = self.disk.killed(self.received.read(self.phones.http))
        done = Kill(point, taken, self.disk.leased)
        self.kills.append(done)
        hand = f"{taken} pushes taken and not on disk, {done.leased} recipients in hand"
        self.say(f"kill {len(self.kills)} ({point}): {hand}" + (f", {age} operations 8 days old" if age else ""))
        assert taken <= done.leased * DEVICES_OF_A_USER, done
        return done

    def _kill_sender(self, pid: int) -> None:
        """Kills one sender while the service stands still, so that what is on disk then can be looked at."""
        senders = children_of(pid)
        assert len(senders) == self.senders, senders
        victim = self.random.choice(senders)
        os.kill(pid, signal.SIGSTOP)
        try:
            os.kill(victim, signal.SIGSTOP)  # no connection is opened between looking and killing
            own = connections_of(victim)
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: is_read(own), what="what the sender sent to arrive")
            self._look("one sender", 0)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _client(self, program: Program, number: int) -> threading.Thread:
        return self._thread(self.clients.run, program.ready["url"], self.random.random(), number == 0)

    def _thread(self, work: Callable[..., object], *args: object) -> threading.Thread:
        thread = threading.Thread(target=self._watched, args=(work, *args))
        thread.start()
        return thread

    def _watched(self, work: Callable[..., object], *args: object) -> None:
        """Runs in a thread of its own; what goes wrong there fails the test."""
        try:
            work(*args)
        except BaseException as error:
            self._failures.append(error)

    def _await_moment(self, point: str, pid: int) -> None:
        """Somewhere in what the kill is to hit."""
        if point in ("sending", "recording", "drain", SENDER):
            self._await_pushes()
        if point == "drain":
            os.kill(pid, signal.SIGTERM)
        low, high = {
            "start": (0.0, 0.02),
            "accept": (0.0, 0.2),
            "claim": (0.02, 0.3),
            "sending": (0.0, 0.15),
            SENDER: (0.0, 0.3),
            "recording": (0.08, 0.4),
            "drain": (0.0, 0.25),
            "retention": (0.08, 0.6),
            "backup": (0.3, 1.2),
        }[point]
        self._pause.wait(self.random.uniform(low, high))  # a random moment is what this is for

    def _await_pushes(self) -> None:
        before = self.received.last + self.random.randrange(100)

        def there() -> bool:
            params = {"after": before, "limit": 1}
            return bool(self.phones.http.get("/answers", params=params).json()["answers"])

        eventually(there, what="pushes to arrive")

    def _age(self) -> int:
        """Lets what has ended, and was looked at, have ended eight days ago: the upkeep is to remove it."""
        connection = sqlite3.connect(self.disk.database)
        known = [(EIGHT_DAYS_MS, ids.decode(ids.OPERATION, ident)) for ident in self.told]
        try:
            with connection:
                return connection.executemany(
                    "UPDATE operation SET finished = finished - ? WHERE id = ?", known
                ).rowcount
        finally:
            connection.close()

    def _back_up(self, number: int) -> None:
        """A backup beside the kill is whole, or not there."""
        copy = self.directory / f"backup{number}.db"
        made = heliogram("backup", str(copy), "--data", str(self.directory / "data"))
        if made.returncode:
            assert not copy.exists(), made.stderr
            assert "Traceback" not in made.stderr, made.stderr
        else:
            self.check("--backup", str(copy))
            copy.unlink()

    def check(self, *more: str) -> None:
        """`heliogram check` finds nothing wrong."""
        done = heliogram("check", "--data", str(self.directory / "data"), "--full", *more)
        assert done.returncode == 0, done.stdout + done.stderr

    # ---- what came of it

    def settle(self, *, seconds: float = 90) -> None:
        """Starts the service once more in peace, sends again what got no answer, and waits until all has ended."""
        with self._service() as program:
            self.back_end.at(program.ready["url"])
            self.back_end.http.timeout = httpx2.Timeout(90)
            for sent in self.clients.sends:
                if sent.open:
                    self.clients.post(self.back_end.http, sent)
                    assert not sent.open, sent

            def ended() -> bool:
                # in this order: one may begin between the two questions
                waiting = [self._get(f"{PUSH}/Operations?status={status}") for status in ("SCHEDULED", "PROCESSING")]
                return not any(page["operations"] for page in waiting)

            eventually(ended, what="everything to end", seconds=seconds)
            self._collect()
            self.back_end.close()
        self.received.read(self.phones.http)
        self.disk.read()  # before retention takes it away

    def _get(self, path: str) -> Any:
        return self.back_end.call("GET", path)

    def _collect(self) -> None:
        """Remembers what the API says of everything; retention may take it away after that."""
        operations = {each["id"]: each for each in self._pages(f"{PUSH}/Operations?pageSize=1000", "operations")}
        notifications: dict[str, list[dict[str, Any]]] = {ident: [] for ident in operations}
        for each in self._pages(f"{PUSH}?include=deliveries&pageSize=1000", "pushNotifications"):
            if each["operationId"] in notifications:
                notifications[each["operationId"]].append(each)
        for ident, operation in operations.items():
            self.told[ident] = operation, notifications[ident]

    def _pages(self, path: str, key: str) -> list[dict[str, Any]]:
        page = self._get(path)
        found: list[dict[str, Any]] = list(page[key])
        while page["pagination"]["next"] is not None:
            page = self._get(f"{path}&pageToken={page['pagination']['next']}")
            found += page[key]
        return found

    def judge(self) -> Verdict:
        """Nothing lost, nothing doubled without a kill that explains it, nothing with a key done twice."""
        verdict = judge(self.told.values(), self.received, unrecorded=self.disk.unrecorded)
        made = Counter(operation["tags"]["n"] for operation, _ in self.told.values())
        for sent in self.clients.sends:
            times = made[str(sent.number)]
            done = sent.key is not None and times != (not sent.late)
            verdict.says(done, f"{sent} has a key and was done {times} times")
            verdict.says(times > 1, f"{sent} was done {times} times")
            verdict.says(
                sent.operation is not None and sent.operation not in self.told, f"{sent} was accepted and is gone"
            )
        taken, most = sum(kill.taken for kill in self.kills), max((kill.taken for kill in self.kills), default=0)
        self.say(
            f"seed {self.seed}: {len(self.kills)} kills, {verdict.operations} operations, {verdict.recipients} "
            f"recipients, {verdict.sent} sent; {verdict.allowed_duplicates} duplicates and {verdict.allowed_unsaid} "
            f"received but not said SENT, of at most {taken}: the pushes whose answer was not on disk at a kill "
            f"({most} at one)"
        )
        return verdict
