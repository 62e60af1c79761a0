"""A second `heliogram serve` on one data directory refuses, and the first does not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.oracle import Received, judge, operation_of
from support.programs import Program, heliogram
from support.stack import BackEnd, Phones, service, simulator

MANY = 200


@pytest.fixture
def apns(tmp_path: Path) -> Iterator[Program]:
    with simulator(tmp_path) as program:
        yield program


def test_the_second_refuses_and_the_first_goes_on(apns: Program, tmp_path: Path) -> None:
    """It names the directory and what to do, exits 1 without a traceback, and takes nothing of what the first sends:
    every push comes once. When the first is gone, another may start."""
    data = tmp_path / "data"
    phones = Phones(apns)
    with service(tmp_path, apns.ready) as first:
        back_end = BackEnd(first.ready["url"], data)
        back_end.credential(phones.key())
        tokens = [phones.phone().launch() for _ in range(20)]
        phones.call("POST", "/faults", {"delayMs": 300})
        operation = back_end.send(*({"token": tokens[n % 20], "provider": "APN"} for n in range(MANY)))
        second = heliogram("serve", "--data", str(data), "--listen", "127.0.0.1:0")
        assert (second.returncode, second.stdout) == (1, "")
        assert f"another `heliogram serve` is using {data}: stop it, or give this one another" in second.stderr
        assert "Traceback" not in second.stderr
        assert back_end.completed(operation)["stats"]["sent"] == MANY
        told = [operation_of(lambda path: back_end.call("GET", path), operation)]
        verdict = judge(told, Received().read(phones.http)).check()
        assert verdict.sent == MANY
        back_end.close()
    phones.close()
    with service(tmp_path, apns.ready) as again:
        assert again.ready["data"] == str(data)
