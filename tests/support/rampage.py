"""A service that is killed again and again while its clients go on, and what must be true in the end.

Real processes: `heliogram serve`, killed with SIGKILL at a random moment of each round, and one `heliogram simulator`
that sees it all. Clients send to one and to many, to tokens and to users, now and on schedule, and cancel; half of
their sends carry an `Idempotency-Key` and are sent again until there is an answer.
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
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from support.oracle import PUSH, Disk, Received, Verdict, judge
from support.programs import Program, heliogram
from support.stack import BUNDLE, BackEnd, Phones, service, simulator
from support.waiting import eventually

from heliogram.domain import ids
from heliogram.simulator import Simulator

POINTS = ("accept", "claim", "sending", "recording", "drain", "retention", "backup", "start")
DEVICES = 3_000
USERS = 12
CLIENTS = 3
ROUND_SENDS = 12
"""The most that one client sends in a round."""
DEVICES_OF_A_USER = 2
EARLY = [sys.executable, str(Path(__file__).with_name("early_upkeep.py"))]
INVALID_SCHEDULE = 70081
KEY_IN_USE = 70071
EIGHT_DAYS_MS = 8 * 86_400_000

Told = tuple[dict[str, Any], list[dict[str, Any]]]


@dataclass
class Sent:
    """One send as a client remembers it. `operation`: what was answered, None as long as nothing was. `late`: it came
    again after the time it was scheduled for, and was refused."""

    number: int
    body: bytes = field(repr=False)
    key: str | None
    operation: str | None = None
    late: bool = False

    @property
    def open(self) -> bool:
        """Whether it is to be sent again."""
        return self.key is not None and self.operation is None and not self.late


@dataclass
class Kill:
    """What one kill did. `taken`: pushes taken by APNs and not yet on disk; `leased`: at most so many recipients had no
    outcome on disk and were in a worker's hands."""

    point: str
    taken: int
    leased: int


class Rampage:
    """All of it in one directory. Entering starts the simulator and makes keys, devices and users."""

    def __init__(self, directory: Path, seed: int, *, say: Callable[[str], object] = print) -> None:
        self.directory, self.seed, self.say = directory, seed, say
        self.random = random.Random(seed)
        self.sends: list[Sent] = []
        self.kills: list[Kill] = []
        self.received = Received()
        self.disk = Disk(directory / "data" / "heliogram.db")
        self.told: dict[str, Told] = {}
        self.tokens: list[str] = []
        self.users: list[str] = []
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._pause = threading.Event()

    def __repr__(self) -> str:
        return f"Rampage(seed={self.seed}, sends={len(self.sends)}, kills={len(self.kills)})"

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
            self.back_end.credential(self.phones.key())
            for number in range(USERS):
                user = None
                for token in self.tokens[number * 2 : number * 2 + 1 + number % DEVICES_OF_A_USER]:
                    user = str(self.back_end.register(token, user)["userId"])
                assert user is not None
                self.users.append(user)
            self.back_end.close()

    def _scenario(self) -> Path:
        """Phones with the app on them, for the simulator to begin with."""
        world = Simulator(random=random.Random(self.seed))
        for number in range(DEVICES):
            device = world.add_device(f"phone {number}")
            world.install(device.id, BUNDLE, "production")
            token = world.launch(device.id, BUNDLE).device_token
            assert token is not None
            self.tokens.append(token)
        file = self.directory / "scenario.json"
        file.write_text(json.dumps(world.scenario.export()))
        return file

    def _service(self) -> Program:
        return service(self.directory, self._apns.ready, "--log-level", "warning", command=EARLY)

    # ---- one kill

    def kill(self, point: str) -> Kill:
        """Starts the service, lets the clients at it, kills it, and looks at what is left."""
        age = point == "retention" and self._age()
        backup: threading.Thread | None = None
        with self._service() as program:
            pid = program.pid
            clients = [
                threading.Thread(
                    target=self._watched, args=(self._client, program.ready["url"], self.random.random(), number == 0)
                )
                for number in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            if point == "backup":
                backup = threading.Thread(target=self._watched, args=(self._back_up, len(self.kills)))
                backup.start()
            self._await_moment(point, pid)
            os.kill(pid, signal.SIGKILL)
            for client in clients:
                client.join()
            program.stop(signal.SIGKILL)
        if backup is not None:
            backup.join()
        assert not self._failures, self._failures
        eventually(lambda: not self.phones.call("GET", "/connections")["connections"], what="what was sent to arrive")
        taken = self.disk.killed(self.received.read(self.phones.http))
        done = Kill(point, taken, self.disk.leased)
        self.kills.append(done)
        hand = f"{taken} pushes taken and not on disk, {done.leased} recipients in hand"
        self.say(f"kill {len(self.kills)} ({point}): {hand}" + (f", {age} operations 8 days old" if age else ""))
        assert taken <= done.leased * DEVICES_OF_A_USER, done
        return done

    def _watched(self, work: Callable[..., object], *args: object) -> None:
        """Runs in a thread of its own; what goes wrong there fails the test."""
        try:
            work(*args)
        except BaseException as error:
            self._failures.append(error)

    def _await_moment(self, point: str, pid: int) -> None:
        """Somewhere in what the kill is to hit."""
        if point in ("sending", "recording", "drain"):
            self._await_pushes()
        if point == "drain":
            os.kill(pid, signal.SIGTERM)
        low, high = {
            "start": (0.0, 0.02),
            "accept": (0.0, 0.2),
            "claim": (0.02, 0.3),
            "sending": (0.0, 0.15),
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

        eventually(there, what="pushes to arrive", seconds=60)

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

    # ---- clients

    def _client(self, url: str, seed: float, many: bool) -> None:
        """Sends and cancels until the service is gone, or it has done enough."""
        rng = random.Random(seed)
        with httpx2.Client(base_url=url, auth=self.back_end.key, trust_env=False, timeout=30) as http:
            try:
                for sent in [each for each in self.sends if many and each.open]:
                    self._post(http, sent)
                for number in range(ROUND_SENDS):
                    self._post(http, self._new(rng, rng.randint(200, 3_000) if many and number % 3 == 0 else 1))
                    if rng.random() < 0.15:
                        self._cancel(http, rng)
            except httpx2.TransportError:
                return

    def _new(self, rng: random.Random, size: int) -> Sent:
        """A send of that many recipients, with a number among its tags."""
        with self._lock:
            number = len(self.sends)
            to: list[dict[str, Any]] = [{"token": each, "provider": "APN"} for each in rng.sample(self.tokens, size)]
            if size == 1 and rng.random() < 0.4:
                to = [{"userId": rng.choice(self.users)}]
            body: dict[str, Any] = {"to": to, "content": {"body": f"number {number}"}, "tags": {"n": str(number)}}
            if rng.random() < 0.2:
                moment = datetime.now(UTC) + timedelta(seconds=rng.uniform(0.5, 4))
                body["schedule"] = {"sendAt": [moment.isoformat()]}
            key = f"{self.seed}-{number}" if rng.random() < 0.5 else None
            sent = Sent(number, json.dumps(body).encode(), key)
            self.sends.append(sent)
            return sent

    def _post(self, http: httpx2.Client, sent: Sent) -> None:
        headers = {"content-type": "application/json"} | ({"idempotency-key": sent.key} if sent.key else {})
        answer = http.post(PUSH, content=sent.body, headers=headers)
        if answer.status_code == 202:
            sent.operation = str(answer.json()["operationId"])
        elif answer.status_code == 400 and answer.json()["code"] == INVALID_SCHEDULE:
            sent.late = True
        elif answer.status_code == 409 and answer.json()["code"] == KEY_IN_USE:
            pass  # another client has just sent it for the first time
        else:  # it is being drained: like no answer
            assert answer.status_code in (429, 503), answer.text

    def _cancel(self, http: httpx2.Client, rng: random.Random) -> None:
        known = [each.operation for each in self.sends[-40:] if each.operation is not None]
        if known:
            answer = http.post(f"{PUSH}/Operations/{rng.choice(known)}/cancel")
            assert answer.status_code in (202, 404, 409, 503), answer.text

    # ---- what came of it

    def settle(self, *, seconds: float = 60) -> None:
        """Starts the service once more in peace, sends again what got no answer, and waits until all has ended."""
        with self._service() as program:
            self.back_end.at(program.ready["url"])
            self.back_end.http.timeout = httpx2.Timeout(60)
            for sent in self.sends:
                if sent.open:
                    self._post(self.back_end.http, sent)
                    assert not sent.open, sent

            def ended() -> bool:
                waiting = [self._get(f"{PUSH}/Operations?status={status}") for status in ("PROCESSING", "SCHEDULED")]
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
        for sent in self.sends:
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
