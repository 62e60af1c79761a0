"""APNs is killed in the midst of a campaign and comes back at the same address: everything ends, and is told as it
was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.oracle import Received, operation_of
from support.programs import Program
from support.stack import BackEnd, Phones, service, simulator
from support.waiting import eventually

pytestmark = pytest.mark.chaos
MANY = 300
NAMES = ("production", "sandbox", "manage-production", "manage-sandbox", "control")


def restarted(directory: Path, before: Program, world: object) -> Program:
    """The simulator again, at the same addresses, with what it knew."""
    file = directory / "world.json"
    file.write_text(json.dumps(world))
    ready = {**before.ready, "control": before.ready["control"].removeprefix("http://")}
    words = [word for name in NAMES for word in (f"--{name}", ready[name.replace("-", "_")])]
    more = ("--data", str(directory / "simulator"), "--scenario", str(file))
    return Program("simulator", *words, *more, log=directory / "simulator.log")


def test_killed_and_restarted_during_a_campaign(tmp_path: Path) -> None:
    """What had not left waits and goes; what was on the wire is told as unknown, or comes once more with its id."""
    with simulator(tmp_path) as first:
        phones = Phones(first)
        key, tokens = phones.key(), [phones.phone().launch() for _ in range(20)]
        world = phones.call("GET", "/scenario")
        with service(tmp_path, first.ready) as program:
            back_end = BackEnd(program.ready["url"], tmp_path / "data")
            back_end.credential(key)
            phones.call("POST", "/faults", {"kind": "delay", "delayMs": 30})
            operation = back_end.send(*({"token": tokens[n % 20], "provider": "APN"} for n in range(MANY)))
            taken = Received()
            eventually(lambda: taken.read(phones.http).accepted.total() >= 20, what="the first pushes")
            first.kill()
            phones.close()
            with restarted(tmp_path, first, world) as second:
                again = Phones(second)
                stats = back_end.completed(operation)["stats"]
                assert stats["sent"] + stats["failed"] == MANY
                told = [operation_of(lambda path: back_end.call("GET", path), operation)]
                outcomes = {each["outcome"] for note in told[0][1] for each in note["deliveries"]}
                assert outcomes <= {"ACCEPTED", "UNKNOWN"}
                later = Received().read(again.http)
                assert not later.duplicates
                sent = sum(each["status"] == "SENT" for each in told[0][1])
                assert sent == stats["sent"] >= MANY // 2
                back_end.close()
                again.close()
