"""`heliogram serve --senders N`: large sends in processes of their own, at the simulator."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.oracle import Disk, Received, Verdict, judge, operation_of
from support.programs import Program, children_of
from support.stack import BUNDLE, PUSH, BackEnd, Phones, service, simulator
from support.waiting import eventually

from heliogram.delivery.sender import BULK_SLOTS
from heliogram.domain.operations import CHUNK_SIZE
from heliogram.simulator import Simulator

SENDERS = 2
RECIPIENTS = 4_000
PHONES = 100
SEED = 7
say = print


class Apns:
    """A simulator with phones."""

    def __init__(self, directory: Path, *settings: str) -> None:
        self.tokens = self._scenario(directory)
        words = [word for each in ("journal=1000000", *settings) for word in ("--set", each)]
        self.program = simulator(directory, "--scenario", str(directory / "scenario.json"), *words)

    def _scenario(self, directory: Path) -> list[str]:
        world = Simulator(random=random.Random(SEED))
        tokens = []
        for number in range(PHONES):
            device = world.add_device(f"phone {number}")
            world.install(device.id, BUNDLE, "production")
            tokens.append(str(world.launch(device.id, BUNDLE).device_token))
        (directory / "scenario.json").write_text(json.dumps(world.scenario.export()))
        return tokens


class World:
    """A simulator, and a service with senders that may be started again."""

    def __init__(self, directory: Path, apns: Apns, *more: str) -> None:
        self.directory, self.apns, self._more = directory, apns.program, more
        self.tokens = apns.tokens
        self.received = Received()
        self.disk = Disk(directory / "data" / "heliogram.db")

    def __enter__(self) -> World:
        with ExitStack() as stack:
            self.phones = Phones(self.apns)
            stack.callback(self.phones.close)
            stack.callback(self.fast)
            self.received.last = Received().read(self.phones.http).last  # what others did is not ours
            self.serve = self.start()
            stack.callback(lambda: self.serve.__exit__(None, None, None))
            self.backend = BackEnd(self.serve.ready["url"], self.directory / "data")
            stack.callback(lambda: self.backend.close())
            self.credential = self.backend.credential(self.phones.key())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def start(self) -> Program:
        return service(self.directory, self.apns.ready, "--senders", str(SENDERS), *self._more).__enter__()

    def again(self) -> None:
        """Starts the service once more."""
        self.serve = self.start()
        self.backend.close()
        self.backend.at(self.serve.ready["url"])

    def senders(self) -> list[int]:
        """Their process ids."""
        return children_of(self.serve.pid)

    def campaign(self) -> str:
        """A send to every phone, many times; the operation's id."""
        recipients = [{"token": token, "provider": "APN"} for token in self.tokens]
        return self.backend.send(*recipients * (RECIPIENTS // PHONES))

    def slow(self, milliseconds: int) -> None:
        """Has every answer wait, so that there is a middle of things."""
        self.phones.call("POST", "/faults", {"delayMs": milliseconds})

    def fast(self) -> None:
        self.phones.call("DELETE", "/faults")

    def connections(self) -> list[dict[str, Any]]:
        """What is open at the simulator."""
        found: list[dict[str, Any]] = self.phones.call("GET", "/connections")["connections"]
        return found

    def under_way(self) -> None:
        """Waits until some pushes were taken."""
        eventually(lambda: bool(self.received.read(self.phones.http).accepted), what="the first pushes")

    def verdict(self, operation: str, unrecorded: dict[str, int] | None = None) -> Verdict:
        """What devices got against what the API says of it."""
        told = operation_of(lambda path: self.backend.call("GET", path), operation)
        return judge([told], self.received.read(self.phones.http), unrecorded=unrecorded)

    def log(self) -> list[dict[str, Any]]:
        """What the service said on standard error."""
        lines = (self.directory / "service.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def runs(pid: int) -> bool:
    """Whether a process is there, and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def phoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apns]:
    made = Apns(tmp_path_factory.mktemp("apns"))
    with made.program:
        yield made


@pytest.fixture
def world(tmp_path: Path, phoned: Apns) -> Iterator[World]:
    with World(tmp_path, phoned) as made:
        yield made


def test_a_campaign_is_split_over_the_senders(world: World) -> None:
    """Every chunk is one sender's, every outcome is recorded, each device gets its push once, and small sends are the
    serving process's own."""
    world.slow(200)
    operation, small = world.campaign(), world.backend.send({"token": world.tokens[0], "provider": "APN"})
    world.backend.completed(operation)
    world.backend.completed(small)
    asked = sqlite3.connect(f"file:{world.disk.database}?mode=ro", uri=True)
    workers = Counter(name.split(":", 1)[1] for (name,) in asked.execute("SELECT worker FROM chunk"))
    asked.close()
    pid = world.serve.pid
    assert set(workers) == {f"{pid}", f"{pid}:1", f"{pid}:2"}
    assert workers[f"{pid}"] == 1
    told = [operation_of(lambda path: world.backend.call("GET", path), each) for each in (operation, small)]
    verdict = judge(told, world.received.read(world.phones.http)).check()
    assert (verdict.sent, world.received.accepted.total()) == (RECIPIENTS + 1, RECIPIENTS + 1)


def test_a_sender_that_is_killed_loses_nothing(world: World) -> None:
    """Its chunks go on at once, with another sender, and one takes its place. What comes twice was in its hands."""
    world.slow(300)
    operation = world.campaign()
    world.under_way()
    first = world.senders()
    os.kill(first[0], signal.SIGKILL)
    world.fast()
    world.backend.completed(operation)
    taken = world.received.read(world.phones.http)  # all of it: what was under way at the kill is answered later
    verdict = world.verdict(operation, dict.fromkeys(taken.accepted, 1)).check()
    bound = BULK_SLOTS * CHUNK_SIZE
    say(f"sent twice: {verdict.allowed_duplicates}, at most {bound}")
    assert verdict.sent == RECIPIENTS
    assert verdict.allowed_duplicates <= bound
    (died,) = [line for line in world.log() if line["event"] == "sender.died"]
    assert died["code"] == -signal.SIGKILL
    eventually(lambda: len(world.senders()) == SENDERS, what="another sender")
    assert first[0] not in world.senders()
    assert first[1] in world.senders()


def test_a_service_that_is_killed_takes_its_senders_with_it(world: World) -> None:
    """Nothing is sent after its end; the next start has the directory at once, and goes on."""
    world.slow(300)
    operation = world.campaign()
    world.under_way()
    senders = world.senders()
    world.serve.kill()
    eventually(lambda: not any(map(runs, senders)), what="the senders to end")
    taken = world.received.read(world.phones.http)
    unrecorded = world.disk.killed(taken)
    world.fast()
    world.again()
    world.backend.completed(operation)
    verdict = world.verdict(operation, dict(world.disk.unrecorded)).check()
    say(f"sent twice: {verdict.allowed_duplicates}, at most {unrecorded}")
    assert verdict.sent == RECIPIENTS


def test_a_stop_drains_the_senders_too(world: World) -> None:
    """SIGTERM, also to all of the group: what is under way ends and is recorded, the rest waits for the next start, and
    nothing is sent twice."""
    world.slow(300)
    operation = world.campaign()
    world.under_way()
    senders = world.senders()
    for sender in senders:
        os.kill(sender, signal.SIGTERM)
        os.kill(sender, signal.SIGINT)
    assert world.serve.stop() == 0
    assert not any(map(runs, senders))
    assert [line for line in world.log() if line["event"] in ("sender.died", "service.drain_too_slow")] == []
    before = world.received.read(world.phones.http).accepted.total()
    world.fast()
    world.again()
    stats = world.backend.call("GET", f"{PUSH}/Operations/{operation}")["stats"]
    assert stats["sent"] >= before
    world.backend.completed(operation)
    assert world.verdict(operation).check().sent == RECIPIENTS


def test_a_stop_does_not_wait_for_senders_that_are_stuck(tmp_path: Path, phoned: Apns) -> None:
    """Within the time to drain; what they held goes on at the next start."""
    with World(tmp_path, phoned, "--drain-seconds", "0") as world:
        world.slow(3_600_000)
        operation = world.campaign()
        eventually(lambda: any(each["openStreams"] for each in world.connections()), what="a push on its way")
        senders = world.senders()
        os.kill(senders[0], signal.SIGSTOP)
        assert world.serve.stop() == 0
        assert not any(map(runs, senders))
        world.fast()
        world.again()
        world.backend.completed(operation)


def test_a_cancelled_campaign_stops_in_every_sender(world: World) -> None:
    """What had left is waited for and told as it was, the rest is CANCELED."""
    world.slow(500)
    operation = world.campaign()
    world.under_way()
    world.backend.call("POST", f"{PUSH}/Operations/{operation}/cancel")
    eventually(
        lambda: world.backend.call("GET", f"{PUSH}/Operations/{operation}")["status"] == "CANCELED",
        what="the operation to end",
    )
    verdict = world.verdict(operation).check()
    assert 0 < verdict.sent < RECIPIENTS


def test_a_revoked_key_is_used_no_more_by_any_sender(world: World) -> None:
    """Within five seconds (TOK-20): the connections of all of them are closed."""
    world.slow(500)
    world.campaign()
    world.under_way()
    world.backend.call("POST", f"{PUSH}/Credentials/{world.credential}/revoke")
    began = time.monotonic()
    eventually(lambda: not world.connections(), what="the connections to close")
    say(f"closed after {time.monotonic() - began:.1f} s")


def test_a_credential_that_fails_in_a_sender_is_shown_and_goes_on(world: World) -> None:
    """The API says with which reason, whoever met it; when it is reconnected everybody tries again."""
    world.phones.call("POST", "/faults", {"reason": "InvalidProviderToken"})
    operation = world.campaign()
    place = f"{PUSH}/Credentials/{world.credential}"
    failing = eventually(lambda: world.backend.call("GET", place).get("failing"), what="the credential to fail")
    assert failing["reason"] == "InvalidProviderToken"
    world.fast()
    world.backend.call("POST", f"{place}/reconnect")
    world.backend.completed(operation)
    assert world.verdict(operation).check().sent == RECIPIENTS
    assert world.backend.call("GET", place).get("failing") is None


@pytest.mark.parametrize("scope", ["key", "team"])
def test_tok_10_senders_present_one_provider_token(tmp_path: Path, scope: str) -> None:
    """TOK-9, TOK-10: tokens are made for slots of time, so all processes have the same one, and the 20-minute rule is
    kept in each of its readings (that of a single connection is what all other tests have)."""
    apns = Apns(tmp_path, f"token_floor={scope}")
    with apns.program, World(tmp_path, apns) as world:
        operation = world.campaign()
        small = world.backend.send({"token": world.tokens[0], "provider": "APN"})
        world.backend.completed(operation)
        world.backend.completed(small)
        assert world.received.read(world.phones.http).refused == {}
        assert len(world.connections()) > SENDERS
